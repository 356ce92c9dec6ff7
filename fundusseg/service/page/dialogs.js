/** Questions to the grader: a dialog is a form whose buttons close it with their value. */

import {list, say} from "./strings.js";

/** Open a dialog; resolves with the value of the button that closed it, or null where it was cancelled. */
export function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue || null), {once: true});
  });
}

/** Ask for the service's token; null where none is given. */
export async function askToken(dialog) {
  const field = dialog.querySelector("input");
  field.value = "";
  return (await ask(dialog)) && field.value ? field.value : null;
}

/** Ask who grades: {grader, round, masked}, or null. Without a store a name has no use and is not asked for. */
export async function askGrader(dialog, settings, graders) {
  const [grader, round, masked] = ["grader", "round", "masked"].map((name) => dialog.querySelector(`[name=${name}]`));
  for (const element of dialog.querySelectorAll(".of-store")) element.hidden = graders === null;
  grader.required = graders !== null;
  grader.value = settings.grader;
  round.value = settings.round;
  masked.checked = settings.masked;
  dialog.querySelector("datalist").replaceChildren(...(graders ?? []).map((name) => new Option(name)));
  if (!(await ask(dialog))) return null;
  return {grader: grader.value.trim(), round: Number(round.value), masked: masked.checked};
}

/** Ask why a photograph is rejected; keys 1 to 9 choose, the last reason is in the grader's own words. */
export class Rejection {
  #dialog;
  #words;

  constructor(dialog) {
    this.#dialog = dialog;
    this.#words = dialog.querySelector("input");
    const reasons = list("reasons");
    dialog.querySelector("ol").append(...reasons.map((reason, index) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      [button.type, button.textContent] = ["button", reason];
      button.addEventListener("click", () => this.#choose(index));
      item.append(button);
      return item;
    }));
    dialog.addEventListener("keydown", (event) => {
      const number = event.target === this.#words ? 0 : Number(event.key);
      if (number >= 1 && number <= reasons.length) {
        event.preventDefault();
        this.#choose(number - 1);
      }
    });
  }

  /** The reason, or null. */
  async ask() {
    this.#words.value = "";
    return (await ask(this.#dialog)) === "words" ? this.#words.value.trim() || null : this.#dialog.returnValue || null;
  }

  #choose(index) {
    const reasons = list("reasons");
    if (index + 1 === reasons.length) this.#words.focus();
    else this.#dialog.close(reasons[index]);
  }
}

/** Ask which patient is to be deleted: the name, typed again, or null. */
export async function askPatient(dialog, patients) {
  const [select, typed] = [dialog.querySelector("select"), dialog.querySelector("input")];
  select.replaceChildren(...patients.map((patient) => new Option(patient)));
  typed.value = "";
  typed.setCustomValidity("");
  typed.oninput = () => typed.setCustomValidity(typed.value === select.value ? "" : say("type the same"));
  typed.oninput();
  return (await ask(dialog)) ? select.value : null;
}
