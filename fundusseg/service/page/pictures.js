/** The last photographs' pictures as addresses in this tab; the next one is fetched ahead. */

const KEPT = 6;

export class Pictures {
  #shelf;
  #urls = new Map();

  constructor(shelf) {
    this.#shelf = shelf;
  }

  /** An address of a photograph's picture; a failed fetch is tried again the next time. */
  url(id) {
    const url = this.#urls.get(id) ?? this.#shelf.picture(id).then((blob) => URL.createObjectURL(blob));
    this.#urls.delete(id);
    this.#urls.set(id, url);
    url.catch(() => this.#urls.delete(id));
    for (const [old, gone] of [...this.#urls].slice(0, -KEPT)) {
      this.#urls.delete(old);
      gone.then(URL.revokeObjectURL, () => {});
    }
    return url;
  }
}
