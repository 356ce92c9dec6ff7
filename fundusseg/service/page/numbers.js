/** The numbers beside the photograph: ratios and rim of the outlines as they are, and of the model's. */

import {drawRim} from "./rim_chart.js";
import {say} from "./strings.js";

const ROWS = [
  ["vertical_cdr", 2], ["horizontal_cdr", 2], ["area_cdr", 2], ["rim_min_ratio", 2], ["rim_min_clock_hour", 0],
  ["rim_absent", 0], ["disc_height", 0], ["cup_height", 0],
];

const shown = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));

export class Numbers {
  #panel;

  constructor(panel) {
    this.#panel = panel;
    const body = panel.querySelector("tbody");
    for (const [name] of ROWS) {
      const row = body.insertRow();
      row.dataset.measure = name;
      const heading = document.createElement("th");
      heading.scope = "row";
      heading.textContent = say(`measure ${name}`);
      row.append(heading);
      row.insertCell().className = "own";
      row.insertCell().className = "model";
    }
  }

  /** Show what the desk knows; while it is hidden there is nothing to see but the eye's side. */
  show({item, hidden, measured, eye}) {
    const panel = this.#panel;
    panel.dataset.empty = String(item === null);
    panel.querySelector("h2").textContent = item?.file ?? say("nothing on the desk");
    for (const radio of panel.querySelectorAll("[name=eye]")) radio.checked = radio.value === (eye ?? "");
    panel.querySelector("#masked-note").hidden = !hidden;
    panel.querySelector("#figures").hidden = hidden || item === null;
    this.#remarks(hidden ? null : item);
    const [own, model] = hidden ? [null, null] : [measured?.measures, item?.prediction?.measures];
    for (const row of panel.querySelectorAll("tbody tr")) {
      const [name, digits] = ROWS.find(([measure]) => measure === row.dataset.measure);
      row.querySelector(".own").textContent = shown(own?.[name], digits);
      row.querySelector(".model").textContent = shown(model?.[name], digits);
    }
    panel.querySelector("#why").textContent = own?.reason ?? "";
    const order = own ? [say(`isnt ${own.isnt_kept ?? "unknown"}`), own.isnt_reason] : [];
    panel.querySelector("#isnt").textContent = order.filter(Boolean).join(": ");
    const share = hidden ? null : measured?.rim?.share;
    const [angle, ratio] = [own?.rim_min_angle ?? null, own?.rim_min_ratio ?? 0];
    drawRim(panel.querySelector("#rim"), {share, eye, angle, ratio});
  }

  /** The model's verdict with its reasons, its interval, and what was decided. */
  #remarks(item) {
    const measures = item?.prediction?.measures;
    const verdict = this.#panel.querySelector("#verdict");
    verdict.textContent = measures?.verdict ? say(`verdict ${measures.verdict}`) : "";
    verdict.dataset.verdict = measures?.verdict ?? "";
    this.#panel.querySelector("#reasons").textContent = measures?.reasons ?? "";
    const [low, high] = [measures?.vertical_cdr_low ?? null, measures?.vertical_cdr_high ?? null];
    const known = low !== null && high !== null;
    this.#panel.querySelector("#interval").textContent =
      known ? say("interval", {low: low.toFixed(2), high: high.toFixed(2)}) : measures ? say("no interval") : "";
    const grading = item?.grading;
    const at = grading?.at.slice(0, 16).replace("T", " ");
    const decided = grading ? say(`decided ${grading.decision}`, {reason: grading.reason, at}) : "";
    this.#panel.querySelector("#decided").textContent = decided;
  }
}
