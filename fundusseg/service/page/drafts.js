/** Outlines that are drawn and not yet saved: they outlive a reload, in this browser, under the photograph's digest. */

const key = (list, id) => `fundusseg draft|${list}|${id}`;

export function keepDraft(list, id, draft) {
  localStorage.setItem(key(list, id), JSON.stringify(draft));
}

export function draftOf(list, id) {
  return JSON.parse(localStorage.getItem(key(list, id)) ?? "null");
}

export function dropDraft(list, id) {
  localStorage.removeItem(key(list, id));
}

/** Drop every grader's drafts of a photograph. */
export function forget(id) {
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith("fundusseg draft|") && name.endsWith(`|${id}`)) localStorage.removeItem(name);
  }
}
