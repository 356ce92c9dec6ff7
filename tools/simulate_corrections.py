"""Simulate a site that corrects: a champion that has never seen RIM-ONE DL, whose eyes arrive in rounds.

    python tools/simulate_corrections.py --champion best.ckpt --root FOLDER --output simulation --rounds 3 --rest 100

RIM-ONE DL's labelled eyes are shuffled; each round brings some to a store, corrected to their ground truth by one
grader, and `improve` runs as a site would run it. The eyes that never arrive, and what the champion was not trained
on of the old sources (disc crops, as RIM-ONE DL's), are scored before the first round and after each promotion: mean
over the pictures with the bootstrap's 95 % interval over patients. Writes rounds.csv.
"""

import argparse
import random
import time
import uuid
from collections.abc import Sequence
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
from fundusseg.learning.challengers import Budget
from fundusseg.learning.champions import Champions
from fundusseg.learning.improvement_round import ImprovementRound, Settings
from fundusseg.learning.promotion import untrained_cases
from fundusseg.measures.bootstrap import mean_interval
from fundusseg.measures.contours import as_json, contours
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.measures.picture_scores import vertical_cdr_error
from fundusseg.reports.files import plain, write_csv
from fundusseg.reports.metric_names import AUTOMATIC_ROI
from fundusseg.sample import CUP, DISC, Sample
from fundusseg.service.documents import digest
from fundusseg.service.grading import Posted
from fundusseg.service.measure_routes import Drawn, measured
from fundusseg.service.store import Store


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--champion", type=Path, required=True, help="Checkpoint trained without RIM-ONE DL.")
    parser.add_argument("--root", type=Path, required=True, help="Folder of the public sources.")
    parser.add_argument("--output", type=Path, default=Path("simulation"))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--eyes", type=int, default=20, help="That arrive in each round.")
    parser.add_argument("--rest", type=int, default=219, help="Eyes that never arrive, on which all is scored.")
    parser.add_argument("--minutes", type=float, default=10.0, help="Of a fine-tuning.")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Simulate."""
    given = arguments()
    rim = RimOneDL(given.root / "RIM-ONE-DL")
    records = [record for record in rim.records if {DISC, CUP} <= set(record.regions)]
    random.Random(given.seed).shuffle(records)
    arriving, rest = records[: given.rounds * given.eyes], records[given.rounds * given.eyes :][: given.rest]
    old = [Folder(given.root / f"{name}-crops", name=f"{name.lower()}_crops") for name in ("REFUGE", "ORIGA")]
    given.output.mkdir(parents=True, exist_ok=True)
    first = given.output / "first.bundle"
    model_bundle.save(first, [given.champion], None, None)
    store, champions = Store(given.output / "store"), Champions(given.output / "store" / "champions")
    champions.folder.mkdir(parents=True, exist_ok=True)
    champions.crown_first(first)
    unseen = [Case(rim, record) for record in rest] + old_cases(first, old)
    rows = scores(0, first, unseen, "none", 0.0)
    for number in range(1, given.rounds + 1):
        begun, before = time.monotonic(), champions.current
        assert before is not None
        predictor = Predictor(Bundle.load(before))
        for record in arriving[(number - 1) * given.eyes : number * given.eyes]:
            arrive(store, predictor, rim.load(record))
        settings = Settings(5, "cpu", Budget(minutes=given.minutes))
        outcome = ImprovementRound(store, champions, old, settings, print).run()
        minutes, current = (time.monotonic() - begun) / 60, champions.current
        assert current is not None
        said = f"{outcome.promoted or 'nothing'}: {outcome.reason}"
        rows += scores(number, current, unseen if outcome.promoted else [], said, minutes)
        write_csv(rows, given.output / "rounds.csv")
        print(f"round {number}, {minutes:.1f} minutes, promoted {said}", *outcome.set_aside, sep="\n  ", flush=True)
    store.close()


def arrive(store: Store, predictor: Predictor, sample: Sample) -> None:
    """One photograph comes in, is predicted, and corrected to its ground truth."""
    content, found = encode_png(sample.image), predictor(sample.image)
    height, width = sample.image.shape[:2]
    document = {
        "file": f"{sample.record.name}.png", "sha256": digest(content), "width": width, "height": height,
        "measures": plain({"eye": "", "verdict": found.verdict, "vertical_cdr": found.measures.vertical_cdr}),
        "contours": as_json(found.outlines),
    }  # fmt: skip
    store.add_photograph(document, content, sample.record.patient, "reader", {"digest": "-", "version": "-"}, "{}")
    truth = {region: fuse(sample.of(region), "majority") > 127 for region in (DISC, CUP)}
    drawn = as_json(contours(label_map_of_masks(truth, (DISC, CUP))))
    posted = Posted(
        id=str(uuid.uuid4()), photograph=document["sha256"], grader="reader", decision="correct", contours=drawn
    )

    def numbers(outlines: dict[str, Any], eye: str, photograph: dict[str, Any]) -> dict[str, Any]:
        return measured(Drawn.model_validate({"width": width, "height": height, "contours": outlines}))

    store.grade(posted, False, numbers)


def old_cases(champion: Path, old: Sequence[FundusDataset]) -> list[Case]:
    """What the champion was not trained on."""
    networks = Bundle.load(champion).networks.values()
    return untrained_cases(old, [split for network in networks for split in network.description.splits])


def scores(number: int, champion: Path, cases: Sequence[Case], said: str, minutes: float) -> list[dict[str, Any]]:
    """Rows of the table: each source's means with intervals."""
    if not cases:
        return [{"round": number, "source": "as before", "promoted": said, "minutes": round(minutes, 2)}]
    methods = {MODEL: Predictor(Bundle.load(champion))}
    scored = [one.rows[0] for one in Evaluation(methods, select_protocols([AUTOMATIC_ROI]))(cases)]
    rows = []
    for source in dict.fromkeys(row["source"] for row in scored):
        good = [row for row in scored if row["source"] == source and not row["error"]]
        row = {"round": number, "source": source, "n": len(good), "promoted": said, "minutes": round(minutes, 2)}
        columns = {
            "disc_dice": [one["disc_dice"] for one in good],
            "cup_dice": [one["cup_dice"] for one in good],
            "vcdr_error": [vertical_cdr_error(one) for one in good],
        }
        for name, values in columns.items():
            numbers = np.array([np.nan if value is None else value for value in values], np.float64)
            low, high = mean_interval(numbers, [one["patient"] for one in good])
            row |= {
                name: round(float(np.nanmean(numbers)), 4),
                f"{name}_low": round(low, 4),
                f"{name}_high": round(high, 4),
            }
        print(row, flush=True)
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
