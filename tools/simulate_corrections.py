r"""Simulate a site that corrects: a champion that has never seen a source, whose eyes arrive in rounds.

    python tools/simulate_corrections.py --champion best.ckpt --root FOLDER --output simulation
    python tools/simulate_corrections.py --champion best.ckpt --root FOLDER --output orders --device cuda --jobs 8 \
        --order random expected_gain --repeats 5 --pool 220 --rest 119 --rounds 4

The labelled eyes of RIM-ONE DL, or of the source that --new names, are shuffled; each round brings some to a store,
corrected to their ground truth by one grader, and `improve` runs as a site would run it. All are disc crops, so that
no localiser is needed, which would have to be trained without the new source too.

Scored before the first round and after each promotion are the eyes that never arrive, and half of what the champion
was not trained on of the old sources: that half `improve` never sees. The mean over the pictures with the bootstrap's
95 % interval over patients, and the paired difference from the first champion with its own. Writes rounds.csv and
pictures.csv. Of several values of --order, --rate, --share and --epochs, and of --repeats, each combination is a
process of its own, --jobs at a time, in a folder named after it; all_rounds.csv holds them all. What is finished is
not done again.
"""

import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fundusseg.data.expert_fusion import fuse
from fundusseg.datasets import Folder, RimOneDL
from fundusseg.datasets.base import FundusDataset
from fundusseg.evaluation.protocols import select_protocols
from fundusseg.evaluation.scoring import MODEL, Case, Evaluation
from fundusseg.imaging.image_files import encode_png
from fundusseg.inference import model_bundle
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.learning.bundle_comparison import untrained_cases
from fundusseg.learning.challengers import Budget
from fundusseg.learning.champions import Champions
from fundusseg.learning.improvement_round import ImprovementRound, Settings
from fundusseg.measures.bootstrap import mean_interval
from fundusseg.measures.contours import as_json, contours
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.measures.picture_scores import vertical_cdr_error
from fundusseg.reports.files import plain, write_csv
from fundusseg.reports.metric_names import AUTOMATIC_ROI
from fundusseg.sample import CUP, DISC, Record, Sample
from fundusseg.service.documents import digest
from fundusseg.service.expected_gain import by_expected_gain, candidate
from fundusseg.service.grading import Posted
from fundusseg.service.measure_routes import Drawn, measured
from fundusseg.service.store import Store

LOOKS = 4
"""Mirrored views of each photograph that comes in: their spread is how unsure the prediction is."""

ORDERS = ("random", "expected_gain")

BUDGET = Budget()

MEASURES = ("disc_dice", "cup_dice", "vcdr_error")

