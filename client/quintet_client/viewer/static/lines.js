// The text beside the page: its lines in reading order, under the regions they lie in.

import { h, marked } from "./dom.js";

// Scores of well-read lines are all alike: they show on hover alone.
const SURE = 0.95;
const LOW = 0.8;

export function textPane(found) {
  const { entry, page, drawing, schema, raw } = found;
  const pane = h("section", { class: "text", "aria-label": "Text" });
  if (page && page.lines.length) return filled(pane, page);
  pane.append(h("header", {}, h("h2", {}, entry.state === "failed" ? "Why it failed" : raw ? "Result" : "Text")));
  if (drawing) pane.append(legend(drawing.shapes) ?? "", h("p", { class: "reason" }, drawing.said), h("pre", {}, raw));
  else if (raw) pane.append(h("p", { class: "reason" }, `This result cannot be drawn: it is no page as documented, but ${schema || "of no schema"}. It says:`), h("pre", {}, raw));
  else pane.append(h("div", { class: "reason" }, ...reason(entry)));
  return { element: pane, choose() {} };
}

function reason(entry) {
  if (entry.state === "failed") return [h("span", { class: "code" }, h("code", {}, entry.code)), h("p", {}, entry.message)];
  return [h("p", {}, entry.state === "ok" ? "No text was found on this page." : "This page has not been read yet.")];
}

function filled(pane, page) {
  const options = page.lines.map(option);
  const list = h("ol", { class: "lines", role: "listbox", tabindex: 0, "aria-label": "Lines in reading order" }, grouped(page, options));
  const copy = h("button", { type: "button", onclick: () => navigator.clipboard.writeText(page.text).then(() => (copy.textContent = "Copied")) }, "Copy text");
  pane.append(h("header", {}, h("h2", {}, `${page.lines.length} line${page.lines.length === 1 ? "" : "s"}`), copy), legend(page.regions) ?? "", list);
  const handle = { element: pane, onchoose: null, choose: choosing(list, options) };
  listen(list, options, handle);
  return handle;
}

function option(line, place) {
  const score = h("span", { class: `score ${line.score < SURE ? "seen" : ""} ${line.score < LOW ? "low" : ""}`, title: "score of the reading" }, line.score.toFixed(2));
  return h("li", { role: "option", id: `line-${place}`, "data-line": place, "aria-selected": "false" }, h("span", {}, marked(line.parts)), score);
}

// A heading wherever another region begins.
function grouped(page, options) {
  let before;
  return options.flatMap((element, place) => {
    const { region } = page.lines[place];
    const name = page.regions[region]?.label ?? "";
    const heading = region === before ? [] : [label(name)];
    before = region;
    element.dataset.label = name;
    return [...heading, element];
  });
}

function label(name) {
  return h("li", { class: name ? "label" : "label gap", role: "presentation", "data-label": name }, named(name));
}

function legend(labelled) {
  const labels = [...new Set(labelled.map(({ label }) => label))];
  return labels.length ? h("ul", { class: "legend", "aria-label": "What is drawn" }, labels.map((name) => h("li", { "data-label": name }, named(name)))) : null;
}

function named(name) {
  return name.replaceAll("_", " ");
}

function choosing(list, options) {
  return (line, scroll) => {
    for (const other of list.querySelectorAll(".on")) {
      other.classList.remove("on");
      other.setAttribute("aria-selected", "false");
    }
    const chosen = options[line];
    chosen.classList.add("on");
    chosen.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", chosen.id);
    if (scroll) chosen.scrollIntoView({ block: "nearest" });
  };
}

function listen(list, options, handle) {
  const lineOf = (event) => event.target.closest("[data-line]")?.dataset.line;
  list.addEventListener("click", (event) => lineOf(event) !== undefined && handle.onchoose?.(Number(lineOf(event)), true));
  list.addEventListener("mouseover", (event) => lineOf(event) !== undefined && handle.onchoose?.(Number(lineOf(event)), false));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = options.findIndex((element) => element.classList.contains("on"));
    const target = Math.min(options.length - 1, Math.max(0, now + step));
    handle.onchoose?.(target, true);
    options[target].scrollIntoView({ block: "nearest" });
  });
}
