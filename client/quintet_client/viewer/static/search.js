// Search through all pages; shows what is found while the index is still being built.

import { h, marked, number } from "./dom.js";
import { pager, pagerKeys } from "./pager.js";
import { get, screen, thumbnail } from "./server.js";

const ASK_AGAIN_MS = 600;

export async function search(parameters, signal) {
  const element = h("div", { class: "screen" });
  const found = await draw(element, parameters, signal);
  const from = Number(parameters.from ?? 0);
  return { element, keys: pagerKeys("search", { q: parameters.q }, from, found.count, found.total) };
}

async function draw(element, parameters, signal) {
  const asked = parameters.q ?? "";
  const found = await get("api/search", { q: asked, from: parameters.from }, signal);
  const from = Number(parameters.from ?? 0);
  element.replaceChildren(head(asked, found), results(asked, found, from), pager("search", { q: asked }, from, found.count, found.total) ?? "");
  if (!found.complete) {
    const timer = setTimeout(() => draw(element, parameters, signal).catch(() => {}), ASK_AGAIN_MS);
    signal.addEventListener("abort", () => clearTimeout(timer));
  }
  return found;
}

function head(asked, found) {
  const pages = `${number(found.total)} page${found.total === 1 ? "" : "s"} of ${number(found.indexed)}`;
  return h("header", { class: "head" }, h("h1", {}, asked ? `Pages with “${asked}”` : "Search"),
    h("span", { class: "total", role: "status" }, found.complete ? pages : `${pages} looked through so far…`));
}

function results(asked, found, from) {
  if (!asked) return h("p", { class: "empty" }, "Type words that a page holds. Quotes keep words together: \"total due\".");
  if (!found.hits.length) return h("p", { class: "empty" }, nothing(found));
  return h("ol", { class: "hits" }, found.hits.map((hit, place) => h("li", {}, link(hit, asked, from + place))));
}

function nothing(found) {
  if (!found.complete) return "Nothing yet…";
  return found.has_text || !found.indexed ? "No page holds all of these words." : "These results hold no text to search, and no name holds all of these words.";
}

function link(hit, asked, at) {
  const lines = hit.lines.map((parts) => h("span", { class: "said" }, marked(parts)));
  return h("a", { class: "panel hit", href: screen("page", { id: hit.page_id, q: asked, at }) },
    h("span", { class: "shot" }, h("img", { class: "thumb", src: thumbnail(hit), alt: "", loading: "lazy" })),
    h("span", {}, h("span", { class: "name" }, marked(hit.name)), lines));
}
