"use strict";
const PAGE = 250; // rows in the document at once: a browser lays out thousands in seconds, and in each sort again
const body = document.querySelector("tbody");
const headings = [...document.querySelectorAll("th")];
const words = new Intl.Collator("en", {numeric: true});
const pager = document.querySelector("#pager");
const [search, shown, back, on] = pager.querySelectorAll("input, output, button");
let rows = [...body.rows];
let found = rows;
let first = 0;

function value(row, column) {
  const cell = row.cells[column];
  return cell.dataset.sort ?? cell.textContent.trim();
}

function compare(first, second) {
  const [a, b] = [Number(first), Number(second)];
  return Number.isNaN(a) || Number.isNaN(b) ? words.compare(first, second) : a - b;
}

function show(from) {
  first = from;
  const last = Math.min(found.length, first + PAGE);
  body.replaceChildren(...found.slice(first, last));
  shown.value = found.length ? `${first + 1} to ${last} of ${found.length}` : "none";
  [back.disabled, on.disabled] = [first === 0, last === found.length];
}

function find() {
  const asked = search.value.toLowerCase();
  found = asked ? rows.filter((row) => row.textContent.toLowerCase().includes(asked)) : rows;
  show(0);
}

function sort(column, direction) {
  // What is empty comes last, whichever way round. Each value is read once, not at every comparison.
  const keyed = rows.map((row) => [value(row, column), row]);
  keyed.sort(([a], [b]) => a === "" || b === "" ? (a === "") - (b === "") : direction * compare(a, b));
  rows = keyed.map(([, row]) => row);
  find();
}

headings.forEach((heading, column) => heading.querySelector("button")?.addEventListener("click", () => {
  const direction = heading.ariaSort === "ascending" ? -1 : 1;
  headings.forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  sort(column, direction);
}));
search.addEventListener("input", find);
back.addEventListener("click", () => show(first - PAGE));
on.addEventListener("click", () => show(first + PAGE));
if (rows.length > PAGE) {
  pager.hidden = false;
  show(0);
  addEventListener("beforeprint", () => body.replaceChildren(...found)); // paper has them all
  addEventListener("afterprint", () => show(first));
}
