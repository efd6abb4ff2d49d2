/** Moments that move: a card plays its moment, muted, while one points at it, stands on it, or has it in view by touch. */

import { stretchUrl } from "./api.js";
import { el, still } from "./dom.js";

const WAIT_MS = 130;
const LONGEST_SECONDS = 12;

let playing = null;

/** Lets `card` play its moment in `picture`. */
export function movable(card, picture, moment) {
  const play = () => start(card, picture, moment);
  let timer = 0;
  card.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse" && !still()) timer = setTimeout(play, WAIT_MS);
  });
  card.addEventListener("pointerleave", (event) => {
    clearTimeout(timer);
    if (event.pointerType === "mouse") stop(card);
  });
  card.addEventListener("focusin", (event) => {
    if (!still() && event.target.matches(":focus-visible")) play();
  });
  card.addEventListener("focusout", (event) => {
    if (!card.contains(event.relatedTarget)) stop(card);
  });
  card.addEventListener("preview", () => (playing?.card === card ? stop(card) : play()));
  if (matchMedia("(hover: none)").matches && !still()) inView.observe(card);
}

/** Plays the moment of the card that is most in view, where nothing can hover. */
const inView = new IntersectionObserver(
  (entries) => {
    for (const { target, intersectionRatio } of entries) target.visibleShare = intersectionRatio;
    const shown = entries.map((entry) => entry.target).filter((card) => card.isConnected && card.visibleShare >= 0.95);
    if (playing && (playing.card.visibleShare ?? 1) < 0.6) stop(playing.card);
    if (!playing && shown.length) shown[0].dispatchEvent(new Event("preview"));
  },
  { threshold: [0, 0.6, 0.95] },
);

function start(card, picture, moment) {
  if (playing?.card === card) return;
  stop();
  const end = Math.min(moment.end_seconds, moment.start_seconds + LONGEST_SECONDS);
  const video = el("video", { playsinline: true, preload: "auto", "aria-hidden": "true" });
  video.muted = true;
  playing = { card, video };
  let offset = 0;
  const restart = () => {
    video.currentTime = moment.start_seconds - offset;
    video.play().catch(() => {});
  };
  video.addEventListener("loadedmetadata", restart);
  video.addEventListener("timeupdate", () => {
    if (video.currentTime > 0 && !video.seeking) video.classList.add("moving");
    if (video.currentTime + offset >= end) restart();
  });
  video.addEventListener("ended", restart);
  video.addEventListener("error", () => {
    if (offset || playing?.video !== video || !moment.video_url) return;
    offset = Math.max(moment.start_seconds, 1e-6);
    video.src = stretchUrl(moment.video_url, moment.start_seconds, end);
  });
  if (moment.playable === false) video.dispatchEvent(new Event("error"));
  else video.src = moment.video_url;
  picture.append(video);
}

/** Stops the preview of `card`, or whichever runs. */
export function stop(card = playing?.card) {
  if (!playing || playing.card !== card) return;
  const { video } = playing;
  playing = null; // first: removing what has the focus comes back here
  video.removeAttribute("src");
  video.load(); // lets go of the connection
  video.remove();
}
