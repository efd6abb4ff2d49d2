/** The service, as the page asks it. */

import { plain } from "./format.js";
import { FILTERS, searchWords } from "./route.js";

/** An answer that is none; status 0 = the server was not reached. */
export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const PAGE_SIZE = 24;
const LONGEST_ADDRESS = 6000;

/** Sign-ins are waited for elsewhere: an answer 401 is told to whoever listens here. */
export const needsSignIn = new EventTarget();

async function ask(address, options = {}) {
  if (address.length > LONGEST_ADDRESS) throw new ServiceError(422, "That is too much text for one search; say it in a sentence or two.");
  let response;
  try {
    response = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, navigator.onLine ? "The framecue server does not answer. Is it still running?" : "You are offline.");
  }
  const body = await response.json().catch(() => null);
  if (response.status === 401) needsSignIn.dispatchEvent(new Event("needed"));
  if (!response.ok || body === null) {
    throw new ServiceError(response.status, body?.error ?? `The server answered ${response.status} without saying why.`);
  }
  return body;
}

function post(address, value, signal) {
  return ask(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
    signal,
  });
}

export function status() {
  return ask("/api/status");
}

/** Moments for a search; `file` is the example, where there is one. */
export function findMoments(search, file, signal) {
  const words = withZones(searchWords({ ...search, example: null, topK: search.topK ?? PAGE_SIZE }));
  if (!file) return ask(`/api/search?${words}`, { signal });
  const form = new FormData();
  form.set("file", file.data, file.data.name);
  if (file.start !== null) form.set("start", plain(file.start));
  if (file.end !== null) form.set("end", plain(file.end));
  for (const [name, value] of words) form.append(name, value);
  return ask("/api/search", { method: "POST", body: form, signal });
}

/** A day is one of whoever looks at the page, wherever the server stands. */
function withZones(words) {
  for (const name of ["after", "before"]) {
    const text = words.get(name) ?? "";
    const date = new Date(text.includes("T") ? text : `${text}T00:00`);
    if (!Number.isNaN(date.getTime())) words.set(name, date.toISOString());
  }
  return words;
}

export function listVideos(search, signal) {
  const words = new URLSearchParams({ offset: "0", limit: String(search.topK ?? PAGE_SIZE) });
  for (const name of FILTERS) if (search[name] && name !== "min_score") words.set(name, search[name]);
  for (const condition of search.where ?? []) words.append("where", condition);
  return ask(`/api/videos?${withZones(words)}`, { signal });
}

export function video(id, signal) {
  return ask(`/api/videos/${encodeURIComponent(id)}`, { signal });
}

/** Labels are a text as it was typed; the service says which names are in it. */
export function curves(id, labels, signal) {
  return ask(`/api/videos/${encodeURIComponent(id)}/curves?${new URLSearchParams({ labels })}`, { signal });
}

export function localize(id, labels, signal) {
  return post("/api/localize", { video_id: id, labels }, signal);
}

/** Gives the server the token; its cookie does the rest. */
export async function signIn(token) {
  await fetch(`/?${new URLSearchParams({ token })}`, { credentials: "same-origin" });
  return status();
}

export function stretchUrl(videoUrl, start, end) {
  return `${videoUrl}?${new URLSearchParams({ as: "mp4", start: plain(start), end: plain(end) })}`;
}

export function thumbnailUrl(id, seconds) {
  return `/thumbnails/${encodeURIComponent(id)}.jpg?t=${seconds.toFixed(3)}`;
}
