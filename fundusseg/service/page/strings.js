/** Every word of the page stands in strings.en.json; a translation is another such file. */

const words = await (await fetch(new URL("strings.en.json", import.meta.url))).json();

/** The sentence of a key, its {names} filled in. */
export function say(key, values = {}) {
  if (!(key in words)) throw new Error(`no string ${key}`);
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** The list of a key. */
export const list = (key) => words[key];

/** Fill a part of the page: data-say is an element's text, data-label its label, data-hint its tooltip. */
export function fill(root) {
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of root.querySelectorAll("[data-label]")) element.ariaLabel = say(element.dataset.label);
  for (const element of root.querySelectorAll("[data-hint]")) element.title = say(element.dataset.hint);
}
