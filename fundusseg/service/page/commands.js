/** What keys and buttons do, by name: a button's data-command is one of these, and so is a key's. */

import {announce} from "./announce.js";
import {ask, askPatient} from "./dialogs.js";
import {say} from "./strings.js";

const element = (id) => document.getElementById(id);
const ZOOM = 1.25;

/** The commands of one page; `parts` are desk, editor, stage, light, worklist, rejection, shelf and bench. */
export function commandsOf(parts) {
  const groups = [listCommands, outlineCommands, viewCommands, storeCommands, digits];
  return Object.assign({}, ...groups.map((group) => group(parts)));
}

function listCommands({desk, worklist, rejection, bench}) {
  const comment = () => ({comment: element("comment").value.trim()});
  return {
    next: () => worklist.move(1) || announce(say("last one")),
    previous: () => worklist.move(-1) || announce(say("first one")),
    nextOpen: () => worklist.nextOpen() || announce(say("all done")),
    accept() {
      if (!desk.item) return;
      if (desk.settled) worklist.nextOpen() || announce(say("all done"));
      else if (!desk.drawn) announce(say("nothing drawn"), {trouble: true});
      else bench.decide("accept", comment());
    },
    async reject() {
      const reason = desk.item && bench.seen() && (await rejection.ask());
      if (reason) await bench.decide("reject", {reason, ...comment()});
    },
    withdraw() {
      if (desk.item?.grading && !desk.rivals) bench.decide("withdraw", comment());
    },
  };
}

function outlineCommands({desk, editor, stage}) {
  const edit = (region) => desk.item && editor.edit(region, 0);
  return {
    correct: () => edit(editor.editing ? null : editor.region),
    disc: () => edit("disc"),
    cup: () => edit("cup"),
    ellipse() {
      if (!desk.item) return;
      if (!editor.editing) editor.edit(editor.region);
      if (stage.box) {
        const box = stage.middleBox();
        stage.disarm();
        editor.startEllipse(...box);
        editor.select(0);
      } else {
        stage.arm();
        announce(say("draw the ellipse", {region: say(editor.region)}));
      }
    },
    nextPoint: () => editor.editing && editor.selectNext(1),
    previousPoint: () => editor.editing && editor.selectNext(-1),
    newPoint: () => editor.editing && editor.addAfterSelected(),
    removePoint() {
      if (editor.editing && editor.selected >= 0 && !editor.remove()) announce(say("too few points"), {trouble: true});
    },
    clear: () => editor.editing && editor.clear(),
    undo: () => editor.undo(),
    redo: () => editor.redo(),
    leave() {
      if (stage.box) stage.disarm();
      else if (editor.selected >= 0) editor.select(-1);
      else editor.edit(null);
    },
  };
}

function viewCommands({desk, stage, light}) {
  return {
    zoomIn: () => stage.zoom(ZOOM),
    zoomOut: () => stage.zoom(1 / ZOOM),
    fit: () => stage.fit(),
    toDisc: () => desk.item && stage.zoomToDisc(),
    outlines() {
      stage.outlinesShown = !stage.outlinesShown;
      stage.render();
      document.querySelector("[data-command=outlines]").ariaPressed = String(stage.outlinesShown);
      announce(say(stage.outlinesShown ? "outlines shown" : "outlines hidden"));
    },
    redFree: () => light.toggleRedFree(),
    moreContrast: () => light.step(1),
    lessContrast: () => light.step(-1),
    resetLight: () => light.reset(),
    help: () => ask(element("help")),
  };
}

function storeCommands({shelf, worklist, bench}) {
  return {
    add: () => element("files").click(),
    addFolder: () => element("folder").click(),
    who: () => bench.who(),
    adjudicate: () => bench.switchMode(),
    exportDataset: () => bench.attempt(() => shelf.exportDataset()),
    exportTable: () => bench.attempt(() => shelf.exportTable()),
    agreement: () => bench.showAgreement(),
    async deletePatient() {
      const patients = [...new Set(worklist.entries.map((entry) => entry.patient))].sort();
      const patient = await askPatient(element("deletion"), patients);
      if (patient !== null) await bench.deletePatient(patient);
    },
  };
}

/** Keys 1 to 9: the grader whose outlines stand while adjudicating, else a view each. */
function digits(parts) {
  const {desk} = parts;
  const {disc, cup} = outlineCommands(parts);
  const {outlines, redFree, fit, toDisc, lessContrast, moreContrast, resetLight} = viewCommands(parts);
  const views = [disc, cup, outlines, redFree, fit, toDisc, lessContrast, moreContrast, resetLight];
  return Object.fromEntries(views.map((view, index) => [`digit${index + 1}`, () => {
    if (!desk.rivals) view();
    else if (!desk.choose(index + 1)) announce(say("no such grader", {number: index + 1}), {trouble: true});
  }]));
}
