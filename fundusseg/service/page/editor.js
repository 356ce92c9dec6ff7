/**
 * The outlines of one photograph while they are corrected: points, the one selected, undo, redo.
 *
 * A shape is {points, outline}: the points that a hand drags, and the dense outline that they were fitted to; `outline`
 * is null once a point was touched. So an outline that nobody touched is sent back exactly as it came.
 */

import {away, ellipse, FEWEST, fitted, nearest, sampled} from "./curve.js";
import {History} from "./history.js";

export const REGIONS = ["disc", "cup"];
const NOTHING = {points: [], outline: null};

const shapeOf = (outline) => (outline?.length ? {points: fitted(outline), outline} : NOTHING);
export const shapesOf = (contours) => Object.fromEntries(REGIONS.map((name) => [name, shapeOf(contours?.[name])]));
const polygonOf = (shape) => shape.outline ?? (shape.points.length ? sampled(shape.points) : []);

export class Editor extends EventTarget {
  region = "disc";
  selected = -1;
  editing = false;
  #history = new History({...shapesOf(null), eye: null});
  #held = null;

  /** Take a photograph's outlines {disc, cup} and eye; an earlier draft is laid over them as a first change. */
  begin(contours, eye, draft = null) {
    this.#history = new History({...shapesOf(contours), eye});
    if (draft) this.#history.push({...this.#history.first, ...draft});
    this.#held = null;
    this.editing = false;
    this.selected = -1;
    this.region = "disc";
    this.#tell("outlines");
  }

  get state() {
    return this.#held ?? this.#history.state;
  }

  get eye() {
    return this.state.eye;
  }

  get points() {
    return this.state[this.region].points;
  }

  /** Whether an outline differs from what it began with. */
  get changed() {
    return REGIONS.some((name) => this.state[name] !== this.#history.first[name]);
  }

  /** Whether anything does, the eye's side included. */
  get touched() {
    return this.changed || this.eye !== this.#history.first.eye;
  }

  /** What differs from the beginning, to be laid over it again after a reload. */
  get draft() {
    const changed = REGIONS.filter((name) => this.state[name] !== this.#history.first[name]);
    return {...Object.fromEntries(changed.map((name) => [name, this.state[name]])), eye: this.eye};
  }

  get canUndo() {
    return this.#history.canUndo;
  }

  get canRedo() {
    return this.#history.canRedo;
  }

  /** {disc, cup} as polygons in pixels of the photograph. */
  get contours() {
    return Object.fromEntries(REGIONS.map((name) => [name, polygonOf(this.state[name])]));
  }

  /** Show the points of a region, or hide them with null. */
  edit(region, select = -1) {
    this.editing = region !== null;
    this.region = region ?? this.region;
    this.selected = this.editing && this.points.length ? select : -1;
    this.#tell("selection");
  }

  select(index) {
    const count = this.points.length;
    this.selected = count && index >= 0 ? index % count : -1;
    this.#tell("selection");
  }

  selectNext(step) {
    this.select((Math.max(this.selected, step > 0 ? -1 : 0) + step + this.points.length) % this.points.length);
  }

  /** The region whose line passes nearest to a point, and how far off it is: {region, distance}. */
  lineAt(point) {
    const found = REGIONS.map((region) => ({region, distance: away(polygonOf(this.state[region]), point)}));
    return found.reduce((best, one) => (one.distance < best.distance ? one : best));
  }

  /** The place in the edited curve of a new point: {at, distance}. */
  pieceAt(point) {
    return nearest(this.points, point);
  }

  /** Add a point behind another one and select it; it is not yet a step of undo, `drop` makes it one. */
  add(point, after) {
    this.#hold([...this.points.slice(0, after + 1), point, ...this.points.slice(after + 1)]);
    this.select(after + 1);
  }

  /** Add a point half way to the one behind the selected one; a step of undo. */
  addAfterSelected() {
    if (this.selected < 0) return;
    const steps = 10;
    this.add(sampled(this.points, steps)[this.selected * steps + steps / 2], this.selected);
    this.drop();
  }

  /** Move the selected point; `drop` ends the move. */
  move(point) {
    this.#hold(this.points.map((one, index) => (index === this.selected ? point : one)));
  }

  /** What was held becomes one step of undo. */
  drop() {
    if (!this.#held) return;
    const state = this.#held;
    this.#held = null;
    this.#push(state);
  }

  /** What was held is let go as if nothing had been done. */
  cancel() {
    this.#held = null;
    this.selected = Math.min(this.selected, this.points.length - 1);
    this.#tell("outlines");
  }

  /** Remove the selected point; false where too few would be left. */
  remove() {
    if (this.selected < 0 || this.points.length <= FEWEST) return false;
    this.#put(this.points.filter((_, index) => index !== this.selected));
    this.select(Math.min(this.selected, this.points.length - 1));
    return true;
  }

  /** Begin the edited region with the ellipse that fills a box; a step of undo. */
  startEllipse(from, to) {
    this.#put(ellipse(from, to));
    this.select(-1);
  }

  /** Take the edited region's outline away. */
  clear() {
    this.#put([]);
    this.select(-1);
  }

  /** Lay other outlines over these; a step of undo. */
  take(contours) {
    this.#push({...this.state, ...shapesOf(contours)});
  }

  setEye(eye) {
    this.#push({...this.state, eye});
  }

  undo() {
    this.#history.undo();
    this.#moved();
  }

  redo() {
    this.#history.redo();
    this.#moved();
  }

  #hold(points) {
    this.#held = {...this.state, [this.region]: {points, outline: null}};
    this.#tell("outlines");
  }

  #put(points) {
    this.#push({...this.state, [this.region]: {points, outline: null}});
  }

  #push(state) {
    this.#history.push(state);
    this.#moved();
  }

  #moved() {
    this.selected = Math.min(this.selected, this.points.length - 1);
    this.#tell("outlines");
    this.#tell("step");
  }

  /** Events: `outlines` at every movement, `step` at every step of undo, `selection`. */
  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}
