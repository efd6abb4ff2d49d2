/** The filters: fixed ones, and one for each column of metadata that the index has. */

import { byId, el } from "./dom.js";
import { FILTERS } from "./route.js";

const OPERATORS = [["=", "="], [">=", "≥"], ["<=", "≤"], ["!=", "≠"]];

export class Filters {
  constructor(onApply) {
    this.panel = byId("filters");
    this.toggle = byId("filters-toggle");
    this.badge = byId("filters-count");
    this.columns = {};
    this.search = {};
    this.toggle.addEventListener("click", () => this.open(this.panel.hidden));
    this.onClear = () => {
      this.show({});
      onApply();
    };
    this.build();
  }

  open(open) {
    if (this.panel.hidden === !open) return;
    this.panel.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    if (open) this.panel.querySelector("input").focus();
  }

  /** Offers the columns {name: type} of the index. */
  offer(columns) {
    if (JSON.stringify(columns) === JSON.stringify(this.columns)) return;
    const kept = this.read();
    this.columns = columns;
    this.build();
    this.show({ ...this.search, ...kept, where: [...new Set([...(this.search.where ?? []), ...kept.where])] });
  }

  build() {
    const text = (name, label, attributes) => {
      const input = el("input", { id: `filter-${name}`, name, ...attributes });
      return el("div", { class: "field" }, el("label", { for: input.id }, label), input);
    };
    const seconds = { type: "number", min: "0", step: "any", inputmode: "decimal" };
    this.panel.replaceChildren(
      text("path", "Folder or path", { type: "text", placeholder: "holiday/*.mp4", spellcheck: "false" }),
      text("after", "Recorded on or after", { type: "date", title: "A day of your own time zone" }),
      text("before", "Recorded before", { type: "date", title: "A day of your own time zone" }),
      text("min_duration", "Longer than, seconds", seconds),
      text("max_duration", "Shorter than, seconds", seconds),
      text("min_score", "Match score from, 0 to 1", { ...seconds, max: "1" }),
      ...Object.entries(this.columns).map(([name, type]) => columnField(name, type)),
      el("div", { class: "actions" },
        el("button", { type: "button", class: "quiet", on: { click: this.onClear } }, "Clear"),
        el("button", { type: "submit" }, "Apply")),
    );
  }

  /** The filters as they are typed. */
  read() {
    const found = { where: [] };
    for (const name of FILTERS) found[name] = this.panel.querySelector(`[name="${name}"]`).value.trim();
    for (const field of this.panel.querySelectorAll("[data-column]")) {
      const value = field.querySelector(".value").value.trim();
      if (value) found.where.push(`${field.dataset.column}${field.querySelector("[data-operator]")?.value ?? "="}${value}`);
    }
    return found;
  }

  /** Fills the fields from a search. */
  show(search) {
    this.search = search;
    for (const name of FILTERS) this.panel.querySelector(`[name="${name}"]`).value = search[name] ?? "";
    for (const field of this.panel.querySelectorAll("[data-column]")) {
      const [operator, value] = conditionOf(field.dataset.column, search.where ?? []);
      if (field.querySelector("[data-operator]")) field.querySelector("[data-operator]").value = operator;
      field.querySelector(".value").value = value;
    }
    const active = FILTERS.filter((name) => search[name]).length + (search.where ?? []).length;
    this.badge.hidden = active === 0;
    this.badge.textContent = active;
    this.toggle.title = active ? `Filters: ${active} set` : "Filters";
  }
}

function columnField(name, type) {
  const id = `filter-column-${name}`;
  const field = el("div", { class: "field", "data-column": name }, el("label", { for: id }, name));
  if (/bool/i.test(type)) {
    const choices = [["", "any"], ["true", "yes"], ["false", "no"]].map(([value, words]) => el("option", { value }, words));
    field.append(el("select", { id, class: "value" }, choices));
  } else if (/int|float|double|number|decimal/i.test(type)) {
    const choices = OPERATORS.map(([value, words]) => el("option", { value }, words));
    field.append(el("div", { class: "pair" },
      el("select", { "data-operator": true, "aria-label": `how to compare ${name}` }, choices),
      el("input", { id, class: "value", type: "number", step: "any" })));
  } else {
    field.append(el("input", { id, class: "value", type: "text", spellcheck: "false" }));
  }
  return field;
}

/** The operator and value that a search has for a column; "=" and "" where it has none. */
function conditionOf(column, conditions) {
  for (const condition of conditions) {
    if (!condition.startsWith(column)) continue;
    const found = /^\s*(>=|<=|!=|=|>|<)\s*(.*)$/s.exec(condition.slice(column.length));
    if (found) return [found[1], found[2]];
  }
  return ["=", ""];
}
