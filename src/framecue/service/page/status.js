/** Asks for the state of the index: often while it is being built, or while the server is away; seldom otherwise. */

import { status } from "./api.js";
import { byId } from "./dom.js";
import * as format from "./format.js";

const BUILDING_MS = 2000;
const AWAY_MS = 4000;
const QUIET_MS = 15000;

export class StatusLine {
  /** `onStatus(status, back)`: `back` = the server answers again after it did not. */
  constructor(onStatus) {
    this.onStatus = onStatus;
    this.lost = false;
    this.line = byId("index-status");
    document.addEventListener("visibilitychange", () => document.hidden || this.ask());
    addEventListener("online", () => this.ask());
  }

  async ask() {
    clearTimeout(this.timer);
    let wait = AWAY_MS;
    try {
      const found = await status();
      const back = this.lost;
      this.lost = false;
      this.show(found);
      this.onStatus(found, back);
      wait = found.building ? BUILDING_MS : QUIET_MS;
    } catch (error) {
      if (error.status === undefined) throw error;
      if (error.status === 401) return; // signing in asks again
      this.lost = true;
      this.line.classList.add("lost");
      this.say(error.status ? error.message : "No connection to the framecue server; trying again …");
      byId("index-progress").hidden = true;
    }
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.ask(), wait);
  }

  show({ num_videos: videos, num_moments: moments, total_seconds: seconds, size_bytes: size, building, backbone, adapter }) {
    this.line.classList.remove("lost");
    this.line.title = `Backbone ${backbone}${adapter ? `, adapter ${adapter}` : ", no adapter"}; ${format.bytes(size)} on disk`;
    byId("index-progress").hidden = !building;
    if (building) return this.showBuilding(building);
    this.say(videos ? `${format.count(videos, "video")} · ${format.count(moments, "moment")} · ${format.duration(seconds)} of footage` : "The index is empty");
  }

  showBuilding({ videos_done: done, num_videos: all, current, seconds_left: left }) {
    const bar = byId("index-progress");
    bar.setAttribute("aria-valuemax", all);
    bar.setAttribute("aria-valuenow", done);
    bar.firstElementChild.style.setProperty("--done", all ? Math.min(1, done / all) : 0);
    const rest = left === null || left === undefined ? "" : ` · about ${format.duration(left)} left`;
    this.say(`Indexing ${done} of ${all}${rest}${current ? ` · ${String(current).split(/[\\/]/).pop()}` : ""}`);
  }

  say(words) {
    const place = byId("index-words");
    if (place.textContent !== words) place.textContent = words;
  }
}
