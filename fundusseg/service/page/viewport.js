/** Where the photograph lies on the stage: zoom and pan. Whole numbers of a photograph's points are pixel centres. */

const NEAREST = 40;

export class Viewport {
  scale = 1;
  left = 0;
  top = 0;
  stage = {width: 1, height: 1};
  photograph = {width: 1, height: 1};

  /** From a point of the photograph to one of the stage. */
  place = ([x, y]) => [(x + 0.5) * this.scale + this.left, (y + 0.5) * this.scale + this.top];

  /** And back. */
  point = ([x, y]) => [(x - this.left) / this.scale - 0.5, (y - this.top) / this.scale - 0.5];

  /** The scale at which all of the photograph is seen. */
  get whole() {
    return Math.min(this.stage.width / this.photograph.width, this.stage.height / this.photograph.height);
  }

  /** Show a part of the photograph, in its middle: [left, top], [right, bottom]. */
  show([left, top], [right, bottom]) {
    this.scale = Math.min(
      this.stage.width / (right - left), this.stage.height / (bottom - top), Math.max(NEAREST, this.whole));
    this.left = this.stage.width / 2 - ((left + right) / 2 + 0.5) * this.scale;
    this.top = this.stage.height / 2 - ((top + bottom) / 2 + 0.5) * this.scale;
  }

  fit() {
    this.show([-0.5, -0.5], [this.photograph.width - 0.5, this.photograph.height - 0.5]);
  }

  /** Show an outline with as much again around it. */
  showOutline(outline) {
    const [columns, rows] = [0, 1].map((axis) => outline.map((point) => point[axis]));
    const [left, top] = [columns, rows].map((values) => Math.min(...values));
    const [right, bottom] = [columns, rows].map((values) => Math.max(...values));
    const half = Math.max(right - left, bottom - top);
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    this.show([x - half, y - half], [x + half, y + half]);
  }

  /** Zoom so that what lies under a point of the stage stays there. */
  zoom(factor, [x, y] = [this.stage.width / 2, this.stage.height / 2]) {
    const scale = Math.min(Math.max(NEAREST, this.whole), Math.max(this.whole / 2, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.pan(0, 0);
  }

  /** Move the photograph; its middle or the stage's stays covered, so that it is never lost from sight. */
  pan(dx, dy) {
    const {width, height} = this.photograph;
    const hold = (start, extent, room) => Math.min(room * 0.75, Math.max(room * 0.25 - extent, start));
    this.left = hold(this.left + dx, width * this.scale, this.stage.width);
    this.top = hold(this.top + dy, height * this.scale, this.stage.height);
  }
}
