/** The last photographs' pictures as addresses in this tab; the next one is fetched ahead. */

const KEPT = 6;

export class Pictures {
  #shelf;
  #urls = new Map();

  constructor(shelf) {
    this.#shelf = shelf;
  }

  /** Let a photograph's picture go. */
  forget(id) {
    this.#urls.get(id)?.then(URL.revokeObjectURL, () => {});
    this.#urls.delete(id);
  }

  /** An address of a photograph's picture; a failed fetch is tried again the next time. */
  url(id) {
    const url = this.#urls.get(id) ?? this.#shelf.picture(id).then((blob) => URL.createObjectURL(blob));
    this.#urls.delete(id);
    this.#urls.set(id, url);
    url.catch(() => this.#urls.delete(id));
    for (const old of [...this.#urls.keys()].slice(0, -KEPT)) this.forget(old);
    return url;
  }
}
