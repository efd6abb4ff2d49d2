/** The box one types into, or drops an example on. */

import { thumbnailUrl, video } from "./api.js";
import { byId, el, icon } from "./dom.js";
import { Filters } from "./filters.js";
import * as format from "./format.js";

export class SearchBox {
  /** `onSearch(search)` gets what the box and the filters say; the chosen file stays here, as `file`. */
  constructor(onSearch) {
    this.onSearch = onSearch;
    this.file = null;
    this.like = null;
    this.input = byId("q");
    this.chip = byId("example");
    this.filters = new Filters(() => this.submit());
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    byId("pick").addEventListener("click", () => byId("file").click());
    byId("file").addEventListener("change", (event) => {
      this.take(event.target.files[0]);
      event.target.value = "";
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Backspace" && !this.input.value && !this.chip.hidden) this.dropExample();
    });
    this.acceptDrops();
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest("#search") && !this.filters.panel.hidden) this.filters.open(false);
    });
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  submit() {
    const q = this.input.value.trim();
    if (q && (this.file || this.like)) this.forget(); // a sentence typed beside an example replaces it
    if (this.file) this.readStretch();
    this.filters.open(false);
    this.onSearch({ q, like: this.like, example: this.file?.data.name, ...this.filters.read() });
  }

  /** Shows what a link asks for. */
  show(search) {
    if (document.activeElement !== this.input || search.q) this.input.value = search.q;
    this.filters.show(search);
    if (search.like) this.showLike(search.like);
    else if (search.example && this.file?.data.name === search.example) this.showFile();
    else this.forget();
  }

  /** Searches by a file, whatever was asked before. */
  take(data) {
    if (!data) return;
    this.like = null;
    this.file = { data, start: null, end: null, taken: Date.now() };
    this.input.value = "";
    this.showFile();
    this.submit(); // the whole of it first; a part can be named then
  }

  /** Of an example video a part may be meant; another part is another question. */
  readStretch() {
    const [start, end] = ["stretch-start", "stretch-end"].map((id) => byId(id).valueAsNumber).map((value) => (Number.isNaN(value) ? null : value));
    if (start === this.file.start && end === this.file.end) return;
    Object.assign(this.file, { start, end, taken: Date.now() });
  }

  forget() {
    this.file = this.like = null;
    byId("stretch").hidden = true;
    this.chip.hidden = true;
    this.chip.replaceChildren();
    this.input.placeholder = "Describe a moment";
  }

  dropExample() {
    this.forget();
    this.submit();
    this.input.focus();
  }

  showFile() {
    const { data } = this.file;
    if (this.shownFile === data && !this.chip.hidden) return;
    this.shownFile = data;
    this.fillChip(data.name, null);
    byId("stretch").hidden = data.type.startsWith("image/");
    for (const [id, value] of [["stretch-start", this.file.start], ["stretch-end", this.file.end]]) byId(id).value = value ?? "";
    if (!data.type.startsWith("image/")) return;
    createImageBitmap(data, { resizeHeight: 56, resizeQuality: "medium" }).then((picture) => {
      const canvas = el("canvas", { width: picture.width, height: picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0);
      if (this.file?.data === data) this.chip.querySelector(".name").before(canvas);
    }, () => {}); // no picture that this browser can read: its name is enough
  }

  showLike(like) {
    this.file = null;
    byId("stretch").hidden = true;
    const known = this.like?.id === like.id && this.like.start === like.start && this.like.end === like.end;
    if (known && !this.chip.hidden) return;
    this.like = like;
    const when = like.start === null ? "" : ` ${format.span(like.start, like.end ?? like.start)}`;
    const picture = el("img", { src: thumbnailUrl(like.id, like.start ?? 0), alt: "" });
    picture.addEventListener("error", () => picture.remove());
    this.fillChip(`Like${when}`, picture);
    video(like.id).then((found) => {
      if (this.like === like) this.chip.querySelector(".name").textContent = `Like ${found.name}${when}`;
    }, () => {}); // the search itself says what is wrong with it
  }

  fillChip(name, picture) {
    const remove = el("button", { type: "button", class: "quiet", "aria-label": "Search without the example", on: { click: () => this.dropExample() } }, icon("close"));
    this.chip.replaceChildren(...(picture ? [picture] : []), el("span", { class: "name", title: name }, name), remove);
    this.chip.hidden = false;
    this.input.placeholder = "";
  }

  acceptDrops() {
    const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragover", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      byId("drop").hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) byId("drop").hidden = true;
    });
    addEventListener("drop", (event) => {
      byId("drop").hidden = true;
      if (!holdsFiles(event)) return;
      event.preventDefault();
      this.take(event.dataTransfer.files[0]);
    });
    addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])][0];
      if (file) this.take(file);
    });
  }
}
