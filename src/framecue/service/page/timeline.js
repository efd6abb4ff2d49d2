/** The line under the video: score curves of labels, the moment, found segments, and where one is. */

import { el, svg } from "./dom.js";
import * as format from "./format.js";

export const COLORS = ["#4a8fe0", "#dd9b26", "#12967f", "#9a6fd0", "#cf5a6a", "#6f8f2f", "#3fa7b5", "#b0724a"];
export const MAX_LABELS = COLORS.length;

const CURVES_PX = 92;
const LANE_PX = 18;
const AXIS_PX = 22;
const TICKS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const TICK_PX = 76;

export class Timeline {
  /** `onSeek(seconds)` is called for every wish to be elsewhere. */
  constructor(place, onSeek) {
    this.onSeek = onSeek;
    this.duration = 0;
    this.clear();
    this.drawing = svg("svg", { class: "timeline-drawing", "aria-hidden": "true" });
    this.cursor = el("i", { class: "cursor" });
    this.readout = el("div", { class: "readout", hidden: true });
    this.slider = el("div", { class: "timeline", role: "slider", tabindex: "0", "aria-label": "Time in the video", "aria-valuemin": "0" },
      this.drawing, this.cursor, this.readout);
    place.append(this.slider);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.slider);
  }

  /** Forgets one video. */
  clear() {
    Object.assign(this, { moment: null, labels: [], edges: [], scores: [], segments: [] });
  }

  setVideo(duration, moment) {
    this.clear();
    Object.assign(this, { duration, moment });
    this.slider.setAttribute("aria-valuemax", duration.toFixed(1));
    this.draw();
  }

  setMoment(moment) {
    this.moment = moment;
    this.draw();
  }

  setCurves({ labels, edges_seconds: edges, scores }) {
    Object.assign(this, { labels, edges, scores });
    this.draw();
  }

  setSegments(labels, segments) {
    this.segments = segments.map((segment) => ({ ...segment, lane: Math.max(0, labels.indexOf(segment.label)) }));
    this.draw();
  }

  setTime(seconds) {
    this.seconds = seconds;
    this.cursor.style.setProperty("transform", `translateX(${this.x(seconds)}px)`);
    this.slider.setAttribute("aria-valuenow", seconds.toFixed(1));
    this.slider.setAttribute("aria-valuetext", `${format.time(seconds)} of ${format.time(this.duration)}`);
  }

  x(seconds) {
    return this.duration ? (Math.min(Math.max(seconds, 0), this.duration) / this.duration) * (this.width ?? 0) : 0;
  }

  draw() {
    this.width = this.slider.clientWidth;
    if (!this.width || !this.duration) return;
    const lanes = new Set(this.segments.map((segment) => segment.lane)).size;
    const floor = CURVES_PX + (lanes ? lanes * LANE_PX + 6 : 0);
    const height = floor + AXIS_PX;
    this.drawing.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.slider.style.setProperty("height", `${height}px`);
    this.drawing.replaceChildren(...this.axis(floor), ...this.highlight(floor), ...this.curves(), ...this.bars());
    this.setTime(this.seconds ?? 0);
  }

  axis(floor) {
    const step = TICKS.find((tick) => (tick / this.duration) * this.width >= TICK_PX) ?? TICKS.at(-1);
    const parts = [svg("line", { class: "half", x1: 0, x2: this.width, y1: this.y(0.5), y2: this.y(0.5) })];
    for (let at = 0; at <= this.duration; at += step) {
      const x = this.x(at);
      const anchor = x < 16 ? "start" : x > this.width - 16 ? "end" : "middle";
      parts.push(svg("line", { class: "tick", x1: x, x2: x, y1: 0, y2: floor }));
      parts.push(svg("text", { x, y: floor + 16, "text-anchor": anchor }, format.time(at)));
    }
    return parts;
  }

  highlight(floor) {
    if (!this.moment) return [];
    const [start, end] = [this.x(this.moment.start), this.x(this.moment.end)];
    return [svg("rect", { class: "moment", x: start, y: 0, width: Math.max(2, end - start), height: floor, rx: 3 })];
  }

  curves() {
    return this.scores.map((scores, index) => {
      const points = this.thin(scores).map(([at, score]) => `${this.x(at).toFixed(1)},${this.y(score).toFixed(1)}`);
      return svg("polyline", { class: "curve", points: points.join(" "), stroke: COLORS[index % COLORS.length] });
    });
  }

  /** The middle of every stretch of time with its score; of many stretches in one pixel, the highest. */
  thin(scores) {
    const points = scores.map((score, cell) => [(this.edges[cell] + this.edges[cell + 1]) / 2, score]);
    const share = Math.ceil(points.length / Math.max(1, this.width));
    if (share > 1) {
      const groups = Array.from({ length: Math.ceil(points.length / share) }, (_, group) => points.slice(group * share, (group + 1) * share));
      return groups.map((group) => group.reduce((best, point) => (point[1] > best[1] ? point : best)));
    }
    return points.length ? [[0, points[0][1]], ...points, [this.duration, points.at(-1)[1]]] : points;
  }

  bars() {
    const lanes = [...new Set(this.segments.map((segment) => segment.lane))].sort((a, b) => a - b);
    return this.segments.map(({ start_seconds: start, end_seconds: end, score, label, lane }) => {
      const y = CURVES_PX + 6 + lanes.indexOf(lane) * LANE_PX;
      return svg("rect", { class: "segment", x: this.x(start), y, width: Math.max(3, this.x(end) - this.x(start)), height: LANE_PX - 5, rx: 3,
        fill: COLORS[lane % COLORS.length], "fill-opacity": (0.35 + 0.65 * Math.min(1, score)).toFixed(2) },
        svg("title", {}, `${label} ${format.span(start, end)}, ${format.percent(score)}`));
    });
  }

  y(score) {
    return 5 + (1 - Math.min(1, Math.max(0, score))) * (CURVES_PX - 10);
  }

  listen() {
    const at = (event) => {
      const box = this.slider.getBoundingClientRect();
      return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * this.duration;
    };
    this.slider.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.slider.setPointerCapture(event.pointerId);
      this.dragging = true;
      this.onSeek(at(event));
    });
    this.slider.addEventListener("pointermove", (event) => {
      if (this.dragging) this.onSeek(at(event));
      this.tell(at(event));
    });
    for (const name of ["pointerup", "pointercancel"]) this.slider.addEventListener(name, () => (this.dragging = false));
    this.slider.addEventListener("pointerleave", () => (this.readout.hidden = true));
    this.slider.addEventListener("keydown", (event) => {
      const far = Math.max(10, this.duration / 10);
      const now = this.seconds ?? 0;
      const goal = { Home: 0, End: this.duration, PageUp: now + far, PageDown: now - far, ArrowUp: now + 1, ArrowDown: now - 1 }[event.key];
      if (goal === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.onSeek(goal);
    });
  }

  /** The time and scores where one points. */
  tell(seconds) {
    const cell = Math.min(this.edges.length - 2, this.edges.findLastIndex((edge) => edge <= seconds));
    const scores = cell < 0 ? [] : this.scores.map((row, index) => {
      const dot = el("i", { class: "dot" });
      dot.style.setProperty("--tint", COLORS[index % COLORS.length]);
      return el("span", {}, dot, format.percent(row[cell]));
    });
    this.readout.replaceChildren(el("b", {}, format.time(seconds)), ...scores);
    this.readout.hidden = false;
    const half = this.readout.offsetWidth / 2;
    this.readout.style.setProperty("left", `${Math.min(this.width - half, Math.max(half, this.x(seconds)))}px`);
  }
}
