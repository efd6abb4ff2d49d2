/** One video at one moment: the picture, the line of time under it, its labels and details. */

import { findMoments, stretchUrl, video as askVideo } from "./api.js";
import { byId, copy, el, icon } from "./dom.js";
import { Footage } from "./footage.js";
import * as format from "./format.js";
import { Labels } from "./labels.js";
import { parse, searchHash, videoHash } from "./route.js";
import { trouble } from "./states.js";
import { scoreBar } from "./card.js";
import { Timeline } from "./timeline.js";

const LONGEST_CUT_SECONDS = 60; // the server cuts no more at a time

export class Player {
  /** `results` has the moments that were found; `onClose()` leads back to them. */
  constructor(results, onClose) {
    Object.assign(this, { results, onClose, route: null, video: null });
    this.section = byId("player");
    this.build();
    this.footage = new Footage(this.screen);
    this.footage.addEventListener("time", () => this.tell());
    this.footage.addEventListener("failed", () => this.fail());
  }

  get visible() {
    return !this.section.hidden;
  }

  build() {
    this.title = el("h1", { id: "player-title", tabindex: "-1" });
    this.screen = el("video", { playsinline: true, preload: "auto", "aria-label": "The video" });
    this.cover = el("button", { type: "button", class: "cover", "aria-label": "Play", on: { click: () => this.footage.toggle() } }, icon("play"));
    this.stage = el("div", { class: "stage" }, this.screen, this.cover, el("div", { class: "spinner", "aria-hidden": "true" }));
    this.screen.addEventListener("click", () => this.footage.toggle());
    this.screen.addEventListener("dblclick", () => this.fullscreen());
    for (const name of ["loadstart", "waiting", "seeking"]) this.screen.addEventListener(name, () => this.stage.classList.add("loading"));
    for (const name of ["canplay", "seeked", "playing", "error", "emptied"]) this.screen.addEventListener(name, () => this.stage.classList.remove("loading"));
    document.addEventListener("fullscreenchange", () => (this.screen.controls = document.fullscreenElement === this.screen));
    const control = (name, words, act) => el("button", { type: "button", class: "quiet", "aria-label": words, title: words, on: { click: act } }, icon(name));
    this.playButton = control("play", "Play (space)", () => this.footage.toggle());
    this.loopButton = control("loop", "Loop the moment (l)", () => this.toggleLoop());
    this.soundButton = control("sound", "Sound (m)", () => this.toggleSound());
    this.clock = el("span", { class: "clock" });
    this.speed = el("select", { "aria-label": "Speed", on: { change: () => (this.screen.playbackRate = Number(this.speed.value)) } },
      [0.25, 0.5, 1, 1.5, 2].map((rate) => el("option", { value: rate, selected: rate === 1 }, `${rate}×`)));
    const controls = el("div", { class: "controls" }, this.playButton, this.clock, el("span", { class: "gap" }), this.loopButton, this.speed,
      this.soundButton, control("full", "Full screen (f)", () => this.fullscreen()));
    const line = el("div", { class: "line" });
    this.timeline = new Timeline(line, (seconds) => this.footage.seek(seconds));
    this.labels = new Labels(this.timeline, { onLabels: (labels) => this.replace({ labels }), onMoment: (moment) => this.choose(moment) });
    this.trouble = el("div");
    this.film = el("div", { class: "film" }, this.stage, controls, line, this.labels.element);
    this.details = el("aside", { class: "details", "aria-label": "About this moment" });
    const back = el("button", { type: "button", class: "quiet back", on: { click: () => this.onClose() } }, icon("back"), "Results", el("kbd", { "aria-hidden": "true" }, "Esc"));
    this.section.append(el("div", { class: "player-head" }, back, this.title), this.trouble, el("div", { class: "columns" }, this.film, this.details));
  }

  /** Shows what the address says; the same video stays open where only moment or labels changed. */
  async show(route) {
    const same = this.visible && this.video?.video_id === route.id;
    const before = this.route;
    this.route = route;
    this.section.hidden = false;
    if (same) {
      if (before.start !== route.start || before.end !== route.end) this.jump();
      if (before.labels !== route.labels || before.q !== route.q) this.labels.show(route.id, this.wanted());
      return this.describe();
    }
    await this.load();
  }

