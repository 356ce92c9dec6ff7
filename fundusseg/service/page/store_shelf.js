/** Photographs and gradings that the service keeps (`--store`). */

import {download, get, post, request, sendFile} from "./service.js";

export class StoreShelf {
  kept = true;
  /** What is graded is kept at once. */
  unsaved = false;
  #settings;

  constructor(settings) {
    this.#settings = settings;
  }

  get #who() {
    const {grader, round, masked} = this.#settings;
    return {grader, round, masked};
  }

  async graders() {
    return (await get("v1/store")).graders;
  }

  async worklist() {
    const {masked, order} = this.#settings;
    // The other order tells which predictions are uncertain.
    return (await get("v1/store/worklist", {...this.#who, order: masked ? "arrival" : order})).photographs;
  }

  async add(file) {
    const {grader, masked, convention} = this.#settings;
    return (await sendFile("v1/store/photographs", file, {grader, masked, convention})).json();
  }

  item(id) {
    return get(`v1/store/photographs/${id}`, this.#who);
  }

  async picture(id) {
    return (await request(`v1/store/photographs/${id}/picture`)).blob();
  }

  grade(grading) {
    return post("v1/store/gradings", {...grading, grader: this.#settings.grader, round: this.#settings.round});
  }

  async adjudications() {
    return (await get("v1/store/adjudications", {grader: this.#settings.grader})).photographs;
  }

  adjudicate(grading) {
    return post("v1/store/adjudications", {...grading, grader: this.#settings.grader, round: 1});
  }

  agreement() {
    return get("v1/store/agreement");
  }

  deletePatient(patient) {
    return post("v1/store/deletions", {patient, grader: this.#settings.grader});
  }

  exportDataset() {
    return download("v1/store/export", {format: "dataset"}, "fundusseg_dataset.zip");
  }

  exportTable() {
    return download("v1/store/export", {format: "csv"}, "fundusseg_gradings.csv");
  }
}
