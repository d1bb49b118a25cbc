// The screens by address, the search field, and keys that work everywhere.

import { h } from "./dom.js";
import { failures } from "./failures.js";
import { overview } from "./overview.js";
import { page } from "./page.js";
import { pages } from "./pages.js";
import { search } from "./search.js";
import { get, screen } from "./server.js";

const SCREENS = { "": overview, pages, failures, search, page };
const TITLES = { "": "Overview", pages: "Pages", failures: "Failures", search: "Search", page: "Page" };
const view = document.getElementById("view");
const field = document.querySelector("#search input");
let leaving = new AbortController();
let keys = {};

function place() {
  const [name, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return [name in SCREENS ? name : "", Object.fromEntries(new URLSearchParams(query))];
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [name, parameters] = place();
  keys = {};
  try {
    const shown = await SCREENS[name](parameters, signal);
    if (signal.aborted) return;
    keys = shown.keys ?? {};
    view.replaceChildren(shown.element);
    shown.started?.();
  } catch (error) {
    if (signal.aborted) return;
    view.replaceChildren(h("div", { class: "screen" }, h("p", { class: "empty" }, `This cannot be shown: ${error.message}`)));
  }
  announce(name, parameters);
}

function announce(name, parameters) {
  const current = name === "page" ? "pages" : name || "overview";
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.dataset.view === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = name === "page" ? parameters.id : TITLES[name];
  document.title = `${title} - Quintet`;
  document.getElementById("status").textContent = title;
  if (document.activeElement === field) return;
  field.value = parameters.q ?? "";
  if (name !== "page") scrollTo(0, 0);
  view.focus({ preventScroll: true });
}

let typing = 0;
function find(replace) {
  clearTimeout(typing);
  const asked = field.value.trim();
  if (!asked || asked === place()[1].q) return;
  const target = screen("search", { q: asked });
  if (!replace) location.hash = target;
  else {
    history.replaceState(null, "", target);
    show();
  }
}

field.addEventListener("focus", () => get("api/index").catch(() => {}), { once: true });
field.addEventListener("input", () => {
  clearTimeout(typing);
  if (place()[0] === "search") typing = setTimeout(() => find(true), 250);
});
field.form.addEventListener("submit", (event) => {
  event.preventDefault();
  find(false);
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const action = event.key === "/" ? () => field.select() : keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
addEventListener("hashchange", show);
get("api/run").then((run) => (document.getElementById("run").textContent = run.name), () => {});
show();
