/** A video on its own clock, whether the browser reads the file or the server transcodes it stretch by stretch. */

import { stretchUrl } from "./api.js";
import { still } from "./dom.js";

const STRETCH_SECONDS = 30;
const LEAD_SECONDS = 1;

export class Footage extends EventTarget {
  /** Sends "time" whenever the clock or the state has moved, "failed" where nothing can be played. */
  constructor(element) {
    super();
    this.element = element;
    this.range = null;
    const tell = () => this.dispatchEvent(new Event("time"));
    for (const name of ["timeupdate", "seeking", "seeked", "play", "pause", "volumechange", "loadeddata"]) element.addEventListener(name, tell);
    element.addEventListener("play", () => this.follow());
    element.addEventListener("ended", () => this.goOn());
    element.addEventListener("error", () => this.rescue());
  }

  /** Opens an indexed video at a time, and plays unless motion is unwelcome. */
  open(video, seconds) {
    this.video = video;
    this.transcoded = !video.playable;
    this.loop = this.loop && null;
    this.load(seconds, !still());
  }

  close() {
    this.video = this.range = null;
    this.element.pause();
    this.element.removeAttribute("src");
    this.element.load();
  }

  get duration() {
    return this.video?.duration_seconds ?? 0;
  }

  /** Seconds from the start of the whole video. */
  get seconds() {
    if (this.waiting !== null && this.waiting !== undefined) return this.waiting;
    return (this.range?.start ?? 0) + this.element.currentTime;
  }

  get playing() {
    return !this.element.paused && !this.element.ended;
  }

  seek(seconds) {
    if (!this.video) return;
    const goal = Math.min(Math.max(0, seconds), Math.max(0, this.duration - 0.05));
    if (this.range && (goal < this.range.start || goal >= this.range.end)) return this.load(goal, this.playing);
    if (this.waiting !== null) this.waiting = goal;
    else this.element.currentTime = goal - (this.range?.start ?? 0);
    this.dispatchEvent(new Event("time"));
  }

  toggle() {
    if (this.playing) this.element.pause();
    else this.play();
  }

  /** Plays; silently where the browser allows sound only after a click. */
  play() {
    if (this.duration && this.seconds >= this.duration - 0.1) this.seek(this.loop?.start ?? 0);
    this.element.play().catch((error) => {
      if (error.name !== "NotAllowedError" || this.element.muted) return;
      this.element.muted = true;
      this.element.play().catch(() => {});
    });
  }

  /** One frame or so forth or back; the file's own rate is not known here. */
  nudge(direction) {
    this.element.pause();
    this.seek(this.seconds + direction * 0.04);
  }

  load(seconds, play) {
    this.waiting = seconds;
    this.range = null;
    let source = this.video.video_url;
    if (this.transcoded) {
      const start = Math.max(0, seconds - LEAD_SECONDS);
      this.range = { start, end: Math.min(this.duration, start + STRETCH_SECONDS) };
      source = stretchUrl(source, this.range.start, this.range.end);
    }
    this.element.addEventListener("loadedmetadata", () => {
      const goal = this.waiting ?? seconds;
      this.waiting = null;
      this.element.currentTime = Math.max(0, goal - (this.range?.start ?? 0));
      if (play) this.play();
    }, { once: true, signal: this.fresh() });
    this.element.src = source;
  }

  /** Forgets what the last source still waited for. */
  fresh() {
    this.pending?.abort();
    this.pending = new AbortController();
    return this.pending.signal;
  }

  follow() {
    const step = () => {
      if (!this.playing) return;
      if (this.loop && this.waiting === null && this.seconds >= this.loop.end) this.seek(this.loop.start);
      this.dispatchEvent(new Event("time"));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** At the end of a transcoded stretch the next one follows. */
  goOn() {
    if (this.loop) this.seek(this.loop.start), this.play();
    else if (this.range && this.range.end < this.duration - 0.1) this.load(this.range.end + LEAD_SECONDS, true);
    else this.dispatchEvent(new Event("time"));
  }

  /** What the browser cannot read, the server transcodes; where that fails too, there is nothing to show. */
  rescue() {
    if (!this.video) return;
    if (this.transcoded) return void this.dispatchEvent(new Event("failed"));
    this.transcoded = true;
    this.load(this.waiting ?? this.seconds, !still());
  }
}
