/** How far graders agree with each other, with themselves, and with the model: tables of the service. */

import {say} from "./strings.js";

const COLUMNS = ["first", "second", "photographs", "measure", "value", "bias", "limit_low", "limit_high", "icc"];

const shown = (value) => {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : String(value);
};

/** The value with its interval where it has one. */
function cell(row, column) {
  const interval = column === "value" && row.low !== null ? ` (${shown(row.low)} – ${shown(row.high)})` : "";
  return column === "measure" ? say(`measure ${row.measure}`) : shown(row[column]) + interval;
}

function table(rows) {
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  for (const column of COLUMNS) {
    const heading = document.createElement("th");
    heading.scope = "col";
    heading.textContent = say(`column ${column}`);
    head.append(heading);
  }
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const column of COLUMNS) line.insertCell().textContent = cell(row, column);
  }
  return made;
}

/** Fill a part of the page with {between, within, model}. */
export function showAgreement(place, agreement) {
  place.replaceChildren(...["between", "within", "model"].flatMap((part) => {
    const heading = document.createElement("h3");
    heading.textContent = say(`agreement ${part}`);
    const rows = agreement[part];
    if (rows.length) return [heading, table(rows)];
    const nothing = document.createElement("p");
    nothing.textContent = say("agreement none");
    return [heading, nothing];
  }));
}