  async load() {
    const { route } = this;
    this.request?.abort();
    this.request = new AbortController();
    this.clear();
    this.title.textContent = "One moment …";
    try {
      this.video = await askVideo(route.id, this.request.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.refuse(error);
      return;
    }
    this.film.hidden = this.details.hidden = false;
    this.title.textContent = document.title = this.video.name;
    this.timeline.setVideo(this.video.duration_seconds, this.moment());
    this.describe();
    this.labels.show(route.id, this.wanted());
    if (this.video.missing || this.video.changed) this.fail();
    else this.footage.open(this.video, route.start ?? 0);
    this.title.focus({ preventScroll: true });
    this.findOthers(this.request.signal);
  }

  clear() {
    scrollTo(0, 0);
    this.footage.close();
    this.footage.loop = null;
    this.loopButton.setAttribute("aria-pressed", "false");
    this.video = null;
    this.trouble.replaceChildren();
    this.film.hidden = this.details.hidden = true;
    this.stage.classList.remove("gone", "loading");
  }

  hide() {
    if (this.section.hidden) return;
    this.request?.abort();
    this.clear();
    this.section.hidden = true;
  }

  /** After a shared link, the other moments of its search are worth a look, too. */
  async findOthers(signal) {
    const { q } = this.route;
    if (!q || this.results.moments.length) return;
    try {
      const found = await findMoments({ q }, null, signal);
      this.others = { q, moments: found.moments };
      this.describe();
    } catch {
      // the moment itself is what was asked for
    }
  }

  refuse(error) {
    this.title.textContent = "This moment cannot be shown";
    this.trouble.replaceChildren(trouble(error, () => this.load(), { back: this.backHash() }));
  }

  /** The file cannot be played: gone or changed since it was indexed, or broken. */
  fail() {
    this.stage.classList.add("gone");
    const { missing, changed, path, name } = this.video;
    const [status, words] = missing ? [410, `${path} is not there any more. “framecue index refresh” brings the index up to date.`]
      : changed ? [409, `${path} changed since it was indexed, so its moments would be wrong ones. “framecue index refresh” looks at it again.`]
      : [415, `${name} cannot be played here: neither the browser nor the server could read this part of it.`];
    this.trouble.replaceChildren(trouble(Object.assign(new Error(words), { status }), () => this.load(), {
      title: status === 415 ? "This video cannot be played" : null, back: this.backHash(),
    }));
  }

  /** Labels as they are typed; the search is one, in quotes where it would be taken for several. */
  wanted() {
    const { labels, q } = this.route;
    const name = q.replace(/\s+/g, " ");
    return labels ?? (/^"|,/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);
  }

  moment() {
    const { start, end } = this.route;
    return start === null ? null : { start, end: Math.max(end ?? start, start) };
  }

  backHash() {
    return searchHash({ q: this.route.q });
  }

  /** Changes the address without a new step in the history. */
  replace(change) {
    const route = { ...this.route, ...change };
    history.replaceState(history.state, "", videoHash(route.id, route));
    return this.show(parse(location.hash));
  }

  /** Another moment in this one's place, so that "back" leads to the results, not through all that was looked at. */
  replaceBy(hash) {
    history.replaceState(history.state, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  }

  choose({ start, end }) {
    this.replace({ start, end });
    this.footage.seek(start);
    this.footage.play();
  }

  jump() {
    this.timeline.setMoment(this.moment());
    if (this.footage.loop) this.footage.loop = this.moment();
    this.footage.seek(this.route.start ?? 0);
  }

  tell() {
    if (!this.video) return;
    const { seconds, playing } = this.footage;
    this.timeline.setTime(seconds);
    this.clock.textContent = `${format.time(Math.floor(seconds * 10) / 10)} / ${format.time(this.video.duration_seconds)}`;
    if (this.told === `${playing} ${this.screen.muted}`) return;
    this.told = `${playing} ${this.screen.muted}`;
    this.cover.hidden = playing;
    this.draw(this.playButton, playing ? "pause" : "play", playing ? "Pause (space)" : "Play (space)");
    this.draw(this.soundButton, this.screen.muted ? "muted" : "sound", this.screen.muted ? "Sound on (m)" : "Sound off (m)");
  }

  draw(button, name, words) {
    button.replaceChildren(icon(name));
    button.setAttribute("aria-label", words);
    button.title = words;
  }

  toggleLoop() {
    const moment = this.moment();
    this.footage.loop = this.footage.loop || !moment || moment.end - moment.start < 0.1 ? null : moment;
    this.loopButton.setAttribute("aria-pressed", String(Boolean(this.footage.loop)));
    const { seconds, loop } = this.footage;
    if (loop && (seconds < loop.start || seconds >= loop.end)) this.footage.seek(loop.start);
    if (loop) this.footage.play();
  }

  toggleSound() {
    this.screen.muted = !this.screen.muted;
  }

  fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.screen.requestFullscreen?.().catch(() => {});
  }

  /** Where one is, as a link: the moment while one is in it, else this very second. */
  copyLink() {
    const { seconds } = this.footage;
    const moment = this.moment();
    const inside = moment && seconds >= moment.start - 0.2 && seconds <= moment.end + 0.2;
    const place = inside ? moment : { start: Math.round(seconds * 10) / 10, end: null };
    const hash = videoHash(this.route.id, { ...this.route, ...place });
    return copy(new URL(hash, location.href.split("#")[0]).href, `Link to ${format.time(place.start)}`);
  }

  found() {
    return this.results.moments.length ? this.results.moments : this.others?.q === this.route.q ? this.others.moments : [];
  }

  index() {
    const { id, start } = this.route;
    return this.found().findIndex((moment) => moment.video_id === id && Math.abs(moment.start_seconds - (start ?? -1)) < 0.01);
  }

  /** To the next or previous moment that was found. */
  step(by) {
    const next = this.found()[this.index() + by];
    if (next && (this.index() >= 0 || by > 0)) this.replaceBy(this.linkTo(next));
  }

  linkTo({ video_id: id, start_seconds: start, end_seconds: end }) {
    return videoHash(id, { start, end, q: this.route.q });
  }

  describe() {
    const { video } = this;
    if (!video) return;
    const moment = this.moment();
    const found = this.found()[this.index()];
    const row = (name, value) => [el("dt", {}, name), el("dd", {}, String(value))];
    const cut = moment && { start: moment.start, end: Math.min(moment.end, moment.start + LONGEST_CUT_SECONDS) };
    const actions = el("div", { class: "actions" },
      el("button", { type: "button", on: { click: () => this.copyLink() } }, icon("link"), "Copy link"),
      cut && cut.end > cut.start && !video.missing && !video.changed
        ? el("a", { class: "button", href: stretchUrl(video.video_url, cut.start, cut.end), download: this.clipName(cut) },
            icon("download"), cut.end < moment.end ? `Download the first ${LONGEST_CUT_SECONDS} s` : "Download")
        : null,
      el("a", { class: "button", href: searchHash({ like: { id: video.video_id, start: moment?.start ?? null, end: moment?.end ?? null } }) }, icon("like"), "More like this"));
    this.details.replaceChildren(
      moment ? el("h2", {}, moment.end > moment.start ? format.span(moment.start, moment.end) : format.time(moment.start)) : "",
      found ? scoreBar(found) : "",
      actions,
      el("dl", {}, row("Length", format.duration(video.duration_seconds)), video.date ? row("Date", format.date(video.date)) : [],
        Object.entries(video.metadata ?? {}).map(([name, value]) => row(name, value)), row("File", video.path)),
      this.otherMoments());
  }

  clipName({ start, end }) {
    const stem = this.video.name.replace(/\.[^.]*$/, "").replace(/[\\/:*?"<>|]+/g, "_");
    return `${stem} ${start.toFixed(1)}-${end.toFixed(1)}.mp4`;
  }

  otherMoments() {
    const moments = this.found().slice(0, 12);
    if (moments.length < 2) return "";
    const here = this.found()[this.index()];
    const item = (moment) => {
      const image = el("img", { src: moment.thumbnail_url, alt: "", loading: "lazy" });
      image.addEventListener("error", () => (image.hidden = true));
      const link = el("a", { href: this.linkTo(moment), "aria-current": moment === here ? "true" : null }, image,
        el("span", {}, el("span", { class: "name" }, moment.name), el("span", { class: "muted" }, `${format.span(moment.start_seconds, moment.end_seconds)} · ${format.percent(moment.score)}`)));
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        this.replaceBy(link.hash);
      });
      return el("li", {}, link);
    };
    return el("section", { class: "others", "aria-label": "Also found" }, el("h2", {}, "Also found"), el("ol", {}, moments.map(item)));
  }
}
