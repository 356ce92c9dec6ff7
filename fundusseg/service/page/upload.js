/** Photographs from a drop, a folder or the file picker to the service, one after the other, none uncounted. */

/** All files below a dropped entry. */
async function filesBelow(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  // A reader hands over a hundred at a time; an empty hand is the end.
  for (let part; (part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length;) {
    found.push(...part);
  }
  return (await Promise.all(found.map(filesBelow))).flat();
}

/** The files of a drop, those in folders too. */
export async function droppedFiles(transfer) {
  // Entries are there during the event alone: all are taken before anything is awaited.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const loose = entries.length ? [] : [...transfer.files];
  return [...(await Promise.all(entries.map(filesBelow))).flat(), ...loose];
}

const ending = (name) => (/\.[^.]+$/.exec(name)?.[0] ?? "").toLowerCase();

/**
 * Sends files in order. Events: `progress`, `added` with the service's item, and `done`.
 *
 * `failures` is [{file, detail}]; `passedOver` counts by their ending the files that are no photographs.
 */
export class Upload extends EventTarget {
  sent = 0;
  total = 0;
  failures = [];
  passedOver = new Map();
  running = false;
  #shelf;
  #endings;
  #waiting = [];

  constructor(shelf, endings) {
    super();
    [this.#shelf, this.#endings] = [shelf, new Set(endings)];
  }

  async add(files) {
    const sorted = [...files].sort((one, other) => one.name.localeCompare(other.name, undefined, {numeric: true}));
    for (const file of sorted) {
      if (this.#endings.has(ending(file.name))) this.#waiting.push(file);
      else this.passedOver.set(ending(file.name), (this.passedOver.get(ending(file.name)) ?? 0) + 1);
    }
    this.total = this.sent + this.failures.length + this.#waiting.length + Number(this.running);
    if (!this.running) await this.#run();
  }

  async #run() {
    this.running = true;
    while (this.#waiting.length) {
      this.dispatchEvent(new Event("progress"));
      await this.#send(this.#waiting.shift());
    }
    this.running = false;
    this.dispatchEvent(new Event("done"));
  }

  async #send(file) {
    try {
      const item = await this.#shelf.add(file);
      this.sent += 1;
      this.dispatchEvent(new CustomEvent("added", {detail: item}));
    } catch (error) {
      this.failures.push({file: file.name, detail: error.message});
    }
  }
}
