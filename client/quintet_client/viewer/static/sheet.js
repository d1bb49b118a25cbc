// The sheet: the image turned as a person reads it, with regions and lines over it in the image's own frame.

import { h, svg } from "./dom.js";
import { address } from "./server.js";

export function sheet(found, shown) {
  const { entry, no_picture: missing } = found;
  const page = found.page ?? found.drawing;
  const element = h("section", { class: "desk", "aria-label": "Page", tabindex: 0 });
  if (missing) element.append(h("p", { class: "notice" }, `There is no image to show: ${missing}.`));
  const picture = missing ? null : image(entry, page, element);
  if (!page) {
    if (picture) element.append(picture);
    return { element, show() {}, choose() {}, zoom() {}, fit() {} };
  }
  const overlay = found.page ? draw(page) : over(page, page.shapes.map(shape));
  const turned = h("div", { class: "sheet" }, picture, overlay);
  const stage = h("div", { class: "stage" }, turned);
  element.append(stage);
  const handle = { element, onchoose: null, ...moves(element, stage, turned, page), ...choosing(element, overlay) };
  handle.show = (names) => Object.entries(names).forEach(([name, on]) => stage.classList.toggle(`hide-${name}`, !on));
  handle.show(shown);
  overlay.addEventListener("click", (event) => {
    const line = event.target.dataset.line;
    if (line !== undefined) handle.onchoose?.(Number(line));
  });
  return handle;
}

function image(entry, page, element) {
  const picture = h("img", { src: address("image", { id: entry.page_id, v: entry.updated_at }), alt: `Image of ${entry.name}`, class: page ? "" : "plain" });
  picture.addEventListener("error", () => {
    picture.remove();
    element.prepend(h("p", { class: "notice" }, "There is no image to show: it is damaged, or gone."));
  });
  return picture;
}

function draw(page) {
  const regions = page.regions.map(({ label, score, box_px: [x0, y0, x1, y1] }) =>
    svg("rect", { class: "region", "data-label": label, x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) },
      svg("title", {}, `${label} ${score.toFixed(2)}`)));
  const lines = page.lines.map((line, place) =>
    svg("polygon", { class: line.hit ? "line hit" : "line", "data-line": place, points: points(line.quad_px) },
      svg("title", {}, line.text)));
  const words = page.lines.flatMap((line, place) => line.words.map((word) =>
    svg("polygon", { class: "word", "data-line": place, points: points(word.quad_px) },
      svg("title", {}, `${word.text} ${word.score.toFixed(2)}`))));
  return over(page, regions, lines, words);
}

function shape({ kind, label, title, points_px: corners }) {
  return svg("polygon", { class: kind, "data-label": label, points: points(corners) }, svg("title", {}, title));
}

function points(corners) {
  return corners.map((point) => point.join(",")).join(" ");
}

function over(page, ...shapes) {
  return svg("svg", { viewBox: `0 0 ${page.width_px} ${page.height_px}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...shapes);
}

// From the image's frame to the upright one, in CSS pixels.
function upright({ angle_deg: angle }, width, height) {
  return {
    90: `translate(0, ${width}px) rotate(-90deg)`,
    180: `translate(${width}px, ${height}px) rotate(180deg)`,
    270: `translate(${height}px, 0) rotate(90deg)`,
  }[angle] ?? "none";
}

function moves(element, stage, turned, page) {
  const [width, height] = page.angle_deg % 180 ? [page.height_px, page.width_px] : [page.width_px, page.height_px];
  let scale = 1;
  const set = (value) => {
    const centre = (element.scrollTop + element.clientHeight / 2) / Math.max(1, element.scrollHeight);
    scale = Math.min(8, Math.max(0.02, value));
    [stage.style.width, stage.style.height] = [`${width * scale}px`, `${height * scale}px`];
    const [own, tall] = [page.width_px * scale, page.height_px * scale];
    [turned.style.width, turned.style.height] = [`${own}px`, `${tall}px`];
    turned.style.transform = upright(page, own, tall);
    element.scrollTop = centre * element.scrollHeight - element.clientHeight / 2;
  };
  const room = (length) => Math.max(80, length - 48);
  // On a narrow screen the desk is as high as its sheet, and the window scrolls.
  const height_px = () => (getComputedStyle(element).overflowY === "hidden" ? innerHeight : element.clientHeight);
  element.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    set(scale * Math.exp(-event.deltaY / 300));
  }, { passive: false });
  return {
    zoom: (factor) => set(scale * factor),
    fit: (whole = false) => {
      set(Math.min(2, room(element.clientWidth) / width, whole ? room(height_px()) / height : Infinity));
      element.scrollTop = 0;
    },
  };
}

function choosing(element, overlay) {
  return {
    choose: (line, scroll) => {
      overlay.querySelector(".line.on")?.classList.remove("on");
      const chosen = overlay.querySelector(`[data-line="${line}"]`);
      if (!chosen) return;
      chosen.classList.add("on");
      if (!scroll) return;
      const [there, here] = [chosen.getBoundingClientRect(), element.getBoundingClientRect()];
      const [top, bottom] = [Math.max(here.top, 0), Math.min(here.bottom, innerHeight)];
      if (there.top > top && there.bottom < bottom && there.left > here.left && there.right < here.right) return;
      chosen.scrollIntoView({ block: "center", inline: "center" });
    },
  };
}
