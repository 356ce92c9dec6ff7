/** Undo and redo: every state is a whole one and is never changed afterwards. */

export class History {
  #states;
  #at = 0;

  constructor(state) {
    this.#states = [state];
  }

  get state() {
    return this.#states[this.#at];
  }

  get first() {
    return this.#states[0];
  }

  get canUndo() {
    return this.#at > 0;
  }

  get canRedo() {
    return this.#at + 1 < this.#states.length;
  }

  /** A new state behind the present one; what had been undone is forgotten. */
  push(state) {
    this.#states.splice(this.#at + 1, Infinity, state);
    this.#at += 1;
  }

  undo() {
    this.#at -= Number(this.canUndo);
  }

  redo() {
    this.#at += Number(this.canRedo);
  }
}
