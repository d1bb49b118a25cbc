// One page: its sheet with regions and lines drawn over it, and its text beside it.

import { h, number, size } from "./dom.js";
import { textPane } from "./lines.js";
import { get, screen } from "./server.js";
import { sheet } from "./sheet.js";

const shown = { regions: true, lines: true, words: false };

export async function page(parameters, signal) {
  const { id, at, ...filter } = parameters;
  const found = await get("api/page", parameters, signal);
  const desk = sheet(found, shown);
  const text = textPane(found);
  const link = (line, scroll) => {
    desk.choose(line, scroll === "sheet");
    text.choose(line, scroll === "text");
  };
  desk.onchoose = (line) => link(line, "text");
  text.onchoose = (line, clicked) => link(line, clicked ? "sheet" : "");
  const go = (target, step) => () => {
    if (target !== null) location.hash = screen("page", { id: target, ...filter, at: at && Number(at) + step });
  };
  const toggle = (name) => () => {
    shown[name] = !shown[name];
    desk.show(shown);
    element.querySelector(`[data-toggle="${name}"]`)?.setAttribute("aria-pressed", shown[name]);
  };
  const tools = { desk, toggle, previous: go(found.place.previous, -1), next: go(found.place.next, 1) };
  const element = h("div", { class: "reader" }, title(found, filter, tools), desk.element, text.element);
  return {
    element,
    started: () => {
      desk.fit();
      const first = found.page?.lines.findIndex((line) => line.hit) ?? -1;
      if (first >= 0) link(first, "text"), desk.choose(first, true);
    },
    keys: {
      ArrowLeft: tools.previous, ArrowRight: tools.next, Escape: () => (location.hash = back(filter)),
      "+": () => desk.zoom(1.25), "-": () => desk.zoom(0.8), 0: () => desk.fit(), r: toggle("regions"), l: toggle("lines"), w: toggle("words"),
    },
  };
}

function back(filter) {
  if (filter.q) return screen("search", { q: filter.q });
  const { state: _state, ...others } = filter;
  return filter.state === "failed" ? screen("failures", others) : screen("pages", filter);
}

function title(found, filter, { desk, toggle, previous, next }) {
  const { entry, page, place } = found;
  const drawn = page ?? found.drawing;
  const button = (label, name, onclick, more = {}) => h("button", { type: "button", title: name, "aria-label": name, onclick, ...more }, label);
  const switches = (page ? Object.keys(shown) : []).map((name) => button(name[0].toUpperCase() + name.slice(1), `Show ${name} (${name[0]})`, toggle(name),
    { "data-toggle": name, "aria-pressed": String(shown[name]) }));
  return h("header", { class: "title" },
    h("a", { class: "button", href: back(filter), title: "Back to the list (Esc)" }, filter.q ? "Results" : filter.state === "failed" ? "Failures" : "Pages"),
    h("h1", {}, entry.name), h("span", { class: "meta" }, about(entry, drawn)),
    page ? h("span", { class: "group" }, switches) : null,
    drawn ? h("span", { class: "group" }, button("−", "Smaller (-)", () => desk.zoom(0.8)), button("+", "Larger (+)", () => desk.zoom(1.25)),
      button("Width", "Fit the width (0)", () => desk.fit()), button("Page", "Fit the whole page", () => desk.fit(true))) : null,
    h("span", { class: "group" }, button("‹", "Previous page (left arrow)", previous, { disabled: place.previous === null }),
      h("span", { class: "position" }, `${number(place.position)} of ${number(place.total)}`),
      button("›", "Next page (right arrow)", next, { disabled: place.next === null })));
}

function about(entry, page) {
  const parts = [size(entry.size_bytes)];
  if (page) {
    parts.unshift(`${page.width_px} × ${page.height_px} px`);
    if (page.angle_deg) parts.push(`turned by ${page.angle_deg}°`);
  }
  return parts.filter(Boolean).join(" · ");
}
