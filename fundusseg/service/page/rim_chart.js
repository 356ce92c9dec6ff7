/** The rim's width by angle as a small chart: superior, nasal, inferior, temporal, superior. */

import {say} from "./strings.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [264, 112, 30, 18, 8];
const MOST = 0.5;

function element(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

const across = (angle) => LEFT + (angle / 360) * (WIDTH - LEFT - 4);
const up = (share) => HEIGHT - BOTTOM - (share / MOST) * (HEIGHT - BOTTOM - TOP);

/** The names of the four directions; of an unknown eye only up and down are known. */
function directions(eye) {
  const [right, left] = eye ? ["nasal", "temporal"] : ["3", "9"];
  return ["superior", right, "inferior", left, "superior"].map((name) => say(`short ${name}`));
}

/** Draw {share, eye, angle, ratio} into an SVG; share is the rim/disc ratio at each degree, null where undefined. */
export function drawRim(svg, {share, eye, angle, ratio}) {
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const parts = [0, 0.25, 0.5].flatMap((value) => [
    element("line", {class: "grid", x1: LEFT, x2: WIDTH - 4, y1: up(value), y2: up(value)}),
    element("text", {class: "tick", x: LEFT - 4, y: up(value) + 3}, value.toFixed(2)),
  ]);
  directions(eye).forEach((name, index) => parts.push(
    element("text", {class: "direction", x: across(90 * index), y: HEIGHT - 4}, name)));
  const line = share?.every((value) => value !== null) ? [...share, share[0]] : [];
  if (line.length) {
    const corners = line.map((value, degree) => `${across(degree).toFixed(1)} ${up(Math.min(MOST, value)).toFixed(1)}`);
    parts.push(element("path", {class: "rim", d: `M${corners.join("L")}`}));
  }
  if (line.length && angle !== null) {
    parts.push(element("circle", {class: "least", cx: across(angle), cy: up(ratio), r: 3}));
  }
  svg.replaceChildren(...parts);
}
