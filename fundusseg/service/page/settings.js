/** Who grades, in which round, masked or not, and where she stopped: kept in this browser. */

const KEY = "fundusseg settings";
const FRESH = {grader: "", round: 1, masked: false, convention: null, order: "arrival", positions: {}};

export class Settings {
  #values;

  constructor() {
    this.#values = {...FRESH, ...JSON.parse(localStorage.getItem(KEY) ?? "{}")};
  }

  get grader() {
    return this.#values.grader;
  }

  get round() {
    return this.#values.round;
  }

  get masked() {
    return this.#values.masked;
  }

  /** Position of the cup's reader, -1 strict to 1 generous, for photographs that are added; null is the consensus. */
  get convention() {
    return this.#values.convention;
  }

  set convention(position) {
    this.#keep({convention: position || null});
  }

  /** In which order the store's photographs are listed: `arrival` or `expected_gain`. */
  get order() {
    return this.#values.order;
  }

  set order(order) {
    this.#keep({order});
  }

  /** What distinguishes one worklist of decisions from another. */
  get list() {
    return `${this.grader}|${this.round}`;
  }

  /** The photograph at which this list was left. */
  get position() {
    return this.#values.positions[this.list] ?? null;
  }

  set position(id) {
    this.#keep({positions: {...this.#values.positions, [this.list]: id}});
  }

  change({grader, round, masked}) {
    this.#keep({grader, round, masked});
  }

  #keep(changes) {
    Object.assign(this.#values, changes);
    localStorage.setItem(KEY, JSON.stringify(this.#values));
  }
}
