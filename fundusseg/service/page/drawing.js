/** The outlines and their points as SVG on the stage; lines keep their width on the screen whatever the zoom. */

import {pathOf} from "./curve.js";

const SVG = "http://www.w3.org/2000/svg";
const RADIUS = 4.5;

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

export class Drawing {
  #references;
  #lines;
  #points;
  #box;

  constructor(svg) {
    this.#references = element("g", {class: "references"}, svg);
    this.#lines = element("g", {class: "lines"}, svg);
    this.#points = element("g", {class: "points"}, svg);
    this.#box = element("path", {class: "box"}, svg);
  }

  /**
   * Draw everything anew.
   *
   * scene.contours: {disc, cup} as polygons; scene.references: [{kind, label, contours}], earlier outlines to compare
   * with; scene.points: of the edited curve; scene.selected: an index into them or -1; scene.box: two corners of an
   * ellipse that is being drawn, or null; scene.region: the edited one, or null.
   */
  render(place, scene) {
    this.#references.replaceChildren();
    this.#lines.replaceChildren();
    for (const reference of scene.references) this.#reference(reference, place);
    for (const [region, polygon] of Object.entries(scene.contours)) {
      const edited = region === scene.region ? " edited" : "";
      this.#line(this.#lines, polygon, place, `${region}${edited}`);
    }
    this.#points.replaceChildren();
    scene.points.forEach((point, index) => {
      const [cx, cy] = place(point);
      const chosen = index === scene.selected;
      const name = `point ${scene.region}${chosen ? " selected" : ""}`;
      element("circle", {cx, cy, r: chosen ? RADIUS + 2 : RADIUS, class: name}, this.#points);
    });
    this.#box.setAttribute("d", scene.box ? pathOf(scene.box, place) : "");
  }

  /** A thin line of colour on a wider dark one, so that it stands out on a pale cup. */
  #line(parent, polygon, place, name) {
    const d = pathOf(polygon, place);
    if (!d) return;
    element("path", {d, class: `shade ${name}`}, parent);
    element("path", {d, class: `line ${name}`}, parent);
  }

  #reference({kind, label, contours}, place) {
    for (const [region, polygon] of Object.entries(contours)) {
      if (!polygon.length) continue;
      this.#line(this.#references, polygon, place, `${region} ${kind}`);
      if (!label || region !== "disc") continue;
      const top = polygon.reduce((high, point) => (point[1] < high[1] ? point : high));
      const [x, y] = place(top);
      element("text", {x: x + 12 * (Number(label) - 1.5), y: y - 8}, this.#references).textContent = label;
    }
  }
}
