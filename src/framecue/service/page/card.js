/** The cards of the grid, and the ways from one to the next. */

import { thumbnailUrl } from "./api.js";
import { el, icon } from "./dom.js";
import * as format from "./format.js";
import { movable } from "./preview.js";
import { searchHash } from "./route.js";

/** A card that plays its moment and opens it. */
export function momentCard(moment, { href }) {
  const { start_seconds: start, end_seconds: end } = moment;
  const picture = pictureOf(moment.thumbnail_url, format.span(start, end));
  const words = el("div", { class: "words" },
    el("span", { class: "name", title: moment.path ?? moment.name }, moment.name),
    scoreBar(moment));
  const like = el("a", { class: "button like", href: searchHash({ like: { id: moment.video_id, start, end } }), title: "More like this" },
    icon("like"), el("span", { class: "away" }, `More like ${moment.name} at ${format.span(start, end)}`));
  const card = el("li", { class: moment.is_match ? "card" : "card weak" }, el("a", { class: "open", href }, picture, words), like);
  movable(card, picture, moment);
  return card;
}

/** A card of a whole video, for an index that nobody has asked yet; it plays from a third on. */
export function videoCard(video, { href }) {
  const start = video.duration_seconds / 3;
  const picture = pictureOf(video.thumbnail_url ?? thumbnailUrl(video.video_id, start), format.duration(video.duration_seconds));
  const words = el("div", { class: "words" },
    el("span", { class: "name", title: video.path }, video.name),
    el("span", { class: "about" }, video.date ? format.date(video.date) : " "));
  const card = el("li", { class: "card video" }, el("a", { class: "open", href }, picture, words));
  movable(card, picture, { ...video, start_seconds: start, end_seconds: Math.min(video.duration_seconds, start + 6) });
  return card;
}

export function placeholders(number) {
  const one = () => el("li", { class: "card skeleton" }, el("div", { class: "picture" }), el("div", { class: "words" }, el("i"), el("i")));
  return el("ol", { class: "grid", "aria-hidden": "true" }, Array.from({ length: number }, one));
}

/** How sure a moment is; in color only where it is a match. */
export function scoreBar({ score, is_match: isMatch }) {
  const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("i"));
  bar.style.setProperty("--score", Math.min(1, Math.max(0, score)));
  return el("span", { class: isMatch ? "score match" : "score" }, bar,
    el("span", {}, format.percent(score), el("span", { class: "away" }, isMatch ? ", a match" : ", no match")));
}

function pictureOf(source, when) {
  const image = el("img", { src: source, alt: "", loading: "lazy", decoding: "async" });
  const picture = el("div", { class: "picture" }, image, el("span", { class: "when" }, when));
  image.addEventListener("error", () => {
    image.remove();
    picture.classList.add("blank");
  });
  return picture;
}

/** Moves the focus among the cards of `place`: by columns and rows, or to the next and previous. */
export function walk(place, key) {
  const cards = [...place.querySelectorAll(".card .open")];
  if (!cards.length) return false;
  const here = cards.indexOf(document.activeElement?.closest(".card")?.querySelector(".open"));
  const step = { ArrowRight: 1, ArrowLeft: -1, j: 1, k: -1, ArrowDown: "down", ArrowUp: "up" }[key];
  if (step === undefined) return false;
  if (here < 0) {
    if (key === "ArrowLeft" || key === "ArrowUp") return false;
    return reach(cards[0]);
  }
  const goal = typeof step === "number" ? cards[here + step] : vertical(cards, here, step === "down");
  return goal ? reach(goal) : true;
}

function reach(card) {
  card.focus({ focusVisible: true });
  card.scrollIntoView({ block: "nearest" });
  return true;
}

/** The nearest card of the next row, whatever the width of the grid. */
function vertical(cards, here, down) {
  const places = cards.map((card) => {
    const { left, top } = card.getBoundingClientRect();
    return { card, left, top: Math.round(top) };
  });
  const beyond = places.filter(({ top }) => (down ? top > places[here].top : top < places[here].top));
  const row = (down ? Math.min : Math.max)(...beyond.map(({ top }) => top));
  const away = ({ left }) => Math.abs(left - places[here].left);
  return beyond.filter(({ top }) => top === row).sort((a, b) => away(a) - away(b))[0]?.card;
}
