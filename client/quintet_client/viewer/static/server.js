// What the server is asked, and the addresses of this page's own screens.

export function address(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given);
  return query.size ? `${path}?${query}` : path;
}

export async function get(path, parameters = {}, signal = undefined) {
  const answer = await fetch(address(path, parameters), { signal });
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.error ?? `HTTP ${answer.status}`);
  return document;
}

// A chart as the server drew it, as an element that takes our colours.
export async function chart(path, parameters = {}, signal = undefined) {
  const answer = await fetch(address(path, parameters), { signal });
  if (!answer.ok) throw new Error(`the chart cannot be drawn (HTTP ${answer.status})`);
  const drawn = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  return document.importNode(drawn, true);
}

export function thumbnail(entry) {
  return address("thumbnail", { id: entry.page_id, v: entry.updated_at });
}

export function screen(name, parameters = {}) {
  return `#/${address(name, parameters)}`;
}
