/** How far graders agree with each other, with themselves, and with the model: tables of the service. */

import {say} from "./strings.js";

const COLUMNS = ["first", "second", "photographs", "masked", "measure", "value", "bias", "limit_low", "limit_high"];

const COUNTS = ["photographs", "masked"];

const shown = (value) => (typeof value === "number" ? value.toFixed(3) : (value ?? "–"));

/** A number with its interval where it has one. */
function cell(row, column) {
  if (column === "measure") return say(`measure ${row.measure}`);
  if (COUNTS.includes(column)) return row[column];
  const [low, high] = column === "value" ? [row.low, row.high] : [row[`${column}_low`], row[`${column}_high`]];
  const known = typeof low === "number" && typeof high === "number";
  return shown(row[column]) + (known ? ` (${shown(low)} – ${shown(high)})` : "");
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
