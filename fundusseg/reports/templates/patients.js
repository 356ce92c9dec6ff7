"use strict";
const patients = [...document.querySelectorAll(".patient")];
const HALF_SECOND = 500;
let flickering = null;
document.body.classList.add("scripted");

// Every patient is in the document; one is shown at a time.
function choose(id, focus) {
  const chosen = patients.find((patient) => patient.id === id) ?? patients[0];
  if (!chosen) return;
  stop();
  patients.forEach((patient) => { patient.hidden = patient !== chosen; });
  rows.forEach((row) => {
    row.classList.toggle("chosen", row.dataset.patient === chosen.id);
  });
  if (focus) (chosen.querySelector(".visits") ?? chosen).focus();
}

// In the order in which the table is sorted now, through all its pages.
function step(direction) {
  const ids = found.map((row) => row.dataset.patient);
  if (!ids.length) return;
  const now = ids.indexOf(patients.find((patient) => !patient.hidden)?.id);
  const next = Math.min(ids.length - 1, Math.max(0, now + direction));
  if (!found[next].isConnected) show(next - next % PAGE);
  history.replaceState(null, "", `#${ids[next]}`);
  choose(ids[next], true);
}

function turn(visits, direction) {
  const figures = [...visits.querySelectorAll("figure")];
  const now = figures.findIndex((figure) => figure.classList.contains("shown"));
  figures[now].classList.remove("shown");
  figures[(now + direction + figures.length) % figures.length].classList.add("shown");
}

function press(visits, name, on) {
  visits.parentElement.querySelector(`[data-do=${name}]`)?.setAttribute("aria-pressed", String(on));
}

function stop() {
  if (!flickering) return;
  clearInterval(flickering.timer);
  press(flickering.visits, "flicker", false);
  flickering = null;
}

const actions = {
  flicker(visits) {
    const same = flickering?.visits === visits;
    stop();
    if (same || visits.querySelectorAll("figure").length < 2) return;
    if (visits.classList.contains("beside")) actions.beside(visits);
    flickering = {visits, timer: setInterval(() => turn(visits, 1), HALF_SECOND)};
    press(visits, "flicker", true);
  },
  back(visits) { stop(); turn(visits, -1); },
  on(visits) { stop(); turn(visits, 1); },
  outlines(visits) { press(visits, "outlines", !visits.classList.toggle("bare")); },
  beside(visits) { stop(); press(visits, "beside", visits.classList.toggle("beside")); },
};
const keys = {" ": "flicker", ArrowLeft: "back", ArrowRight: "on", o: "outlines", s: "beside"};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) actions[button.dataset.do](button.closest(".eye").querySelector(".visits"));
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
  if (event.key === "n" || event.key === "p") { step(event.key === "n" ? 1 : -1); return; }
  // A button's own Space presses it.
  if (!(event.key in keys) || event.target.closest("button, a, summary")) return;
  const chosen = patients.find((patient) => !patient.hidden);
  const visits = document.activeElement.closest(".eye")?.querySelector(".visits") ?? chosen?.querySelector(".visits");
  if (!visits) return;
  event.preventDefault();
  actions[keys[event.key]](visits);
});

addEventListener("hashchange", () => choose(location.hash.slice(1), true));
choose(location.hash.slice(1), false);
