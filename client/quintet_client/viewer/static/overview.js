// The run in figures: counts that add up, its speed over time, stages, models, failures by code.

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
  const panels = [await speed(run, signal), codes(run), stages(run), models(run), facts(run)];
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
  const box = h("div", {}, await columns(last, signal));
  const built = panel("Pages a second", "wide", h("p", { class: "hint" }, "Over time; failed pages in red, the mean dashed."), box);
  if (last > 0) built.querySelector("header").append(choice(run.sittings, box));
  return built;
}

// As wide as its panel, so that its letters have their size on a narrow screen too.
function columns(sitting, signal) {
  const margins = matchMedia("(max-width: 860px)").matches ? 74 : 90;
  return chart("api/chart/speed", { sitting, width: Math.min(1190, innerWidth - margins) }, signal);
}

function choice(sittings, box) {
  const redraw = async (event) => box.replaceChildren(await columns(event.target.value));
  const options = sittings.map((name, place) => h("option", { value: place, selected: place === sittings.length - 1 }, name));
  return h("select", { "aria-label": "Stretch of work", onchange: redraw }, options.reverse());
}

function codes(run) {
  if (!run.codes.length) return panel("Failures", "", h("p", { class: "hint" }, "No page failed."));
  const amounts = run.codes.map(([code, count]) => ({ label: code, value: count, note: number(count), part: 0, kind: "bad" }));
  return panel("Failures by code", "", bars(amounts, (code) => screen("failures", { code })));
}

function stages(run) {
  if (!run.stages.length) return null;
  return panel("Time a page spends", "", h("p", { class: "hint" }, "In each stage of the last run: half of the pages less (dark), 95 of 100 less (light)."), bars(run.stages));
}

function models(run) {
  if (!run.models.length) return null;
  return panel("Time by model", "", h("p", { class: "hint" }, "Seconds of the service in each stage, for all pages of the last run."), bars(run.models));
}

function bars(amounts, link) {
  const longest = Math.max(...amounts.map(({ value }) => value));
  const fill = (value, kind) => {
    const drawn = h("span", { class: kind });
    drawn.style.width = `${(100 * value) / longest}%`;
    return drawn;
  };
  return h("ul", { class: "bars" }, amounts.map(({ label, value, note, part, kind }) => {
    const track = h("span", { class: "track" }, fill(value, part ? "fill light" : "fill"), part ? fill(part, "fill") : null);
    const content = [h("span", { class: "name" }, label), h("span", {}, note), track];
    return h("li", { class: kind }, ...(link ? [h("a", { href: link(label) }, ...content)] : content));
  }));
}

function facts(run) {
  return panel("The run", "wide", h("dl", { class: "facts" }, run.facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
}
