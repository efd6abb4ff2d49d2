/** The grid of moments, and everything that may stand in its place. */

import { findMoments, listVideos, PAGE_SIZE } from "./api.js";
import { momentCard, placeholders, videoCard } from "./card.js";
import { byId, el } from "./dom.js";
import * as format from "./format.js";
import { stop } from "./preview.js";
import { searchHash, videoHash } from "./route.js";
import { emptyIndex, trouble } from "./states.js";

const MOST = 200;

export class Results {
  /** `box` holds the example file; `onLost()` hears of a server that does not answer. */
  constructor(box, onLost) {
    Object.assign(this, { box, onLost });
    this.section = byId("results");
    this.body = byId("results-body");
    this.moments = [];
    this.shown = null;
    this.scroll = 0;
    this.status = null;
    this.version = null;
  }

  get visible() {
    return !this.section.hidden;
  }

  /** Shows the results of a search; those that are there already stay, where they were. */
  async show(search) {
    this.section.hidden = false;
    const key = this.key(search);
    if (key === this.shown) {
      scrollTo(0, this.scroll);
      this.focusLast();
      return;
    }
    await this.load(search, key);
  }

  hide() {
    if (this.section.hidden) return;
    this.scroll = scrollY;
    this.section.hidden = true;
    stop();
  }

  /** The same again, of what the index holds now. */
  reload() {
    return this.load(this.search);
  }

  /** What tells one search from another: the address, and which file was dropped. */
  key(search) {
    return `${searchHash(search)} ${search.example ? (this.box.file?.taken ?? "") : ""}`;
  }

  async load(search, key = this.key(search)) {
    const grown = this.search && searchHash({ ...search, topK: null }) === searchHash({ ...this.search, topK: null });
    Object.assign(this, { search, shown: key });
    this.request?.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    if (!grown || !this.body.querySelector(".card")) this.wait(search);
    this.section.setAttribute("aria-busy", "true");
    try {
      await this.fill(search, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.fail(error, search);
    }
    this.section.removeAttribute("aria-busy");
  }

  /** A search that the server would not answer; it is not kept, so that coming back asks again. */
  fail(error, search) {
    Object.assign(this, { shown: null, moments: [], failed: error.status === 0 || error.status >= 500 });
    this.head("", "");
    this.put(trouble(error, () => this.load(search)));
    if (error.status === 0) this.onLost();
  }

  wait(search) {
    scrollTo(0, 0);
    this.head(search.q ? `Searching for “${search.q}” …` : "One moment …", "", false);
    this.put(placeholders(8));
  }

  async fill(search, signal) {
    const { q, like, example } = search;
    const file = example ? this.box.file : null;
    if (example && !file) this.askForFile(example);
    else if (q || like || file) this.fillMoments(await findMoments(search, file, signal), search);
    else this.fillVideos(await listVideos(search, signal), search);
    this.failed = false;
    this.remember(this.status);
  }

  /** What the index was when these results were made. */
  remember(status) {
    this.version = status?.version ?? null;
    this.numVideos = status?.num_videos ?? null;
  }

  fillMoments(found, search) {
    this.moments = found.moments;
    const matching = found.moments.filter((moment) => moment.is_match);
    const others = found.moments.filter((moment) => !moment.is_match);
    const asked = search.example ?? found.query;
    const about = `${format.count(found.num_videos, "video")} searched in ${format.took(found.took_seconds)}${found.exact ? "" : ", approximately"}`;
    if (!found.moments.length) {
      this.head(`Nothing to search for “${asked}”`, "No video passes these filters.");
      return this.put(this.noVideos(search));
    }
    const title = {
      nothing: `Nothing here matches “${asked}”, the nearest are:`,
      unsure: `No sure match for “${asked}”, the nearest are:`,
    }[found.verdict] ?? `${format.count(matching.length, "moment")} for “${asked}”`;
    this.head(title, about);
    const grid = (moments) => el("ol", { class: "grid", role: "list" }, moments.map((moment) => momentCard(moment, { href: this.linkTo(moment) })));
    const parts = [];
    if (matching.length) parts.push(grid(matching));
    if (matching.length && others.length) parts.push(el("h2", { class: "divider" }, "Less likely"));
    if (others.length) parts.push(grid(others));
    this.put(...parts, this.more(found.moments.length, search, "moments"));
  }

  linkTo({ video_id: id, start_seconds: start, end_seconds: end }) {
    return videoHash(id, { start, end, q: this.search.q });
  }

  fillVideos(found, search) {
    this.moments = [];
    const filtered = searchHash({ ...search, topK: null }) !== "#/";
    if (!found.total && !filtered) {
      this.head("", "");
      return this.put(emptyIndex(this.status));
    }
    if (!found.total) {
      this.head("No video passes these filters", "");
      return this.put(this.noVideos(search));
    }
    this.head(filtered ? `${format.count(found.total, "video")} with these filters` : format.count(found.total, "video"),
      "Describe what should be seen, in plain words, and get the moments.");
    const cards = found.videos.map((video) => videoCard(video, { href: videoHash(video.video_id) }));
    this.put(el("ol", { class: "grid", role: "list" }, cards), this.more(found.videos.length, search, "videos", found.total));
  }

  noVideos(search) {
    const all = searchHash({ q: search.q, like: search.like });
    return el("div", { class: "panel" }, el("h2", {}, "The filters leave no video"),
      el("p", {}, "Widen them, or search all videos."), el("div", { class: "actions" }, el("a", { class: "button", href: all }, "Search without filters")));
  }

  /** A page cannot read a file again by itself after it was reloaded. */
  askForFile(name) {
    this.moments = [];
    this.head(`Which file is ${name}?`, "");
    const choose = el("button", { type: "button", class: "primary", on: { click: () => byId("file").click() } }, "Choose the file");
    this.put(el("div", { class: "panel" }, el("h2", {}, "Choose the example again"),
      el("p", {}, `This search was by the file ${name}. A page may not open files by itself: drop it here again, or choose it.`),
      el("div", { class: "actions" }, choose)));
  }

  more(number, search, noun, total = MOST) {
    const wanted = search.topK ?? PAGE_SIZE;
    if (number < wanted || wanted >= MOST || number >= total) return "";
    const next = { ...search, topK: Math.min(MOST, wanted + PAGE_SIZE) };
    const button = el("button", { type: "button", on: { click: () => {
      button.disabled = true;
      history.replaceState(null, "", searchHash(next));
      this.load(next);
    } } }, `More ${noun}`);
    return el("div", { class: "more" }, button);
  }

  head(title, note, aloud = true) {
    byId("results-title").textContent = title;
    byId("results-note").textContent = note;
    byId("results-title").parentElement.hidden = !title;
    if (aloud) byId("announcement").textContent = `${title} ${note}`;
  }

  put(...parts) {
    stop();
    this.body.replaceChildren(...parts.filter(Boolean));
  }

  /** Back on the card that was opened. */
  focusLast() {
    const open = [...this.body.querySelectorAll(".open")].find((link) => link.getAttribute("href") === this.opened);
    open?.focus({ preventScroll: true, focusVisible: false });
  }
}
