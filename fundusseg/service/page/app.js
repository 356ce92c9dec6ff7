/** The grader's page: puts the parts together. */

import {announce, announceIn} from "./announce.js";
import {Bench} from "./bench.js";
import {commandsOf} from "./commands.js";
import {Desk} from "./desk.js";
import {askToken, Rejection} from "./dialogs.js";
import {Editor} from "./editor.js";
import {describeKeys, listen} from "./keyboard.js";
import {Light} from "./light.js";
import {Numbers} from "./numbers.js";
import {Pictures} from "./pictures.js";
import {Pointers} from "./pointers.js";
import {get, onTokenNeeded} from "./service.js";
import {Settings} from "./settings.js";
import {Stage} from "./stage.js";
import {StoreShelf} from "./store_shelf.js";
import {fill, say} from "./strings.js";
import {TabShelf} from "./tab_shelf.js";
import {droppedFiles, Upload} from "./upload.js";
import {Worklist} from "./worklist.js";

const element = (id) => document.getElementById(id);

/** Buttons and labels follow what lies on the desk. */
function follow({desk, editor, stage, numbers}) {
  const button = (name) => document.querySelector(`[data-command=${name}]`);
  const refresh = () => {
    const {item, hidden, measured} = desk;
    stage.references = desk.references;
    stage.render();
    numbers.show({item, hidden, measured, eye: editor.eye});
    document.body.dataset.empty = String(item === null);
    button("accept").textContent = say(desk.settled ? "next open" : item && desk.drawnByHand ? "save" : "accept");
    const {editing, region} = editor;
    const on = {correct: editing, disc: editing && region === "disc", cup: editing && region === "cup"};
    for (const [name, pressed] of Object.entries(on)) button(name).ariaPressed = String(pressed);
    const able = {
      accept: item && desk.drawn, correct: item, reject: item, withdraw: item?.grading && !desk.rivals,
      undo: editor.canUndo, redo: editor.canRedo, removePoint: editor.editing && editor.selected >= 0,
      newPoint: editor.editing && editor.selected >= 0, clear: editing && editor.points.length,
      ellipse: item, disc: item, cup: item,
    };
    for (const [name, possible] of Object.entries(able)) button(name).disabled = !possible;
  };
  for (const event of ["outlines", "selection"]) editor.addEventListener(event, refresh);
  for (const event of ["opened", "measured", "saved"]) desk.addEventListener(event, refresh);
  refresh();
}

/** A point that is selected is told to who cannot see it. */
function describeSelection({editor}) {
  editor.addEventListener("selection", () => {
    if (!editor.editing || editor.selected < 0) return;
    const [x, y] = editor.points[editor.selected].map(Math.round);
    const {length: count} = editor.points;
    announce(say("point", {region: say(editor.region), number: editor.selected + 1, count, x, y}));
  });
}

/** Photographs come by drop or by the two file fields. */
function receive(upload, bench) {
  const take = (files) => bench.attempt(() => upload.add(files));
  const drop = document.body;
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("dropping");
  });
  drop.addEventListener("dragleave", (event) => event.relatedTarget ?? drop.classList.remove("dropping"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("dropping");
    take(await droppedFiles(event.dataTransfer));
  });
  for (const field of [element("files"), element("folder")]) {
    field.addEventListener("change", async () => {
      const files = [...field.files];
      field.value = "";
      take(files);
    });
  }
  upload.addEventListener("progress", () => {
    element("sending").textContent = say("sending", {done: upload.sent + upload.failures.length, total: upload.total});
  });
  upload.addEventListener("added", (event) => bench.attempt(() => bench.uploaded(event.detail)));
  upload.addEventListener("done", () => showReceipt(upload));
}

/** What was taken, what was not and why: nothing that was given goes uncounted. */
function showReceipt({sent, failures, passedOver}) {
  element("sending").textContent = say("taken", {count: sent});
  const over = [...passedOver].map(
    ([ending, count]) => say("passed over", {count, ending: ending || say("no ending")}));
  const lines = [...failures.map(({file, detail}) => `${file}: ${detail}`), ...over];
  element("not-taken").hidden = !lines.length;
  element("not-taken").querySelector("summary").textContent = say("not taken", {count: lines.length});
  element("not-taken").querySelector("ul").replaceChildren(...lines.map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
}

function wire(commands, {editor, stage}) {
  document.addEventListener("click", (event) => {
    const name = event.target.closest("[data-command]")?.dataset.command;
    if (name) commands[name]();
  });
  for (const radio of document.querySelectorAll("[name=eye]")) {
    radio.addEventListener("change", () => editor.setEye(radio.value || null));
  }
  listen(commands, {
    pointSelected: () => editor.editing && editor.selected >= 0,
    nudge([dx, dy]) {
      const [x, y] = editor.points[editor.selected];
      editor.move([x + dx / stage.viewport.scale, y + dy / stage.viewport.scale]);
    },
    settle: () => editor.drop(),
  });
}

/** Where the bundle knows readers: from strict to generous, for photographs that are added from now on. */
function offerConventions(readers, settings) {
  if (!readers) settings.convention = null;
  const slider = element("convention");
  element("of-readers").hidden = !readers;
  slider.value = settings.convention ?? 0;
  slider.addEventListener("change", () => {
    settings.convention = Number(slider.value);
    announce(say("convention now", {position: slider.value}));
  });
}

/** The order of the store's list; changed, it is fetched anew. */
function offerOrders(settings, bench) {
  const choice = element("order");
  choice.value = settings.order;
  choice.addEventListener("change", () => {
    settings.order = choice.value;
    bench.attempt(() => bench.start());
  });
}

async function main() {
  fill(document);
  describeKeys(element("keys"));
  announceIn(element("live"));
  onTokenNeeded(() => askToken(element("token")));
  const models = await get("v1/models");
  const settings = new Settings();
  const shelf = models.store ? new StoreShelf(settings) : new TabShelf(settings);
  const editor = new Editor();
  const stage = new Stage(element("stage"), editor);
  const desk = new Desk(shelf, editor, settings);
  const worklist = new Worklist(element("photographs"), element("progress"));
  const [contrast, brightness, toggle] = ["contrast", "brightness", "red-free-toggle"].map(element);
  const light = new Light(stage.image, {contrast, brightness, toggle});
  const parts = {
    shelf, settings, editor, stage, desk, worklist, light, pictures: new Pictures(shelf),
    numbers: new Numbers(element("numbers")), rejection: new Rejection(element("rejection")),
  };
  parts.bench = new Bench(parts);
  document.body.dataset.store = String(models.store);
  document.body.dataset.mode = "grade";
  element("model").textContent = say("model", {name: models.bundle.name, digest: models.bundle.digest.slice(7, 19)});
  new Pointers(element("stage"), stage, editor);
  wire(commandsOf(parts), parts);
  follow(parts);
  describeSelection(parts);
  const upload = new Upload(shelf, models.endings);
  receive(upload, parts.bench);
  window.addEventListener("beforeunload", (event) => (shelf.unsaved || upload.running) && event.preventDefault());
  offerConventions(models.bundle.conventions, settings);
  offerOrders(settings, parts.bench);
  parts.bench.nameGrader();
  if (models.store && !settings.grader) while (!(await parts.bench.who()));
  else await parts.bench.attempt(() => parts.bench.start());
  document.body.dataset.ready = "true";
}

main().catch((error) => announce(error.message, {trouble: true}));
