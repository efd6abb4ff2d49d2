/** The page: which view the address asks for, and what holds them together. */

import { needsSignIn, signIn } from "./api.js";
import { byId } from "./dom.js";
import * as format from "./format.js";
import { listen } from "./keys.js";
import { Player } from "./player.js";
import { Results } from "./results.js";
import { parse, searchHash } from "./route.js";
import { SearchBox } from "./searchbox.js";
import { StatusLine } from "./status.js";

const box = new SearchBox(go);
const results = new Results(box, () => line.ask());
const player = new Player(results, close);
const line = new StatusLine(onStatus);
let lastView = null;

history.scrollRestoration = "manual"; // the results know where one was
listen({ box, results, player, close });
addEventListener("hashchange", navigate);
themeButton();
signInForm();
forgetToken();
navigate();
line.ask();

/** Shows what the address says. */
function navigate() {
  if (!byId("sign-in").hidden) return;
  const route = parse(location.hash);
  if (history.state === null) history.replaceState({ fromResults: lastView === "search" }, "");
  lastView = route.view;
  byId("fresh").hidden = true;
  if (route.view === "video") {
    results.opened = location.hash;
    results.hide();
    if (!box.input.value && route.q) box.input.value = route.q;
    player.show(route);
    return;
  }
  player.hide();
  box.show(route.search);
  document.title = route.search.q ? `${route.search.q} – framecue` : "framecue";
  results.show(route.search);
}

/** Another search; the same one again asks again. */
function go(search) {
  const hash = searchHash(search);
  if (hash !== (location.hash || "#/")) location.hash = hash;
  else if (search.example) results.show(search);
  else results.reload();
  if (search.q && matchMedia("(hover: none)").matches) box.input.blur(); // the phone's keyboard goes away
}

/** From a moment back to its results, or to the search that its link names. */
function close() {
  if (history.state?.fromResults) history.back();
  else location.hash = searchHash({ q: parse(location.hash).q ?? "" });
}

/** Offers what is new; an index that was empty, or a server that was away, is looked at again at once. */
function onStatus(status, back) {
  const before = results.status;
  results.status = status;
  box.filters.offer(status.metadata_columns ?? {});
  if (results.version === null) results.remember(status);
  if (!results.visible || !before) return;
  const changed = status.version !== results.version;
  const waiting = byId("empty") !== null && (status.num_videos > 0 || Boolean(status.building) !== Boolean(before.building));
  if ((back && results.failed) || waiting) results.reload();
  else if (changed && !results.failed) offerFresh(status.num_videos - results.numVideos);
}

function offerFresh(more) {
  const button = byId("fresh");
  button.textContent = more > 0 ? `${format.count(more, "more video")} indexed – look again` : "The index has changed – look again";
  button.hidden = false;
  button.onclick = () => {
    button.hidden = true;
    results.reload();
  };
}

function themeButton() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => {
    const words = isDark() ? "Light theme" : "Dark theme";
    byId("theme").title = words;
    byId("theme").setAttribute("aria-label", words);
  };
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
    try {
      localStorage.setItem("framecue-theme", root.dataset.theme);
    } catch {
      // without storage the choice lasts as long as the page
    }
  });
  dark.addEventListener("change", name);
  name();
}

function signInForm() {
  const section = byId("sign-in");
  const error = byId("sign-in-error");
  needsSignIn.addEventListener("needed", () => {
    if (!section.hidden) return;
    results.section.hidden = true;
    player.hide();
    section.hidden = false;
    byId("search").inert = true;
    byId("token").focus();
  });
  byId("sign-in-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    error.textContent = "";
    try {
      await signIn(byId("token").value.trim());
    } catch (problem) {
      error.textContent = problem.status === 401 ? "This is not the token of this index." : "The framecue server does not answer.";
      return;
    }
    byId("token").value = "";
    section.hidden = true;
    byId("search").inert = false;
    line.ask();
    navigate();
  });
}

/** A token given in the address does not stay there, to be copied along with a link. */
function forgetToken() {
  const address = new URL(location.href);
  if (!address.searchParams.has("token")) return;
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address belongs to the search
  byId("main").focus();
});
