/**
 * Mouse, pen and fingers on the stage.
 *
 * On a point: drag it; twice, or the right button: remove it. On the edited line: add a point and drag it. On another
 * line: edit that. Elsewhere: pan. Two fingers or the wheel: zoom. While an ellipse is asked for: draw it.
 */

const REACH = {mouse: 9, pen: 12, touch: 24};
const TWICE = 350;
/** Pixels of the screen up to which a press is no drag. */
const STILL = 4;

const apart = ([one, other]) => Math.hypot(one[0] - other[0], one[1] - other[1]);
const between = ([one, other]) => [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];

export class Pointers {
  #element;
  #stage;
  #editor;
  #down = new Map();
  #drag = null;
  #start = null;
  #last = {at: 0, index: -1};

  constructor(element, stage, editor) {
    [this.#element, this.#stage, this.#editor] = [element, stage, editor];
    element.addEventListener("pointerdown", (event) => this.#press(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, (event) => this.#lift(event));
    element.addEventListener("contextmenu", (event) => this.#menu(event));
    element.addEventListener("wheel", (event) => this.#wheel(event), {passive: false});
  }

  #at(event) {
    const frame = this.#element.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  #press(event) {
    if (event.button > 0) return;
    this.#element.focus({preventScroll: true});
    this.#element.setPointerCapture(event.pointerId);
    this.#down.set(event.pointerId, this.#at(event));
    if (this.#down.size === 2) {
      // A second finger: what the first one began was meant as a pinch.
      this.#editor.cancel();
      this.#drag = {kind: "pinch"};
    } else if (this.#down.size === 1) {
      this.#start = this.#at(event);
      this.#drag = this.#grasp(this.#start, REACH[event.pointerType] ?? REACH.mouse);
    }
  }

  /** What a press takes hold of. */
  #grasp(at, reach) {
    const {point, scale} = this.#stage.viewport;
    const here = point(at);
    if (this.#stage.box) return {kind: "ellipse", from: here};
    if (!this.#stage.outlinesShown) return {kind: "pan"};
    if (this.#editor.editing) {
      const index = this.#pointNear(at, reach);
      if (index >= 0) return this.#hold(index, at);
      const line = this.#editor.points.length ? this.#editor.pieceAt(here) : {distance: Infinity};
      if (line.distance * scale <= reach / 2) {
        this.#editor.add(here, line.at);
        return {kind: "point", offset: [0, 0]};
      }
    }
    const {region, distance} = this.#editor.lineAt(here);
    return {kind: "pan", region: distance * scale <= reach ? region : null};
  }

  /** Take a point where it was touched, not at its middle: it does not jump under the finger. */
  #hold(index, at) {
    const now = performance.now();
    const twice = index === this.#last.index && now - this.#last.at < TWICE;
    this.#last = {at: now, index};
    this.#editor.select(index);
    if (twice && this.#editor.remove()) {
      this.#last = {at: 0, index: -1};
      return null;
    }
    const [x, y] = this.#stage.viewport.place(this.#editor.points[index]);
    return {kind: "point", offset: [x - at[0], y - at[1]]};
  }

  #pointNear(at, reach) {
    const away = this.#editor.points.map((point) => apart([this.#stage.viewport.place(point), at]));
    const least = Math.min(...away);
    return least <= reach ? away.indexOf(least) : -1;
  }

  #move(event) {
    const before = this.#down.get(event.pointerId);
    if (!before || !this.#drag) return;
    const at = this.#at(event);
    const {viewport} = this.#stage;
    if (apart([at, this.#start]) > STILL) {
      // Not the first half of a press twice, and not a press on a line.
      this.#last = {at: 0, index: -1};
      this.#drag.region = null;
    }
    if (this.#drag.kind === "pinch") {
      const old = [...this.#down.values()];
      this.#down.set(event.pointerId, at);
      this.#pinch(old, [...this.#down.values()]);
      return;
    }
    this.#down.set(event.pointerId, at);
    if (this.#drag.kind === "pan") {
      this.#stage.pan(at[0] - before[0], at[1] - before[1]);
    } else if (this.#drag.kind === "point") {
      const {offset} = this.#drag;
      this.#editor.move(viewport.point([at[0] + offset[0], at[1] + offset[1]]));
    } else {
      this.#stage.box = [this.#drag.from, viewport.point(at)];
      this.#stage.render();
    }
  }

  #pinch(old, now) {
    const [from, to] = [between(old), between(now)];
    this.#stage.pan(to[0] - from[0], to[1] - from[1]);
    this.#stage.zoom(apart(now) / Math.max(1, apart(old)), to);
  }

  #lift(event) {
    if (!this.#down.delete(event.pointerId)) return;
    const drag = this.#drag;
    this.#drag = this.#down.size ? {kind: "pan"} : null;
    if (event.type === "pointercancel") this.#editor.cancel();
    else if (drag?.kind === "point") this.#editor.drop();
    else if (drag?.kind === "pan" && drag.region) this.#editor.edit(drag.region);
    else if (drag?.kind === "ellipse" && this.#stage.box.length) {
      const box = this.#stage.box;
      this.#stage.disarm();
      this.#editor.startEllipse(...box);
    }
  }

  #menu(event) {
    event.preventDefault();
    const index = this.#editor.editing ? this.#pointNear(this.#at(event), REACH.mouse) : -1;
    if (index < 0) return;
    this.#editor.select(index);
    this.#editor.remove();
  }

  #wheel(event) {
    event.preventDefault();
    // Lines (mouse in Firefox) count as sixteen pixels each.
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1);
    this.#stage.zoom(Math.exp(-pixels / 400), this.#at(event));
  }
}
