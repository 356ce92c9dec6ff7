"use strict";
const body = document.querySelector("tbody");
const headings = [...document.querySelectorAll("th")];
const words = new Intl.Collator("en", {numeric: true});

function value(row, column) {
  const cell = row.cells[column];
  return cell.dataset.sort ?? cell.textContent.trim();
}

function compare(first, second) {
  const [a, b] = [Number(first), Number(second)];
  return Number.isNaN(a) || Number.isNaN(b) ? words.compare(first, second) : a - b;
}

function sort(column, direction) {
  const rows = [...body.rows];
  // What is empty comes last, whichever way round.
  rows.sort((one, other) => {
    const [a, b] = [value(one, column), value(other, column)];
    return a === "" || b === "" ? (a === "") - (b === "") : direction * compare(a, b);
  });
  body.append(...rows);
}

headings.forEach((heading, column) => heading.querySelector("button")?.addEventListener("click", () => {
  const direction = heading.ariaSort === "ascending" ? -1 : 1;
  headings.forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  sort(column, direction);
}));
