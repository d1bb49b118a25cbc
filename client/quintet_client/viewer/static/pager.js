// Steps through a long list: the server sends one screen of it at a time.

import { h, number } from "./dom.js";
import { screen } from "./server.js";

export function pager(name, parameters, from, count, total) {
  if (total <= count) return null;
  const step = (label, target) => {
    const there = target >= 0 && target < total && target !== from;
    const href = there ? screen(name, { ...parameters, from: target || "" }) : undefined;
    return h("a", { class: "button", href, "aria-disabled": there ? undefined : "true" }, label);
  };
  const last = Math.floor((total - 1) / count) * count;
  return h("nav", { class: "pager", "aria-label": "Screens" },
    step("First", 0), step("Previous", from > 0 ? Math.max(0, from - count) : -1),
    h("span", {}, `${number(from + 1)} to ${number(Math.min(total, from + count))} of ${number(total)}`),
    step("Next", from + count), step("Last", last));
}

// The keys that go with it.
export function pagerKeys(name, parameters, from, count, total) {
  const go = (target) => () => {
    if (target >= 0 && target < total) location.hash = screen(name, { ...parameters, from: target || "" });
  };
  return { ArrowRight: go(from + count), ArrowLeft: go(from > 0 ? Math.max(0, from - count) : -1) };
}
