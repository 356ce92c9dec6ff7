/**
 * Closed curves through points that a hand can drag.
 *
 * Centripetal Catmull-Rom splines (Yuksel, Schaefer and Keyser 2011, doi 10.1016/j.cad.2010.08.008): no loops, no
 * cusps, and a dragged point moves only the two pieces on each of its sides. Points are [x, y] in pixels of the
 * photograph.
 */

export const FEWEST = 3;
const MOST = 24;
const FIRST = 10;

const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const round = (value) => Math.round(value * 100) / 100;

/** Control points of the cubic piece from points[at] to the next: [start, handle, handle, end]. */
function piece(points, at) {
  const count = points.length;
  const [p0, p1, p2, p3] = [-1, 0, 1, 2].map((step) => points[(at + step + count) % count]);
  // Square roots of the chords are what makes it centripetal; equal points would divide by zero.
  const [a, b, c] = [[p0, p1], [p1, p2], [p2, p3]].map(([from, to]) => Math.max(1e-3, Math.sqrt(distance(from, to))));
  const leaving = [0, 1].map((axis) =>
    (a * a * p2[axis] - b * b * p0[axis] + (2 * a * a + 3 * a * b + b * b) * p1[axis]) / (3 * a * (a + b)));
  const arriving = [0, 1].map((axis) =>
    (c * c * p1[axis] - b * b * p3[axis] + (2 * c * c + 3 * c * b + b * b) * p2[axis]) / (3 * c * (c + b)));
  return [p1, leaving, arriving, p2];
}

function along([start, leaving, arriving, end], part) {
  const rest = 1 - part;
  const weights = [rest ** 3, 3 * rest * rest * part, 3 * rest * part * part, part ** 3];
  return [0, 1].map((axis) =>
    weights[0] * start[axis] + weights[1] * leaving[axis] + weights[2] * arriving[axis] + weights[3] * end[axis]);
}

/** The curve as a polygon, `steps` corners for each point. */
export function sampled(points, steps = 10) {
  return points.flatMap((_, at) => {
    const cubic = piece(points, at);
    return Array.from({length: steps}, (_, step) => along(cubic, step / steps).map(round));
  });
}

/** An SVG path of a polygon; `place` turns a point of the photograph into one of the screen. */
export function pathOf(polygon, place) {
  return polygon.length ? `M${polygon.map((point) => place(point).map(round).join(" ")).join("L")}Z` : "";
}

/** Twelve points of the upright ellipse that fills a box. */
export function ellipse([left, top], [right, bottom], count = 12) {
  return Array.from({length: count}, (_, step) => {
    const angle = (2 * Math.PI * step) / count;
    return [
      round((left + right) / 2 + (Math.abs(right - left) / 2) * Math.sin(angle)),
      round((top + bottom) / 2 - (Math.abs(bottom - top) / 2) * Math.cos(angle)),
    ];
  });
}

/** How far a point lies from a polyline's piece. */
function off(point, from, to) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy;
  const part = length ? ((point[0] - from[0]) * dx + (point[1] - from[1]) * dy) / length : 0;
  const within = Math.min(1, Math.max(0, part));
  return Math.hypot(point[0] - from[0] - within * dx, point[1] - from[1] - within * dy);
}

/** The piece of a curve that passes nearest to a point: {at, distance}; a new point belongs behind `at`. */
export function nearest(points, point, steps = 10) {
  const polygon = sampled(points, steps);
  let best = {at: -1, distance: Infinity};
  polygon.forEach((corner, index) => {
    const away = off(point, corner, polygon[(index + 1) % polygon.length]);
    if (away < best.distance) best = {at: Math.floor(index / steps), distance: away};
  });
  return best;
}

/** How far a point lies from a closed polygon. */
export function away(polygon, point) {
  return polygon.reduce(
    (least, corner, at) => Math.min(least, off(point, corner, polygon[(at + 1) % polygon.length])), Infinity);
}

/**
 * A few points whose curve follows a dense outline: ten, and more where it is off by most, up to 24.
 *
 * Two thirds of a percent of the outline's height, one pixel at least, are let pass: more points would be in a hand's
 * way.
 */
export function fitted(outline) {
  if (outline.length <= FIRST) return outline;
  const heights = outline.map((point) => point[1]);
  const tolerance = Math.max(1, (Math.max(...heights) - Math.min(...heights)) / 150);
  const chosen = Array.from({length: FIRST}, (_, step) => Math.round((step * outline.length) / FIRST));
  while (chosen.length < MOST) {
    const worst = farthest(outline, chosen);
    if (worst.distance <= tolerance) break;
    chosen.push(worst.index);
    chosen.sort((a, b) => a - b);
  }
  return chosen.map((index) => outline[index]);
}

/** The outline's point that the curve through the chosen ones misses by most: {index, distance}. */
function farthest(outline, chosen) {
  const points = chosen.map((index) => outline[index]);
  let worst = {index: -1, distance: 0};
  chosen.forEach((first, at) => {
    const last = at + 1 < chosen.length ? chosen[at + 1] : outline.length;
    const cubic = piece(points, at);
    const line = Array.from({length: 13}, (_, step) => along(cubic, step / 12));
    for (let index = first + 1; index < last; index += 1) {
      const distance = line.slice(1).reduce(
        (least, corner, step) => Math.min(least, off(outline[index], line[step], corner)), Infinity);
      if (distance > worst.distance) worst = {index, distance};
    }
  });
  return worst;
}
