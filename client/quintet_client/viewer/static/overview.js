// The run in figures: counts that add up, its speed over time, stages, failures by code.

import { clock, h, number } from "./dom.js";
import { chart, get, screen } from "./server.js";

const LOOK_AGAIN_MS = 4000;

export async function overview(_parameters, signal) {
  const element = h("div", { class: "screen" });
  await draw(element, signal);
  return { element };
}

async function draw(element, signal) {
  const run = await get("api/run", {}, signal);
  const parts = [head(run), tiles(run)];
  const panels = [await speed(run, signal), codes(run), await stages(run, signal), facts(run)];
  element.replaceChildren(...parts, h("div", { class: "panels" }, ...panels.filter(Boolean)));
  if (run.counts.left) watch(element, signal);
}

// A run that goes on is looked at again, as long as its screen is open.
function watch(element, signal) {
  const timer = setTimeout(() => draw(element, signal).catch(() => {}), LOOK_AGAIN_MS);
  signal.addEventListener("abort", () => clearTimeout(timer));
}

function head(run) {
  const notes = [run.note, run.no_pictures && `Pages are shown without their images: ${run.no_pictures}.`].filter(Boolean);
  return h("header", {}, h("h1", {}, run.name), h("p", { class: "equation" }, run.equation),
    notes.map((note) => h("p", { class: "notice" }, note)));
}

function tiles(run) {
  const tile = (name, value, kind = "") => h("div", { class: `tile ${kind}` }, h("dt", {}, name), h("dd", {}, value));
  const { ok, failed, left } = run.counts;
  return h("dl", { class: "tiles" }, tile("Pages", number(run.pages)), tile("Read", number(ok), "good"),
    tile("Failed", number(failed), failed ? "bad" : ""), left ? tile("To do", number(left)) : null,
    tile("Pages a second", run.seconds ? run.pages_per_s.toFixed(2) : "none yet"),
    tile("Time", run.seconds ? clock(run.seconds) : "none yet"));
}

function panel(title, kind, ...content) {
  return h("section", { class: `panel ${kind}` }, h("header", {}, h("h2", {}, title)), ...content);
}

async function speed(run, signal) {
  if (!run.sittings.length) return panel("Speed", "wide", h("p", { class: "hint" }, "No page has come to its end yet."));
  const last = run.sittings.length - 1;
  const box = h("div", {}, await chart("api/chart/speed", { sitting: last }, signal));
  const built = panel("Pages a second", "wide", h("p", { class: "hint" }, "Over time; failed pages in red, the mean dashed."), box);
  if (last > 0) built.querySelector("header").append(choice(run.sittings, box));
  return built;
}

function choice(sittings, box) {
  const redraw = async (event) => box.replaceChildren(await chart("api/chart/speed", { sitting: event.target.value }));
  const options = sittings.map((name, place) => h("option", { value: place, selected: place === sittings.length - 1 }, name));
  return h("select", { "aria-label": "Stretch of work", onchange: redraw }, options.reverse());
}

function codes(run) {
  if (!run.codes.length) return panel("Failures", "", h("p", { class: "hint" }, "No page failed."));
  const most = Math.max(...run.codes.map(([, count]) => count));
  const rows = run.codes.map(([code, count]) => {
    const fill = h("span", { class: "fill" });
    fill.style.width = `${(100 * count) / most}%`;
    return h("li", {}, h("a", { href: screen("failures", { code }) }, h("span", { class: "name" }, code),
      h("span", {}, number(count)), h("span", { class: "track" }, fill)));
  });
  return panel("Failures by code", "", h("ul", { class: "codes" }, rows));
}

async function stages(run, signal) {
  if (!run.stages) return null;
  return panel("Time a page spends", "", h("p", { class: "hint" }, "In each stage of the last run: half of the pages less (dark), 95 of 100 less (light)."),
    await chart("api/chart/stages", {}, signal));
}

function facts(run) {
  return panel("The run", "wide", h("dl", { class: "facts" }, run.facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
}
