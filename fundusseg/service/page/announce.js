/** One line for everyone: shown at the page's foot, and read aloud by a screen reader. */

let line = null;
let timer = 0;

export function announceIn(element) {
  line = element;
}

/** Say a sentence; trouble stays until the next one. */
export function announce(sentence, {trouble = false} = {}) {
  clearTimeout(timer);
  line.textContent = sentence;
  line.dataset.trouble = String(trouble);
  if (!trouble) timer = setTimeout(() => (line.textContent = ""), 8000);
}
