/** The labels under the video: typed, drawn as curves, and looked for as segments. */

import { curves, localize } from "./api.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { COLORS, MAX_LABELS } from "./timeline.js";

export class Labels {
  /** `onLabels(text)` hears of typed labels; `onMoment({start, end})` of a chosen segment or peak. */
  constructor(timeline, { onLabels, onMoment }) {
    this.timeline = timeline;
    this.onMoment = onMoment;
    this.input = el("input", { id: "labels", type: "text", spellcheck: "false", placeholder: "a red circle, a blue square", enterkeyhint: "go", autocomplete: "off" });
    this.find = el("button", { type: "button", on: { click: () => this.localize() } }, "Find these actions");
    this.legend = el("ul", { class: "legend", "aria-label": "Labels; each jumps to where it is likeliest" });
    this.note = el("p", { class: "note muted", role: "status" });
    this.list = el("ol", { class: "segments", "aria-label": "Found segments" });
    const form = el("form", { class: "labels", on: { submit: (event) => {
      event.preventDefault();
      onLabels(this.input.value.trim());
    } } },
      el("label", { for: "labels", title: "Names that hold commas in quotes" }, "Labels, with commas between them"),
      el("div", { class: "row" }, this.input, el("button", { type: "submit" }, "Draw"), this.find));
    this.element = el("div", { class: "under" }, this.legend, form, this.note, this.list);
  }

  /** Draws the labels, a text as it is typed, for a video; an earlier question that is still open is dropped. */
  async show(id, labels) {
    this.id = id;
    this.request?.abort();
    this.request = new AbortController();
    this.input.value = labels;
    this.list.replaceChildren();
    this.timeline.setSegments([], []);
    this.find.disabled = !labels.length;
    if (!labels) {
      this.draw({ labels: [], edges_seconds: [], scores: [] });
      this.note.textContent = "Type what to look for: its score is drawn over the time of the video.";
      return;
    }
    try {
      const found = await curves(id, labels, this.request.signal);
      const more = found.labels.length - MAX_LABELS;
      this.note.textContent = more > 0 ? `The first ${MAX_LABELS} labels are drawn; ${more} more were typed.` : "";
      this.draw({ ...found, labels: found.labels.slice(0, MAX_LABELS), scores: found.scores.slice(0, MAX_LABELS) });
    } catch (error) {
      if (error.name === "AbortError") return;
      this.draw({ labels: [], edges_seconds: [], scores: [] });
      this.note.textContent = error.message;
    }
  }

  draw(found) {
    this.timeline.setCurves(found);
    this.legend.replaceChildren(...found.labels.map((label, index) => {
      const scores = found.scores[index];
      const best = scores.indexOf(Math.max(...scores));
      const [start, end] = [found.edges_seconds[best], found.edges_seconds[best + 1]];
      const go = el("button", { type: "button", title: `Jump to ${format.time(start)}, where it is likeliest`, on: { click: () => this.onMoment({ start, end }) } },
        dot(index), el("span", { class: "label" }, label), el("span", { class: "muted" }, `${format.percent(scores[best])} at ${format.time(start)}`));
      return el("li", {}, go);
    }));
  }

  async localize() {
    const labels = this.input.value.trim();
    if (!labels) return this.input.focus();
    const { id, request: { signal } } = this;
    this.find.disabled = true;
    this.note.textContent = "Watching the video for these actions …";
    try {
      const found = await localize(id, labels, signal);
      if (!signal.aborted) this.showSegments(found);
    } catch (error) {
      if (error.name !== "AbortError" && !signal.aborted) this.note.textContent = error.message;
    }
    if (!signal.aborted) this.find.disabled = false;
  }

  showSegments({ labels, segments }) {
    this.timeline.setSegments(labels, segments);
    const words = segments.length ? `${format.count(segments.length, "segment")} found.` : "None of these actions was found in this video.";
    this.note.textContent = words;
    this.list.replaceChildren(...segments.map(({ start_seconds: start, end_seconds: end, label, score }) =>
      el("li", {}, el("button", { type: "button", on: { click: () => this.onMoment({ start, end }) } },
        dot(Math.max(0, labels.indexOf(label))), el("span", { class: "label" }, label),
        el("span", { class: "muted" }, `${format.span(start, end)} · ${format.percent(score)}`)))));
  }
}

function dot(index) {
  const mark = el("i", { class: "dot", "aria-hidden": "true" });
  mark.style.setProperty("--tint", COLORS[index % COLORS.length]);
  return mark;
}
