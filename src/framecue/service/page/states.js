/** What stands where the moments would: the first steps, and what went wrong. */

import { copy, el, icon } from "./dom.js";

/** How an index gets its first videos. */
export function emptyIndex(status) {
  const index = quoted(status?.folder ?? "DIR");
  const step = (words, line) => el("li", {}, words, command(line));
  return el("div", { class: "panel", id: "empty" },
    el("h1", {}, status?.building ? "The first videos are being indexed" : "No videos yet"),
    el("p", { class: "muted" }, "framecue looks through your videos once. Then you type what should be seen, and get the moments."),
    el("ol", {},
      step("Add a folder of videos, or single files. This page fills while it works.", `framecue index add ~/Videos --index ${index}`),
      step("Videos came, went or moved? Only what changed is read again.", `framecue index refresh --index ${index}`),
      step("Search here, or in the terminal.", `framecue search "a dog jumps into the water" --index ${index}`)));
}

function command(line) {
  const button = el("button", { type: "button", class: "quiet", "aria-label": `Copy: ${line}`, title: "Copy", on: { click: () => copy(line, "Command") } }, icon("copy"));
  return el("div", { class: "command" }, el("code", {}, line), button);
}

function quoted(path) {
  return /^[\w./~-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** An error in words, with a way on. */
export function trouble(error, retry, { title = null, back = null } = {}) {
  const known = {
    0: "No answer",
    400: "That search cannot be done",
    404: "Not in the index",
    409: "The file has changed",
    410: "The file is gone",
    413: "That file is too large",
    415: "That file cannot be searched by",
    422: "That search cannot be done",
    503: "Not ready",
  };
  const again = el("button", { type: "button", class: "primary", on: { click: retry } }, "Try again");
  return el("div", { class: "panel trouble", role: "alert" },
    el("h2", {}, title ?? known[error.status] ?? "Something went wrong"),
    el("p", {}, error.message),
    el("div", { class: "actions" }, again, back ? el("a", { class: "button", href: back }, "Back to the search") : null));
}
