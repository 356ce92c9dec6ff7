"""What `fundusseg.calibrate` gains on a source that no network has seen: many draws of a few eyes, scored on the rest.

    python tools/measure_calibration.py --bundle B --config site.yaml --data_root FOLDER [--eyes 10] [--draws 20]

`site.yaml` names datasets with disc and cup, as for `calibrate`; who was trained on is for the caller to know. Each
draw calibrates on its eyes, once by their outlines and once by their vertical ratios alone, and scores all others: disc
and cup Dice, bias and mean absolute error of the vertical ratio, share of the intervals that hold the reader's ratio,
and their mean length. Printed: mean over the draws, and their standard deviation.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from fundusseg.calibrate import parser as calibrate_parser
from fundusseg.cli import scored_data
from fundusseg.errors import FundusSegError
from fundusseg.evaluation.site_calibration import SiteCalibration, calibrate_site, read_eye
from fundusseg.evaluation.site_eyes import OutlineReadings, SiteEye, segment_eyes
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.inference.uncertainty import Calibration
from fundusseg.sample import Region
from fundusseg.xla.process import prepare_process

MEASURES = ("disc Dice", "cup Dice", "bias", "error", "held", "length")


def parse() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description="What calibrate gains.")
    parser.add_argument("--bundle", required=True, help="A bundle, or a segmenter's checkpoint.")
    parser.add_argument("--localiser", help="Checkpoint of a localiser, where the bundle has none.")
    parser.add_argument("--config", required=True, help="YAML whose datasets are the site's eyes.")
    parser.add_argument("--data_root", default=".", help="Folder below which the datasets lie.")
    parser.add_argument("--eyes", type=int, default=10, help="Eyes in a draw.")
    parser.add_argument("--draws", type=int, default=20, help="Random draws.")
    parser.add_argument("--views", type=int, default=4, help="Views of each photograph.")
    parser.add_argument("--json", help="Write the numbers there too.")
    return parser.parse_args()


class Scores:
    """Scores eyes at thresholds, each pair once."""

    def __init__(self, eyes: Sequence[SiteEye], order: Sequence[Region]) -> None:
        self.eyes, self.order = eyes, order
        self._seen = cache(self._compute)

    def _compute(self, number: int, values: tuple[float, ...]) -> dict[str, float]:
        return read_eye(self.eyes[number], dict(zip(self.order, values, strict=True)))

    def mean(
        self, numbers: Sequence[int], thresholds: dict[Region, float], interval: Calibration | None
    ) -> list[float]:
        """`MEASURES` over some eyes."""
        rows = [self._seen(number, tuple(thresholds.values())) for number in numbers]
        ends = [interval.interval(row["ratio"], row["spread"]) if interval else (np.nan, np.nan) for row in rows]
        true = [row["ratio"] - row["error"] for row in rows]
        held = [low <= ratio <= high for ratio, (low, high) in zip(true, ends, strict=True)]
        columns = [[row[name] for row in rows] for name in ("disc Dice", "cup Dice", "error", "vertical ratio error")]
        lengths = [high - low for low, high in ends]
        return [*(float(np.nanmean(column)) for column in columns), float(np.mean(held)), float(np.nanmean(lengths))]


def draw(eyes: Sequence[SiteEye], numbers: Sequence[int], predictor: Predictor, drawn: bool) -> SiteCalibration:
    """Calibrate on some eyes."""
    chosen = [eyes[number] if drawn else replace(eyes[number], outlines=None) for number in numbers]
    return calibrate_site(chosen, predictor.thresholds, predictor.bundle.calibration, predictor.views, 0.9)


def main() -> None:
    """Measure and print."""
    prepare_process()
    settings = parse()
    bundle = Bundle.load(settings.bundle)
    if settings.localiser:
        bundle = replace(bundle, localiser=Segmenter.from_checkpoint(settings.localiser))
    predictor = Predictor(bundle, views=settings.views)
    data = scored_data(calibrate_parser(), ["--data.root", settings.data_root], settings.config, "").data
    readings = OutlineReadings([dataset.under(data.root) for dataset in data.datasets])
    eyes = [eye for eye in segment_eyes(predictor, readings) if isinstance(eye, SiteEye)]
    scores = Scores(eyes, tuple(predictor.thresholds))
    rows: dict[str, list[list[float]]] = {"consensus": [], "outlines": [], "ratios alone": []}
    moved = {"outlines": 0, "ratios alone": 0}
    generator = np.random.default_rng(0)
    for _ in range(settings.draws):
        numbers = generator.choice(len(eyes), settings.eyes, replace=False).tolist()
        others = [number for number in range(len(eyes)) if number not in numbers]
        rows["consensus"].append(scores.mean(others, predictor.thresholds, bundle.calibration))
        for way in moved:
            found = draw(eyes, numbers, predictor, way == "outlines")
            moved[way] += "cup" in found.fitted
            rows[way].append(scores.mean(others, found.thresholds, found.interval))
    print(f"{len(eyes)} of {len(readings.records)} eyes segmented; {settings.draws} draws of {settings.eyes}")
    print(f"cup threshold moved: {moved}")
    print(f"{'':14}" + "".join(f"{name:>18}" for name in MEASURES))
    for way, found in rows.items():
        values = np.array(found)
        cells = [f"{mean:+.3f} +- {sd:.3f}" for mean, sd in zip(values.mean(0), values.std(0, ddof=1), strict=True)]
        print(f"{way:14}" + "".join(f"{cell:>18}" for cell in cells))
    if settings.json:
        Path(settings.json).write_text(json.dumps({"rows": rows, "moved": moved, "eyes": len(eyes)}))


if __name__ == "__main__":
    try:
        main()
    except FundusSegError as error:
        sys.exit(str(error))
