/** The keyboard. Nothing here acts while one types. */

import { walk } from "./card.js";
import { byId, el } from "./dom.js";

const HELP = {
  "Everywhere": [["/", "Search"], ["?", "These keys"], ["Esc", "Close, or back"], ["f", "Filters, or full screen"]],
  "Among moments": [["← ↑ → ↓", "From card to card"], ["j k", "Next, previous"], ["Space", "Play on the card"], ["Enter", "Open"]],
  "In a video": [["Space", "Play, pause"], ["← →", "One second"], [", .", "A frame"], ["j k", "Next, previous moment"], ["l", "Loop the moment"], ["m", "Sound"], ["c", "Copy the link"]],
};

export function listen({ box, results, player, close }) {
  byId("help-keys").replaceChildren(...Object.entries(HELP).map(([place, keys]) =>
    el("section", {}, el("h3", {}, place), el("dl", {}, keys.flatMap(([names, words]) =>
      [el("dt", {}, names.split(" ").map((name) => el("kbd", {}, name))), el("dd", {}, words)])))));
  byId("keys").addEventListener("click", () => byId("help").showModal());
  byId("help").addEventListener("click", (event) => event.target === event.currentTarget && event.currentTarget.close());

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || byId("help").open) return;
    const done = event.key === "Escape" ? escape(event) : !types(event.target) && press(event);
    if (done) event.preventDefault();
  });

  function escape({ target }) {
    if (!box.filters.panel.hidden) {
      box.filters.open(false);
      box.filters.toggle.focus();
    } else if (types(target)) target.blur();
    else if (player.visible) close();
    else return false;
    return true;
  }

  function press({ key, target, repeat }) {
    if (key === "/") return box.focus(), true;
    if (key === "?") return byId("help").showModal(), true;
    if (player.visible && player.video) return inVideo(key, target, repeat);
    if (!results.visible) return false;
    if (key === "f") return box.filters.open(box.filters.panel.hidden), true;
    if (key === " ") {
      const card = target.closest(".card");
      card?.dispatchEvent(new Event("preview"));
      return Boolean(card);
    }
    return walk(byId("results-body"), key);
  }

  function inVideo(key, target, repeat) {
    const { footage } = player;
    const acts = {
      ArrowLeft: () => footage.seek(footage.seconds - 1),
      ArrowRight: () => footage.seek(footage.seconds + 1),
      ",": () => footage.nudge(-1),
      ".": () => footage.nudge(1),
      j: () => player.step(1),
      k: () => player.step(-1),
      l: () => player.toggleLoop(),
      m: () => player.toggleSound(),
      f: () => player.fullscreen(),
      c: () => player.copyLink(),
      " ": () => footage.toggle(),
    };
    if (!acts[key] || (key === " " && target.closest("button, a, select, summary"))) return false;
    if (!repeat || /Arrow|[,.]/.test(key)) acts[key]();
    return true;
  }
}

function types(target) {
  return target.matches?.("input, textarea, select, [contenteditable]") ?? false;
}
