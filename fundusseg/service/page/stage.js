/** The photograph with its outlines: what is shown, and where. */

import {ellipse, sampled} from "./curve.js";
import {Drawing} from "./drawing.js";
import {Viewport} from "./viewport.js";

export class Stage {
  viewport = new Viewport();
  references = [];
  outlinesShown = true;
  /** Whether the photograph that lies on the desk is seen: nothing is drawn on another one, and nothing decided. */
  ready = false;
  image;
  /** Two corners of an ellipse while it is drawn, [] while one is asked for, null otherwise. */
  box = null;
  #element;
  #drawing;
  #editor;
  #waiting = false;

  constructor(element, editor) {
    this.#element = element;
    this.image = element.querySelector("img");
    this.#drawing = new Drawing(element.querySelector("svg"));
    this.#editor = editor;
    new ResizeObserver(() => this.#resized()).observe(element);
    for (const event of ["outlines", "selection"]) editor.addEventListener(event, () => this.render());
  }

  /** Show a photograph by its address; resolves once it is decoded. */
  async show(url, width, height) {
    this.clear();
    this.image.src = url;
    this.viewport.photograph = {width, height};
    this.image.style.width = `${width}px`;
    this.image.style.height = `${height}px`;
    try {
      await this.image.decode();
    } catch (error) {
      // Another photograph was asked for before this one was there.
      if (this.image.src !== url) return;
      throw error;
    }
    this.ready = true;
    this.image.hidden = false;
    this.zoomToDisc();
  }

  clear() {
    this.ready = false;
    this.image.hidden = true;
    this.image.removeAttribute("src");
    this.render();
  }

  /** Fill the stage with the disc, or with the photograph where no disc is known. */
  zoomToDisc() {
    const discs = [this.#editor.contours.disc, ...this.references.map((reference) => reference.contours.disc)];
    const disc = discs.find((outline) => outline.length);
    if (disc) this.viewport.showOutline(disc);
    else this.viewport.fit();
    this.render();
  }

  fit() {
    this.viewport.fit();
    this.render();
  }

  zoom(factor, at) {
    this.viewport.zoom(factor, at);
    this.render();
  }

  pan(dx, dy) {
    this.viewport.pan(dx, dy);
    this.render();
  }

  /** Ask for an ellipse: the next drag on the photograph draws it. */
  arm() {
    this.box = [];
    this.#element.classList.add("armed");
  }

  disarm() {
    this.box = null;
    this.#element.classList.remove("armed");
    this.render();
  }

  /** The corners of an ellipse that nobody draws: half the disc for a cup, else the middle of what is seen. */
  middleBox() {
    const {contours, region} = this.#editor;
    const {width, height} = this.viewport.stage;
    const [x, y] = this.viewport.point([width / 2, height / 2]);
    const half = Math.min(width, height) / 5 / this.viewport.scale;
    if (region !== "cup" || !contours.disc.length) return [[x - half, y - half], [x + half, y + half]];
    const ends = [0, 1].map((axis) => contours.disc.map((point) => point[axis]));
    const at = (part) => ends.map((values) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return low + part * (high - low);
    });
    return [at(0.25), at(0.75)];
  }

  /** Draw at the next frame, however often it is asked for. */
  render() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#draw();
    });
  }

  #draw() {
    const {scale, left, top, place} = this.viewport;
    this.image.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    const {editing, region, contours, points, selected} = this.#editor;
    const seen = this.outlinesShown && this.ready;
    this.#drawing.render(place, {
      contours: seen ? contours : {},
      references: seen ? this.references : [],
      points: seen && editing ? points : [],
      selected,
      region: editing ? region : null,
      box: this.box?.length ? sampled(ellipse(...this.box)) : null,
    });
  }

  #resized() {
    const {clientWidth: width, clientHeight: height} = this.#element;
    const middle = this.viewport.point([this.viewport.stage.width / 2, this.viewport.stage.height / 2]);
    const first = this.viewport.stage.width === 1;
    this.viewport.stage = {width, height};
    if (first) this.viewport.fit();
    const [x, y] = this.viewport.place(middle);
    if (!first) this.viewport.pan(width / 2 - x, height / 2 - y);
    this.render();
  }
}
