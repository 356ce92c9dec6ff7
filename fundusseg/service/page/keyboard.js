/** Which key does what: one table for the keys and for the help. */

import {say} from "./strings.js";

/** [key, command]; "Ctrl+" stands for the Command key too. */
const KEYS = [
  ["ArrowDown", "next"], ["ArrowRight", "next"], ["ArrowUp", "previous"], ["ArrowLeft", "previous"],
  ["PageDown", "next"], ["PageUp", "previous"], ["o", "nextOpen"],
  ["a", "accept"], ["c", "correct"], ["r", "reject"], ["w", "withdraw"],
  ["e", "ellipse"], [".", "nextPoint"], [",", "previousPoint"], ["n", "newPoint"], ["Delete", "removePoint"],
  ["Backspace", "removePoint"], ["x", "clear"], ["Ctrl+z", "undo"], ["z", "undo"], ["Ctrl+Z", "redo"], ["Z", "redo"],
  ["Ctrl+y", "redo"], ["Escape", "leave"],
  ["+", "zoomIn"], ["=", "zoomIn"], ["-", "zoomOut"], ["0", "fit"], ["h", "outlines"], ["g", "redFree"],
  ["1", "digit1"], ["2", "digit2"], ["3", "digit3"], ["4", "digit4"], ["5", "digit5"], ["6", "digit6"],
  ["7", "digit7"], ["8", "digit8"], ["9", "digit9"], ["?", "help"],
];

const SIGNS = {ArrowDown: "↓", ArrowRight: "→", ArrowUp: "↑", ArrowLeft: "←"};

/** A key as it stands on the keyboard: a capital in the table is the key with Shift. */
function spelled(key) {
  const [ctrl, plain] = key.startsWith("Ctrl+") ? ["Ctrl+", key.slice(5)] : ["", key];
  const shift = /^[A-Z]$/.test(plain) ? "Shift+" : "";
  return ctrl + shift + (SIGNS[plain] ?? (plain.length === 1 ? plain.toUpperCase() : plain));
}

/** Fill the help: what a key is called and what it does; the nine digits are one line. */
export function describeKeys(place) {
  const named = new Map();
  for (const [key, command] of KEYS) {
    const name = command.startsWith("digit") ? "digit" : command;
    named.set(name, [...(named.get(name) ?? []), spelled(key)]);
  }
  for (const [command, keys] of named) {
    const [term, meaning] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = command === "digit" ? "1 – 9" : [...new Set(keys)].join(say("key join"));
    meaning.textContent = say(`command ${command}`);
    place.append(term, meaning);
  }
}

const ARROWS = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0]};
const FAR = 10;

/** Whether a key belongs to what has the focus: a field that takes text, or a slider or choice that takes arrows. */
function takes(element, key) {
  if (element.closest("dialog")) return true;
  if (element.matches("textarea, select, input:not([type=radio], [type=checkbox], [type=range])")) return true;
  return element.matches("input") && (key in ARROWS || key === " ");
}

/**
 * Listen to the keys.
 *
 * With a point selected the arrows move it, by ten pixels of the screen with Shift; `nudge` is told the step, and
 * `settle` that the key was let go.
 */
export function listen(commands, {pointSelected, nudge, settle}) {
  const table = new Map(KEYS);
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.isComposing || takes(event.target, event.key)) return;
    const ctrl = event.ctrlKey || event.metaKey;
    const step = ctrl ? null : ARROWS[event.key];
    if (step && pointSelected()) {
      event.preventDefault();
      nudge(step.map((part) => part * (event.shiftKey ? FAR : 1)));
      return;
    }
    const name = (ctrl ? "Ctrl+" : "") + event.key;
    // With Caps Lock on, letters come as capitals.
    const command = commands[table.get(name) ?? table.get(name.replace(/[A-Z]$/, (letter) => letter.toLowerCase()))];
    if (!command) return;
    event.preventDefault();
    command();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key in ARROWS) settle();
  });
}
