r"""Ordered against random worklist, by what recalibration alone gains: minutes on two cores, no training of hours.

    python tools/simulate_orders.py --champion best.ckpt --root FOLDER --output orders.csv

Labelled eyes of a source that the champion has never seen are segmented once. In each repeat some of them, drawn anew,
wait to be corrected, and on the others all is scored. The thresholds are fitted, as `calibrate` and the first step of
`improve` do it, to the first 5, 10, ... corrected eyes: in random order, and by expected gain as the service orders its
worklist. Eyes needed are the fewest from which on nine tenths of the gain of correcting all are kept.

The loss is 1 - Dice of disc and of cup and the vertical ratio's absolute error, added. Writes a row for each repeat,
order and number of eyes. What a training learns from the same eyes, this does not say.
"""

import argparse
import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from simulate_corrections import LOOKS, ORDERS, predicted, sources

from fundusseg.evaluation.site_calibration import calibrate_site, read_eye
from fundusseg.evaluation.site_eyes import OutlineReadings, SiteEye, segment_eye
from fundusseg.inference import model_bundle
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.square import SegmentedSquare
from fundusseg.measures.bootstrap import FEWEST
from fundusseg.reports.files import write_csv
from fundusseg.sample import CUP, DISC, Region
from fundusseg.service.expected_gain import Candidate, by_expected_gain, candidate

MEASURES = (f"{DISC} Dice", f"{CUP} Dice", "vertical ratio error")

KEPT = 0.9
"""Share of the gain of all corrections that counts as the same."""


class KeptEye(SiteEye):
    """An eye that remembers what it was asked: the same thresholds come again and again."""

    @cached_property
    def _answers(self) -> dict[Any, Any]:
        return {}

    def losses(self, region: Region, thresholds: Mapping[Region, float], tried: Sequence[float]) -> list[float]:
        """As `SiteEye`."""
        key = (region, *thresholds.values()) if region == CUP else region
        if key not in self._answers:
            self._answers[key] = super().losses(region, thresholds, tried)
        return self._answers[key]  # type: ignore[no-any-return]

    def at(self, thresholds: Mapping[Region, float]) -> SegmentedSquare:
        """As `SiteEye`."""
        key = ("at", *thresholds.values())
        if key not in self._answers:
            self._answers[key] = super().at(thresholds)
        return self._answers[key]  # type: ignore[no-any-return]


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--champion", type=Path, required=True, help="Checkpoint trained without the new source.")
    parser.add_argument("--root", type=Path, required=True, help="Folder of the public sources.")
    parser.add_argument("--new", choices=("rim_one_dl", "refuge_crops"), default="rim_one_dl")
    parser.add_argument("--output", type=Path, default=Path("orders.csv"))
    parser.add_argument("--eyes", type=int, default=220, help="In all.")
    parser.add_argument("--pool", type=int, default=120, help="That wait to be corrected in each repeat.")
    parser.add_argument("--most", type=int, default=60, help="Corrected eyes at most, beside all.")
    parser.add_argument("--step", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Segment once, then repeat."""
    given = arguments()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    bundle = given.output.with_suffix(".bundle")
    model_bundle.save(bundle, [given.champion], None, None)
    predictor = Predictor(Bundle.load(bundle, given.device), views=LOOKS)
    eyes = segmented(given, predictor)
    print(f"{len(eyes)} eyes segmented", flush=True)
    rows: list[dict[str, Any]] = []
    for repeat in range(given.repeats):
        names = sorted(eyes)
        random.Random(given.seed + repeat).shuffle(names)
        pool, rest = names[: given.pool], [eyes[name][0] for name in names[given.pool :]]
        orders = {"random": pool, "expected_gain": by_expected_gain([eyes[name][1] for name in pool], ())}
        for order in ORDERS:
            corrected = [eyes[name][0] for name in orders[order]]
            counts = [0, *range(given.step, given.most + 1, given.step), len(corrected)]
            for count in counts:
                found = scored(corrected[:count], rest, predictor.thresholds)
                rows.append({"repeat": repeat, "order": order, "eyes": count, **found})
        write_csv(rows, given.output)
        print(f"repeat {repeat}", {order: needed(rows, repeat, order) for order in ORDERS}, flush=True)
    tell(rows, given.repeats)


def segmented(given: argparse.Namespace, predictor: Predictor) -> dict[str, tuple[KeptEye, Candidate]]:
    """Eyes of the new source by name; one in which no disc is found cannot be calibrated with, and is told."""
    new, _ = sources(given)
    readings, found = OutlineReadings([new]), {}
    records = list(readings.records)
    random.Random(given.seed).shuffle(records)
    for record in records[: given.eyes]:
        eye = segment_eye(predictor, readings.read(record))
        if isinstance(eye, str):
            print(f"{record.key} left out: {eye}", flush=True)
            continue
        document = predicted(predictor, new.load(record))
        photograph = {"id": record.name, "patient": record.patient, **document}
        fields = ("record", "identity", "ratio", "square", "views", "shape", "outlines")
        found[record.name] = KeptEye(*(getattr(eye, name) for name in fields)), candidate(photograph, document)
    return found


def scored(corrected: Sequence[SiteEye], rest: Sequence[SiteEye], own: Mapping[Region, float]) -> dict[str, Any]:
    """The other eyes at the thresholds that corrected ones give; at the bundle's own where they are too few."""
    thresholds = dict(own)
    if len({eye.record.patient_key for eye in corrected}) >= FEWEST:
        thresholds = calibrate_site(corrected, own, None, LOOKS, 0.9).thresholds
    read = [read_eye(eye, thresholds) for eye in rest]
    means = {name: float(np.nanmean([one[name] for one in read])) for name in MEASURES}
    loss = 2 - means[MEASURES[0]] - means[MEASURES[1]] + means[MEASURES[2]]
    return {**means, "loss": loss, **{f"{region} threshold": value for region, value in thresholds.items()}}


def losses(rows: Sequence[Mapping[str, Any]], repeat: int, order: str) -> dict[int, float]:
    """By number of eyes."""
    return {row["eyes"]: row["loss"] for row in rows if (row["repeat"], row["order"]) == (repeat, order)}


def needed(rows: Sequence[Mapping[str, Any]], repeat: int, order: str) -> int | None:
    """Fewest eyes from which on the gain is kept; None where correcting all gains nothing."""
    found = losses(rows, repeat, order)
    gain = found[0] - found[max(found)]
    if gain <= 0:
        return None
    short = [count for count, loss in found.items() if found[0] - loss < KEPT * gain]
    return min(count for count in found if count > max(short))


def tell(rows: Sequence[Mapping[str, Any]], repeats: int) -> None:
    """Both orders side by side, and their difference repeat by repeat."""
    for count in dict.fromkeys(row["eyes"] for row in rows):
        means = [np.mean([losses(rows, repeat, order)[count] for repeat in range(repeats)]) for order in ORDERS]
        print(f"{count:4d} eyes, loss: " + ", ".join(f"{o} {m:.4f}" for o, m in zip(ORDERS, means, strict=True)))
    for repeat in range(repeats):
        mean = [np.mean(list(losses(rows, repeat, order).values())) for order in ORDERS]
        print(f"repeat {repeat}: mean loss over all numbers of eyes, ordered less random: {mean[1] - mean[0]:+.4f}")


if __name__ == "__main__":
    main()
