/**
 * What the address says, and the address of what is shown.
 *
 *     /#/?q=a+red+circle&path=holiday/*&where=camera=3     a search; also ?like=VIDEO_ID&start=3.5&end=5
 *     /#/video/VIDEO_ID?t=3.5&end=5&q=...&labels=a,b        a moment
 */

import { plain } from "./format.js";

export const FILTERS = ["path", "after", "before", "min_duration", "max_duration", "min_score"];

/** Either {view: "search", search} or {view: "video", id, start, end, q, labels}; labels are as they were typed. */
export function parse(hash) {
  const [path, query = ""] = split(hash.replace(/^#\/?/, ""), "?");
  const words = new URLSearchParams(query);
  const video = /^video\/([^/]+)$/.exec(path);
  if (!video) return { view: "search", search: parseSearch(words) };
  return {
    view: "video",
    id: decode(video[1]),
    start: number(words.get("t")),
    end: number(words.get("end")),
    q: (words.get("q") ?? "").trim(),
    labels: words.get("labels"),
  };
}

function parseSearch(words) {
  const search = { q: (words.get("q") ?? "").trim(), where: words.getAll("where"), topK: number(words.get("top_k")) };
  for (const name of FILTERS) search[name] = words.get(name) ?? "";
  if (words.has("like")) {
    const [start, end] = [number(words.get("start")), number(words.get("end"))];
    search.like = { id: words.get("like"), start, end };
  }
  if (words.has("example")) search.example = words.get("example");
  return search;
}

/** The search as a query string, for the address and, without `example`, for the server. */
export function searchWords(search) {
  const words = new URLSearchParams();
  if (search.q && !search.like && !search.example) words.set("q", search.q);
  if (search.example) words.set("example", search.example);
  if (search.like) {
    words.set("like", search.like.id);
    if (search.like.start !== null) words.set("start", plain(search.like.start));
    if (search.like.end !== null) words.set("end", plain(search.like.end));
  }
  for (const name of FILTERS) if (search[name]) words.set(name, search[name]);
  for (const condition of search.where ?? []) words.append("where", condition);
  if (search.topK) words.set("top_k", String(search.topK));
  return words;
}

export function searchHash(search) {
  const words = searchWords(search).toString();
  return words ? `#/?${words}` : "#/";
}

export function videoHash(id, { start = null, end = null, q = "", labels = null } = {}) {
  const words = new URLSearchParams();
  if (start !== null) words.set("t", plain(start));
  if (end !== null) words.set("end", plain(end));
  if (q) words.set("q", q);
  if (labels !== null) words.set("labels", labels);
  const text = words.toString();
  return `#/video/${encodeURIComponent(id)}${text ? `?${text}` : ""}`;
}

function number(text) {
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) && value >= 0 ? value : null;
}

function split(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
