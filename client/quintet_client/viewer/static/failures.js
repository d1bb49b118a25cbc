// The pages that could not be read, each with its reason.

import { h, number } from "./dom.js";
import { pager, pagerKeys } from "./pager.js";
import { get, screen } from "./server.js";

export async function failures(parameters, signal) {
  const { from: _from, ...filter } = parameters;
  const asked = { ...parameters, state: "failed", count: 100 };
  const [found, run] = await Promise.all([get("api/pages", asked, signal), get("api/run", {}, signal)]);
  const content = found.pages.length ? h("div", { class: "panel flush" }, table(found.pages, filter))
    : h("p", { class: "empty" }, "No page failed.");
  const element = h("div", { class: "screen" }, head(found.total, filter, run.codes), content,
    pager("failures", filter, found.from, found.count, found.total));
  return { element, keys: pagerKeys("failures", filter, found.from, found.count, found.total) };
}

function head(total, filter, codes) {
  const choose = (event) => {
    location.hash = screen("failures", { code: event.target.value });
  };
  const options = [["", "Any"], ...codes.map(([code, count]) => [code, `${code} (${number(count)})`])];
  return h("header", { class: "head" }, h("h1", {}, "Failures"), h("span", { class: "total" }, number(total)),
    h("label", {}, "Code", h("select", { onchange: choose },
      options.map(([value, label]) => h("option", { value, selected: value === (filter.code ?? "") }, label)))));
}

function table(entries, filter) {
  const rows = entries.map((entry) => h("tr", {},
    h("td", {}, h("a", { href: screen("page", { id: entry.page_id, state: "failed", ...filter }) }, entry.name)),
    h("td", {}, h("code", {}, entry.code)), h("td", {}, entry.message), h("td", { class: "nowrap", "data-name": "Tries" }, entry.tries),
    h("td", { class: "nowrap", "data-name": "When (UTC)" }, entry.updated_at.slice(0, 19).replace("T", " "))));
  const names = ["Page", "Code", "Reason", "Tries", "When (UTC)"];
  return h("table", {}, h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows));
}
