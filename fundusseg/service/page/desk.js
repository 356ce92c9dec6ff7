/** The photograph on the desk: its outlines, its numbers, and what is decided about it. */

import {draftOf, dropDraft, keepDraft} from "./drafts.js";
import {post, uuid} from "./service.js";
import {say} from "./strings.js";

const SETTLED = 120;
const ADJUDICATION = "adjudication";

/** Whether two outlines are one, so that the one need not be drawn over the other. */
function same(one, other) {
  return one.length === other.length && one.every(([x, y], at) => x === other[at][0] && y === other[at][1]);
}

/** A photograph's item once a decision about it is saved. */
function decided(item, saved) {
  const prediction = item.prediction ?? saved.prediction ?? null;
  return {...item, prediction, masked: false, grading: saved.decision === "withdraw" ? null : saved};
}

export class Desk extends EventTarget {
  item = null;
  /** Gradings between which an adjudicator chooses; null while grading. */
  rivals = null;
  /** What the service says of the outlines as they are now: {measures, rim}, or null. */
  measured = null;
  #shelf;
  #editor;
  #settings;
  #chosen = null;
  #unsent = null;
  #timer = 0;
  #asking = null;
  #turn = 0;

  constructor(shelf, editor, settings) {
    super();
    [this.#shelf, this.#editor, this.#settings] = [shelf, editor, settings];
    editor.addEventListener("outlines", () => this.#remeasure());
    editor.addEventListener("step", () => this.#keep());
  }

  /** Whether the model's outline and every ratio are hidden until the grader has decided. */
  get hidden() {
    return Boolean(this.item?.masked && !this.item.grading);
  }

  /** Whether there is an outline to decide about. */
  get drawn() {
    return this.#editor.contours.disc.length > 0;
  }

  /** Outlines to compare with: the model's once they differ, or those of the graders. */
  get references() {
    if (this.rivals) {
      return this.rivals.filter((one) => one.after).map(
        ({after}, index) => ({kind: `rival rival${index + 1}`, label: String(index + 1), contours: after}));
    }
    const {contours} = this.#editor;
    const model = Object.entries(this.item?.prediction?.contours ?? {});
    const other = Object.fromEntries(model.filter(([region, outline]) => !same(outline, contours[region])));
    return Object.keys(other).length ? [{kind: "model", label: "", contours: other}] : [];
  }

  /** Whether everything is saved as it is. */
  get settled() {
    return Boolean(this.item?.grading?.after) && !this.#editor.touched;
  }

  /** Whether the outlines are not the model's own. */
  get drawnByHand() {
    return this.#editor.changed || this.hidden || this.rivals !== null || this.item.grading?.decision === "correct";
  }

  get #list() {
    return this.rivals ? ADJUDICATION : this.#settings.list;
  }

  /** Lay a photograph on the desk; `entry` is an adjudication's, with the gradings to choose from. */
  async open(id, entry = null) {
    const adjudicated = entry && {...entry, masked: false, prediction: null, grading: entry.adjudication};
    const turn = (this.#turn += 1);
    const item = adjudicated ?? (await this.#shelf.item(id));
    // Another photograph was asked for in the meantime: its answer may have come first.
    if (turn !== this.#turn) return;
    this.rivals = entry?.gradings ?? null;
    this.#chosen = null;
    this.#begin(item, draftOf(this.#list, item.id));
    this.#tell("opened");
  }

  clear() {
    this.#turn += 1;
    this.item = this.rivals = this.measured = null;
    this.#editor.begin(null, null);
    this.#tell("opened");
  }

  #begin(item, draft) {
    this.item = item;
    const {grading, prediction} = item;
    const known = grading?.after ? grading : prediction;
    this.measured = known ? {measures: known.measures, rim: known.rim} : null;
    const eye = grading?.eye || item.eye || prediction?.measures.eye || null;
    // Restored as measured, not measured again: only what is drawn from here on is.
    this.item = null;
    this.#editor.begin(grading?.after ?? prediction?.contours ?? null, eye, draft);
    this.item = item;
    if (draft) this.#remeasure();
  }

  /** Lay the n-th grader's outlines on the desk; a rejection among them has none and is not taken. */
  choose(number) {
    const rival = this.rivals?.[number - 1];
    if (!rival?.after) return false;
    this.#editor.take(rival.after);
    this.#chosen = {id: rival.id, contours: this.#editor.state};
    return true;
  }

  /** Save a decision: accept (which is a correction where the outlines were changed), reject or withdraw. */
  async decide(decision, {reason = "", comment = ""} = {}) {
    const {item, rivals} = this;
    const {eye, contours, state} = this.#editor;
    // The number says which prediction was on the screen: another bundle may have made one in the meantime.
    const grading = {photograph: item.id, prediction: item.prediction?.number, decision, reason, comment, eye};
    if (decision === "accept" && this.#chosen?.contours === state) grading.chosen = this.#chosen.id;
    else if (decision === "accept" && this.drawnByHand) Object.assign(grading, {decision: "correct", contours});
    // The same decision sent again after a broken connection keeps its id, so that the store takes it once.
    const words = JSON.stringify(grading);
    const id = this.#unsent?.words === words ? this.#unsent.id : uuid();
    this.#unsent = {words, id};
    const [list, wasHidden] = [this.#list, this.hidden];
    const saved = await this.#shelf[rivals ? "adjudicate" : "grade"]({id, ...grading});
    this.#unsent = null;
    dropDraft(list, item.id);
    if (this.item === item) this.#begin(decided(item, saved), null);
    this.dispatchEvent(new CustomEvent("saved", {detail: {id: item.id, grading: saved, wasHidden}}));
  }

  #keep() {
    if (!this.item) return;
    try {
      if (this.#editor.touched) keepDraft(this.#list, this.item.id, this.#editor.draft);
      else dropDraft(this.#list, this.item.id);
    } catch {
      // The browser's room for drafts is full, or none is allowed.
      this.#complain(new Error(say("draft not kept")));
    }
    this.#tell("draft");
  }

  /** Ask the service for the numbers of these outlines, once they rest; it is the one place where they are made. */
  #remeasure() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    if (!this.item || this.hidden) return;
    this.#timer = setTimeout(() => this.#measure(), SETTLED);
  }

  async #measure() {
    const {item} = this;
    const {contours, eye} = this.#editor;
    this.#asking = new AbortController();
    const {signal} = this.#asking;
    const {width, height} = item;
    try {
      const measured = await post("v1/measures", {width, height, contours, eye}, {signal, patient: false});
      if (this.item !== item || signal.aborted) return;
      this.measured = measured;
      this.#tell("measured");
    } catch (error) {
      if (error.name !== "AbortError") this.#complain(error);
    }
  }

  #complain(error) {
    this.dispatchEvent(new CustomEvent("trouble", {detail: error}));
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}
