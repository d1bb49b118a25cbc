// All pages as thumbnails, by state, code and name.

import { h, number, split } from "./dom.js";
import { pager, pagerKeys } from "./pager.js";
import { get, screen, thumbnail } from "./server.js";

const STATES = { "": "All", ok: "Read", failed: "Failed", left: "To do" };

export async function pages(parameters, signal) {
  const [found, run] = await Promise.all([get("api/pages", parameters, signal), get("api/run", {}, signal)]);
  const { from: _from, ...filter } = parameters;
  const cards = found.pages.map((entry) => h("li", {}, card(entry, filter)));
  const element = h("div", { class: "screen" }, head(found.total, filter, run.codes),
    cards.length ? h("ul", { class: "grid" }, cards) : h("p", { class: "empty" }, "No page is like that."),
    pager("pages", filter, found.from, found.count, found.total));
  return { element, keys: pagerKeys("pages", filter, found.from, found.count, found.total) };
}

function card(entry, filter) {
  const [folder, file] = split(entry.name);
  const image = h("img", { src: thumbnail(entry), alt: "", loading: "lazy", decoding: "async", class: entry.state === "ok" ? "" : "bare" });
  const below = entry.state === "failed" ? h("span", { class: "folder code" }, entry.code)
    : h("span", { class: "folder" }, entry.state === "left" ? "to do" : folder);
  return h("a", { class: "card", href: screen("page", { id: entry.page_id, ...filter }), title: entry.name },
    h("span", { class: "frame" }, image), h("span", { class: "caption" }, h("span", { class: "file" }, file), below));
}

function head(total, filter, codes) {
  const change = (name) => (event) => {
    location.hash = screen("pages", { ...filter, [name]: event.target.value });
  };
  const option = (value, label, chosen) => h("option", { value, selected: value === (chosen ?? "") }, label);
  const states = Object.entries(STATES).map(([value, label]) => option(value, label, filter.state));
  const kinds = [option("", "Any", filter.code), ...codes.map(([code, count]) => option(code, `${code} (${number(count)})`, filter.code))];
  return h("header", { class: "head" }, h("h1", {}, "Pages"), h("span", { class: "total" }, number(total)),
    h("label", {}, "Name", h("input", { type: "search", value: filter.name ?? "", placeholder: "part of a name", onchange: change("name") })),
    h("label", {}, "State", h("select", { onchange: change("state") }, states)),
    codes.length ? h("label", {}, "Code", h("select", { onchange: change("code") }, kinds)) : null);
}
