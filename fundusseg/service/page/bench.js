/** The work on the list: opening, saving, changing grader, adjudicating; trouble is said and stops nothing. */

import {showAgreement} from "./agreement.js";
import {announce} from "./announce.js";
import {ask, askGrader} from "./dialogs.js";
import {draftOf, forget} from "./drafts.js";
import {say} from "./strings.js";
import {STATES} from "./worklist.js";

const element = (id) => document.getElementById(id);

export class Bench {
  adjudicating = false;
  #parts;
  #busy = false;
  #cases = new Map();

  constructor(parts) {
    this.#parts = parts;
    parts.worklist.addEventListener("choose", (event) => this.attempt(() => this.#open(event.detail)));
    parts.desk.addEventListener("opened", () => this.attempt(() => this.#show()));
    parts.desk.addEventListener("saved", (event) => this.#saved(event.detail));
    parts.desk.addEventListener("trouble", (event) => announce(event.detail.message, {trouble: true}));
    parts.desk.addEventListener("draft", () => this.#markDraft());
  }

  /** Do something that may fail; what went wrong is said in one sentence. */
  async attempt(work) {
    try {
      return await work();
    } catch (error) {
      announce(error.message, {trouble: true});
      return undefined;
    }
  }

  /** Fetch the list anew and go on where this grader stopped. */
  async start() {
    const {worklist, settings, desk, stage} = this.#parts;
    worklist.set(this.adjudicating ? await this.#disputes() : await this.#own());
    desk.clear();
    stage.clear();
    const last = this.adjudicating ? null : worklist.entries.find((entry) => entry.id === settings.position);
    if (last) worklist.choose(last.id);
    else if (!worklist.nextOpen() && worklist.entries.length) worklist.choose(worklist.entries[0].id);
  }

  async who() {
    const {shelf, settings} = this.#parts;
    const graders = shelf.kept ? await this.attempt(() => shelf.graders()) : null;
    const answer = await askGrader(element("grader"), settings, graders);
    if (!answer) return false;
    settings.change(answer);
    this.nameGrader();
    await this.attempt(() => this.start());
    return true;
  }

  nameGrader() {
    const {grader, round, masked} = this.#parts.settings;
    const words = [grader || say("no grader"), say("round n", {round}), ...(masked ? [say("masked")] : [])];
    element("who").textContent = words.join(" · ");
    element("order").disabled = masked;
  }

  async switchMode() {
    this.adjudicating = !this.adjudicating;
    document.querySelector("[data-command=adjudicate]").ariaPressed = String(this.adjudicating);
    document.body.dataset.mode = this.adjudicating ? "adjudicate" : "grade";
    await this.attempt(() => this.start());
    announce(say(this.adjudicating ? "adjudicating" : "grading", {count: this.#parts.worklist.entries.length}));
  }

  /** Whether the photograph is on the screen: nothing is decided about one that nobody has seen. */
  seen() {
    const {ready} = this.#parts.stage;
    if (!ready) announce(say("not shown yet"));
    return ready;
  }

  /** Save a decision, one at a time. */
  async decide(decision, more) {
    if (this.#busy || !this.seen()) return;
    this.#busy = true;
    await this.attempt(() => this.#parts.desk.decide(decision, more));
    this.#busy = false;
  }

  async showAgreement() {
    const agreement = await this.attempt(() => this.#parts.shelf.agreement());
    if (!agreement) return;
    showAgreement(element("agreement-tables"), agreement);
    await ask(element("agreement"));
  }

  async deletePatient(patient) {
    const {shelf, worklist, pictures} = this.#parts;
    const gone = await this.attempt(() => shelf.deletePatient(patient));
    if (!gone) return;
    for (const {id} of worklist.entries.filter((entry) => entry.patient === patient)) {
      forget(id);
      pictures.forget(id);
    }
    await this.attempt(() => this.start());
    announce(say("deleted", {patient, ...gone}));
  }

  /** An item that was uploaded joins the list; the first one is opened. */
  uploaded(item) {
    const {worklist} = this.#parts;
    if (this.adjudicating) return;
    const {id, file, patient, eye, width, height, grading, prediction} = item;
    const {verdict = null, vertical_cdr: ratio = null} = prediction?.measures ?? {};
    const state = STATES[grading?.decision ?? "withdraw"];
    const own = grading?.measures?.vertical_cdr ?? ratio;
    worklist.put({id, file, patient, eye, width, height, state, verdict, vertical_cdr: own});
    if (!worklist.current) worklist.choose(id);
  }

  async #own() {
    const {shelf, settings} = this.#parts;
    return (await shelf.worklist()).map((entry) => ({...entry, draft: draftOf(settings.list, entry.id) !== null}));
  }

  /** Photographs of two graders or more, those that differ most first; their ratio is the difference. */
  async #disputes() {
    const disputes = await this.#parts.shelf.adjudications();
    this.#cases = new Map(disputes.map((dispute) => [dispute.id, dispute]));
    return disputes.map((dispute) => ({
      ...dispute, verdict: null, vertical_cdr: dispute.difference, state: dispute.adjudication ? "adjudicated" : "open",
    }));
  }

  async #open(id) {
    const {desk, settings, stage} = this.#parts;
    if (!this.adjudicating) settings.position = id;
    element("stage").ariaBusy = "true";
    stage.clear();
    await desk.open(id, this.adjudicating ? this.#cases.get(id) : null);
  }

  /** Show the picture of what lies on the desk, and fetch the next one ahead. */
  async #show() {
    const {desk, stage, pictures, worklist} = this.#parts;
    const {item} = desk;
    this.#showRivals(desk.rivals ?? []);
    element("comment").value = item?.grading?.comment ?? "";
    if (!item) return;
    const url = await pictures.url(item.id);
    if (desk.item?.id !== item.id) return;
    await stage.show(url, item.width, item.height);
    element("stage").ariaBusy = String(!stage.ready);
    const state = say(`state ${worklist.entry.state}`);
    announce(say(desk.hidden ? "opened masked" : "opened", {file: item.file, state}));
    const next = worklist.neighbour(1);
    if (next) pictures.url(next.id).catch(() => {});
  }

  /** A button for each grader whose outlines may stand, as the keys 1 to 9. */
  #showRivals(rivals) {
    element("rivals").replaceChildren(...rivals.map(({reason, measures}, index) => {
      const button = document.createElement("button");
      // Not who drew it, and not whether it is the model's: only what it says.
      const ratio = measures?.vertical_cdr?.toFixed(2) ?? say("state rejected");
      button.type = "button";
      button.dataset.command = `digit${index + 1}`;
      button.textContent = say("take", {number: index + 1, ratio: reason ? `${ratio}: ${reason}` : ratio});
      return button;
    }));
  }

  #saved({id, grading, wasHidden}) {
    const {worklist, desk} = this.#parts;
    const state = STATES[grading.decision];
    const ratio = grading.measures?.vertical_cdr ?? null;
    const dispute = this.#cases.get(id);
    if (dispute) dispute.adjudication = grading;
    worklist.put({id, state, draft: false, ...(dispute ? {} : {vertical_cdr: ratio})});
    const words = ratio === null ? "" : say("ratio", {ratio: ratio.toFixed(2)});
    announce(say("saved", {state: say(`state ${state}`), ratio: words}));
    // After a masked grading the model's outline is looked at first.
    const stays = wasHidden || state === "open" || desk.item?.id !== id;
    if (!stays && !worklist.nextOpen()) announce(say("all done"));
  }

  #markDraft() {
    const {desk, editor, worklist} = this.#parts;
    if (!this.adjudicating) worklist.put({id: desk.item.id, draft: editor.touched});
  }
}