VARIED = ("order", "rate", "share", "epochs")
"""Options that take several values."""


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--champion", type=Path, required=True, help="Checkpoint trained without the new source.")
    parser.add_argument("--root", type=Path, required=True, help="Folder of the public sources.")
    parser.add_argument("--new", choices=("rim_one_dl", "refuge_crops"), default="rim_one_dl")
    parser.add_argument("--output", type=Path, default=Path("simulation"))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--eyes", type=int, default=20, help="That arrive in each round.")
    parser.add_argument("--pool", type=int, default=120, help="Eyes that wait in the store to be corrected.")
    parser.add_argument("--rest", type=int, default=219, help="Eyes that never arrive, on which all is scored.")
    parser.add_argument("--minutes", type=float, default=10.0, help="Of a fine-tuning.")
    parser.add_argument("--epochs", type=int, nargs="+", default=[BUDGET.epochs])
    parser.add_argument("--rate", type=float, nargs="+", default=[BUDGET.rate])
    parser.add_argument("--share", type=float, nargs="+", default=[BUDGET.share], help="Of the site in an epoch.")
    parser.add_argument("--order", nargs="+", choices=ORDERS, default=[ORDERS[0]], help="In which eyes are corrected.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--num_workers", type=int, default=0, help="Processes that read, of each run.")
    parser.add_argument("--repeats", type=int, default=1, help="With seeds from --seed on.")
    parser.add_argument("--jobs", type=int, default=1, help="Runs at the same time.")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Simulate, in this process what is one run."""
    given = arguments()
    given.output.mkdir(parents=True, exist_ok=True)
    wanted = [getattr(given, name) for name in VARIED]
    seeds = range(given.seed, given.seed + given.repeats)
    if len(seeds) == 1 and all(len(values) == 1 for values in wanted):
        simulate(given)
        return
    runs = [
        {"seed": seed, **dict(zip(VARIED, values, strict=True))}
        for seed in seeds
        for values in itertools.product(*wanted)
    ]
    with ThreadPoolExecutor(given.jobs) as threads:
        codes = list(threads.map(lambda run: start(given, run), runs))
    gather(given.output, runs)
    print(f"{codes.count(0)} of {len(codes)} runs came to their end: {given.output / 'all_rounds.csv'}")
    sys.exit(any(codes))


def folder_of(output: Path, run: dict[str, Any]) -> Path:
    """Of one run."""
    return output / "-".join(f"{name}_{value}" for name, value in run.items())


def start(given: argparse.Namespace, run: dict[str, Any]) -> int:
    """One run as a process; its exit code."""
    folder = folder_of(given.output, run)
    if (folder / "finished").exists():
        return 0
    if folder.exists():  # stopped halfway
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    shared = {
        name: value for name, value in vars(given).items() if name not in (*VARIED, "seed", "output", "repeats", "jobs")
    }
    options = [f"--{name}={value}" for name, value in (shared | run | {"output": folder}).items()]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("w") as log:
        command = [sys.executable, __file__, *options]
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    print(f"{folder.name}: exit code {code}", flush=True)
    return code


def gather(output: Path, runs: Sequence[dict[str, Any]]) -> None:
    """All rounds of all runs as one table."""
    lines: list[str] = []
    for run in runs:
        path = folder_of(output, run) / "rounds.csv"
        heading, *rows = path.read_text(encoding="utf-8").splitlines() if path.is_file() else [""]
        lines = lines or [",".join((*run, heading))]
        lines += [",".join((*map(str, run.values()), row)) for row in rows]
    (output / "all_rounds.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def simulate(given: argparse.Namespace) -> None:
    """One run."""
    new, old = sources(given)
    records = [record for record in new.records if {DISC, CUP} <= set(record.regions)]
    random.Random(given.seed).shuffle(records)
    rest = records[: given.rest]
    first = given.output / "first.bundle"
    model_bundle.save(first, [given.champion], None, None)
    public, held = halves(first, old)
    store, champions = Store(given.output / "store"), Champions(given.output / "store" / "champions")
    champions.folder.mkdir(parents=True, exist_ok=True)
    champions.crown_first(first)
    table = Table(given.output, [Case(new, record) for record in rest] + held, given.device)
    table.add(0, champions.first, "none", 0.0)
    predictor = Predictor(Bundle.load(first, given.device), views=LOOKS)
    waiting = {add(store, predictor, new.load(record)): record for record in records[given.rest :][: given.pool]}
    for number in range(1, given.rounds + 1):
        begun = time.monotonic()
        order = [*waiting] if given.order == ["random"] else worklist(store, {*waiting})
        for identity in order[: given.eyes]:
            correct(store, identity, new.load(waiting.pop(identity)))
        rate, share, epochs = given.rate[0], given.share[0], given.epochs[0]
        budget = Budget(given.minutes, epochs, rate, 8, share, given.num_workers, given.seed)
        outcome = ImprovementRound(store, champions, public, Settings(5, given.device, budget), print).run()
        minutes, current = (time.monotonic() - begun) / 60, champions.current
        assert current is not None
        said = f"{outcome.promoted or 'nothing'}: {outcome.reason}"
        table.add(number, current, said, minutes)
        print(f"round {number}, {minutes:.1f} minutes, promoted {said}", *outcome.set_aside, sep="\n  ", flush=True)
    store.close()
    (given.output / "finished").touch()


def sources(given: argparse.Namespace) -> tuple[FundusDataset, list[FundusDataset]]:
    """The one whose eyes arrive, and the old ones."""
    all_of_them = [
        RimOneDL(given.root / "RIM-ONE-DL"),
        *(Folder(given.root / f"{name}-crops", name=f"{name.lower()}_crops") for name in ("REFUGE", "ORIGA")),
    ]
    (new,) = [dataset for dataset in all_of_them if dataset.source == given.new]
    return new, [dataset for dataset in all_of_them if dataset is not new]


def halves(champion: Path, old: Sequence[FundusDataset]) -> tuple[list[FundusDataset], list[Case]]:
    """The old sources as `improve` has them, and every other picture of what the champion was not trained on."""
    networks = Bundle.load(champion).networks.values()
    untrained = untrained_cases(old, [split for network in networks for split in network.description.splits])
    public: list[FundusDataset] = []
    held: list[Case] = []
    for dataset in old:
        own = [case for case in untrained if case.record.source == dataset.source][::2]
        held += own
        public.append(without(dataset, {case.record.name for case in own}))
    return public, held


def without(dataset: FundusDataset, names: set[str]) -> FundusDataset:
    """A dataset that lacks some pictures."""
    kind: Any = type(dataset)

    class Part(kind):  # type: ignore[misc]
        def index(self) -> list[Record]:
            return [record for record in super().index() if record.name not in names]

    part: FundusDataset = dataset.under("")
    part.__class__ = Part
    return part


def add(store: Store, predictor: Predictor, sample: Sample) -> str:
    """One photograph comes in and is predicted; its digest."""
    content = encode_png(sample.image)
    document = predicted(predictor, sample) | {"sha256": digest(content)}
    store.add_photograph(document, content, sample.record.patient, "reader", {"digest": "-", "version": "-"}, "{}")
    return str(document["sha256"])


def predicted(predictor: Predictor, sample: Sample) -> dict[str, Any]:
    """What the service says of a photograph."""
    found = predictor(sample.image)
    height, width = sample.image.shape[:2]
    ratio = found.measures.vertical_cdr
    measures = {"eye": "", "verdict": found.verdict, "vertical_cdr": ratio}
    measures |= {"vertical_cdr_low": ratio - found.spread, "vertical_cdr_high": ratio + found.spread}
    return {
        "file": f"{sample.record.name}.png", "width": width, "height": height,
        "measures": plain(measures), "contours": as_json(found.outlines),
    }  # fmt: skip


def worklist(store: Store, waiting: set[str]) -> list[str]:
    """By expected gain."""
    photographs = store.predicted()
    candidates = [candidate(one, store.prediction(one["id"])) for one in photographs]
    return by_expected_gain(candidates, {one["id"] for one in photographs} - waiting)


def correct(store: Store, identity: str, sample: Sample) -> None:
    """The grader draws the ground truth."""
    height, width = sample.image.shape[:2]
    truth = {region: fuse(sample.of(region), "majority") > 127 for region in (DISC, CUP)}
    drawn = as_json(contours(label_map_of_masks(truth, (DISC, CUP))))
    posted = Posted(id=str(uuid.uuid4()), photograph=identity, grader="reader", decision="correct", contours=drawn)

    def numbers(outlines: dict[str, Any], eye: str, photograph: dict[str, Any]) -> dict[str, Any]:
        return measured(Drawn.model_validate({"width": width, "height": height, "contours": outlines}))

    store.grade(posted, False, numbers)


class Table:
    """Scores of each round on the same pictures.

    Args:
        output: Folder of rounds.csv and pictures.csv.
        cases: The pictures.
        device: Where to compute.
    """

    def __init__(self, output: Path, cases: Sequence[Case], device: str) -> None:
        self.output, self.cases, self.device = output, cases, device
        self.rounds: list[dict[str, Any]] = []
        self.pictures: list[dict[str, Any]] = []
        self.champion, self.last = Path(), list[dict[str, Any]]()

    def add(self, number: int, champion: Path, said: str, minutes: float) -> None:
        """One round; a champion that stays is not scored again."""
        if champion != self.champion:
            self.champion, self.last = champion, self._scored(champion)
        first = {(row["source"], row["name"]): row for row in self.pictures if row["round"] == 0}
        self.pictures += [{"round": number, **row} for row in self.last]
        for source in dict.fromkeys(row["source"] for row in self.last):
            rows = [row for row in self.last if row["source"] == source]
            found = {"round": number, "source": source, "n": len(rows)}
            patients = [row["patient"] for row in rows]
            for name in MEASURES:
                values = np.array([row[name] for row in rows], np.float64)
                before = np.array([first.get((source, row["name"]), row)[name] for row in rows], np.float64)
                found |= summary(name, values, patients) | summary(f"{name}_change", values - before, patients)
            found |= {"minutes": round(minutes, 2), "promoted": said}
            self.rounds.append(found)
            print({name: found[name] for name in ("round", "source", *MEASURES)}, flush=True)
        write_csv(self.rounds, self.output / "rounds.csv")
        write_csv(self.pictures, self.output / "pictures.csv")

    def _scored(self, champion: Path) -> list[dict[str, Any]]:
        methods = {MODEL: Predictor(Bundle.load(champion, self.device))}
        rows = [one.rows[0] for one in Evaluation(methods, select_protocols([AUTOMATIC_ROI]))(self.cases)]
        return [
            {name: row[name] for name in ("source", "name", "patient")}
            | {name: row.get(name) for name in ("disc_dice", "cup_dice")}
            | {"vcdr_error": vertical_cdr_error(row)}
            for row in rows
            if not row["error"]
        ]


def summary(name: str, values: Any, patients: Sequence[str]) -> dict[str, float]:
    """Mean and its 95 % interval."""
    low, high = mean_interval(values, patients)
    mean = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
    return {name: round(mean, 4), f"{name}_low": round(low, 4), f"{name}_high": round(high, 4)}


if __name__ == "__main__":
    main()
