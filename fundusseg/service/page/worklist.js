/** The list of photographs with their states; one of them is on the desk. */

import {say} from "./strings.js";

/** The state that a decision leaves. */
export const STATES = {
  accept: "accepted", correct: "corrected", reject: "rejected", withdraw: "open", adjudicate: "adjudicated",
};

const option = (id) => `entry-${id}`;

export class Worklist extends EventTarget {
  entries = [];
  current = null;
  #list;
  #progress;

  constructor(list, progress) {
    super();
    [this.#list, this.#progress] = [list, progress];
    list.addEventListener("click", (event) => {
      const chosen = event.target.closest("[role=option]");
      if (chosen) this.choose(chosen.dataset.id);
    });
  }

  set(entries) {
    this.entries = entries;
    this.#list.replaceChildren(...entries.map((entry) => this.#row(entry)));
    if (!entries.some((entry) => entry.id === this.current)) this.current = null;
    this.#mark();
  }

  /** Put an entry in, or change what is there. */
  put(entry) {
    const at = this.entries.findIndex((one) => one.id === entry.id);
    if (at < 0) {
      this.entries.push(entry);
      this.#list.append(this.#row(entry));
    } else {
      this.entries[at] = {...this.entries[at], ...entry};
      document.getElementById(option(entry.id)).replaceWith(this.#row(this.entries[at]));
    }
    this.#mark();
  }

  /** Make an entry the current one and tell who listens. */
  choose(id) {
    this.current = id;
    this.#mark();
    document.getElementById(option(id))?.scrollIntoView({block: "nearest"});
    this.dispatchEvent(new CustomEvent("choose", {detail: id}));
  }

  get entry() {
    return this.entries.find((entry) => entry.id === this.current) ?? null;
  }

  /** The entry after the current one, or before it; null at the end. */
  neighbour(step) {
    const at = this.entries.findIndex((entry) => entry.id === this.current);
    return this.entries[at + step] ?? null;
  }

  move(step) {
    const entry = this.neighbour(step);
    if (entry) this.choose(entry.id);
    return entry !== null;
  }

  /** The next open photograph behind the current one, from the front again at the end; false where all are done. */
  nextOpen() {
    const at = this.entries.findIndex((entry) => entry.id === this.current);
    const turned = [...this.entries.slice(at + 1), ...this.entries.slice(0, at + 1)];
    const open = turned.find((entry) => entry.state === "open");
    if (open) this.choose(open.id);
    return Boolean(open);
  }

  #row(entry) {
    const row = document.createElement("li");
    row.id = option(entry.id);
    row.dataset.id = entry.id;
    row.dataset.state = entry.state;
    row.setAttribute("role", "option");
    const doubted = entry.state === "open" && entry.verdict && entry.verdict !== "accept";
    const state = say(doubted ? `verdict ${entry.verdict}` : `state ${entry.state}`);
    const cells = {
      name: entry.file,
      state: entry.draft ? `${state} · ${say("draft")}` : state,
      ratio: entry.vertical_cdr === null ? "" : entry.vertical_cdr.toFixed(2),
    };
    for (const [name, text] of Object.entries(cells)) {
      const cell = document.createElement("span");
      cell.className = name;
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  }

  #mark() {
    for (const row of this.#list.children) row.ariaSelected = String(row.dataset.id === this.current);
    if (this.current) this.#list.setAttribute("aria-activedescendant", option(this.current));
    else this.#list.removeAttribute("aria-activedescendant");
    const done = this.entries.filter((entry) => entry.state !== "open").length;
    this.#progress.textContent = say("progress", {done, count: this.entries.length});
  }
}
