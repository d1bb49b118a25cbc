// Elements out of data. Text only ever becomes text: nothing here parses HTML.

export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// Pieces of a text, those that were searched for marked.
export function marked(parts) {
  return parts.map(([text, hit]) => (hit ? h("mark", {}, text) : text));
}

export function number(value) {
  return value.toLocaleString("en");
}

export function size(bytes) {
  if (bytes < 0) return "";
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

// "a/b/c.png" as folder and file.
export function split(pageId) {
  const cut = pageId.lastIndexOf("/") + 1;
  return [pageId.slice(0, cut), pageId.slice(cut)];
}

// A duration as people write it: 0:07, 12:30, 3:05:00.
export function clock(seconds) {
  const whole = Math.round(seconds);
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
