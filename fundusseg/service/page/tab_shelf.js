/** Photographs and gradings of a service without a store: they live in this tab alone and go with it. */

import {post, saveAs, sendFile} from "./service.js";
import {STATES} from "./worklist.js";

export class TabShelf {
  kept = false;
  /** Whether there is a grading that was not exported: it would go with the tab. */
  unsaved = false;
  #settings;
  #cases = new Map();

  constructor(settings) {
    this.#settings = settings;
  }

  async worklist() {
    return [...this.#cases.values()].map(({prediction, eye, gradings}) => {
      const {sha256: id, file, width, height, measures} = prediction;
      const last = gradings.at(-1);
      const hidden = this.#hidden(gradings);
      const {verdict, vertical_cdr: ratio} = hidden ? {verdict: null, vertical_cdr: null} : measures;
      const state = STATES[last?.decision ?? "withdraw"];
      const own = last?.measures?.vertical_cdr ?? ratio;
      return {id, file, eye, width, height, state, verdict, vertical_cdr: own, others: 0};
    });
  }

  async add(file) {
    const {convention} = this.#settings;
    const [prediction] = (await (await sendFile("v1/predictions", file, {convention})).json()).photographs;
    // Added once more, under another convention perhaps: taken as long as nothing was decided about it.
    if (!this.#cases.get(prediction.sha256)?.gradings.length) {
      this.#cases.set(prediction.sha256, {prediction, source: file, eye: prediction.measures.eye, gradings: []});
    }
    return this.item(prediction.sha256);
  }

  async item(id) {
    const {prediction, eye, gradings} = this.#cases.get(id);
    const {file, width, height} = prediction;
    const masked = this.#hidden(gradings);
    const grading = gradings.at(-1) ?? null;
    return {id, file, eye, width, height, masked, prediction: masked ? null : prediction, grading, history: gradings};
  }

  async picture(id) {
    return (await sendFile("v1/pictures", this.#cases.get(id).source)).blob();
  }

  async grade(grading) {
    const {prediction, gradings} = this.#cases.get(grading.photograph);
    const {width, height, contours: before} = prediction;
    const after = {accept: before, correct: grading.contours}[grading.decision] ?? null;
    const asked = after && {width, height, contours: after, eye: grading.eye};
    const measured = asked ? await post("v1/measures", asked) : {measures: null, rim: null};
    const at = new Date().toISOString();
    const masked = this.#hidden(gradings);
    const kept = {...grading, at, masked, before: masked ? null : before, after, ...measured, prediction};
    gradings.push(kept);
    this.unsaved = true;
    return kept;
  }

  /** Every grading with the outlines before and after it, as one JSON file. */
  async exportDataset() {
    const photographs = [...this.#cases.values()].map(({prediction, gradings}) => ({
      ...prediction, gradings: gradings.map(({prediction: _, ...grading}) => grading),
    }));
    saveAs(new Blob([JSON.stringify({photographs}, null, 1)], {type: "application/json"}), "fundusseg_gradings.json");
    this.unsaved = false;
  }

  #hidden(gradings) {
    return this.#settings.masked && !gradings.length;
  }
}
