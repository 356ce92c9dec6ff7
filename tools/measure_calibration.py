"""What `fundusseg.calibrate` gains on a source that no network has seen: many draws of a few eyes, scored on the rest.

    python tools/measure_calibration.py --bundle B --config site.yaml --data_root FOLDER [--eyes 10] [--draws 20]

`site.yaml` names datasets with disc and cup, as for `calibrate`; who was trained on is for the caller to know. Each
draw calibrates on its eyes, once by their outlines and once by their vertical ratios alone, and scores all others: disc
and cup Dice, bias and mean absolute error of the vertical ratio, share of the intervals that hold the reader's ratio,
and their mean length. Printed: mean over the draws, and their standard deviation.
"""

import argparse
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from fundusseg.calibrate import parser as calibrate_parser
from fundusseg.cli import scored_data
from fundusseg.errors import FundusSegError
from fundusseg.evaluation.site_calibration import calibrate_site, read_eye
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
    parser.add_argument("--most", type=int, help="As many of the site's eyes, by chance; all where it is left out.")
    return parser.parse_args()


class RememberedEye(SiteEye):
    """An eye that is read and fitted in many draws: what was computed once is kept."""

    @cached_property
    def _kept(self) -> dict[Hashable, Any]:
        return {}

    def losses(self, region: Region, thresholds: Mapping[Region, float], tried: Sequence[float]) -> list[float]:
        """As of `SiteEye`."""
        key = region, tuple(thresholds.items())
        if key not in self._kept:
            self._kept[key] = super().losses(region, thresholds, tried)
        return self._kept[key]

    def read(self, thresholds: Mapping[Region, float]) -> dict[str, float]:
        """As `read_eye`."""
        key = tuple(thresholds.items())
        if key not in self._kept:
            self._kept[key] = read_eye(self, thresholds)
        return self._kept[key]


def remembered(eye: SiteEye, drawn: bool = True) -> RememberedEye:
    """The same eye, with its outlines or with its ratio alone."""
    values = {one.name: getattr(eye, one.name) for one in fields(eye)}
    return RememberedEye(**values | ({} if drawn else {"outlines": None}))


def score(eyes: Sequence[RememberedEye], thresholds: dict[Region, float], interval: Calibration | None) -> list[float]:
    """`MEASURES` over some eyes."""
    rows = [eye.read(thresholds) for eye in eyes]
    ends = [interval.interval(row["ratio"], row["spread"]) if interval else (np.nan, np.nan) for row in rows]
    held = [low <= eye.ratio <= high for eye, (low, high) in zip(eyes, ends, strict=True)]
    columns = [[row[name] for row in rows] for name in ("disc Dice", "cup Dice", "error", "vertical ratio error")]
    lengths = [high - low for low, high in ends]
    return [*(float(np.nanmean(column)) for column in columns), float(np.mean(held)), float(np.mean(lengths))]


def read_eyes(predictor: Predictor, settings: argparse.Namespace, generator: np.random.Generator) -> list[SiteEye]:
    """The site's eyes, or as many of them by chance."""
    data = scored_data(calibrate_parser(), ["--data.root", settings.data_root], settings.config, "").data
    readings = OutlineReadings([dataset.under(data.root) for dataset in data.datasets])
    count = min(settings.most or len(readings.records), len(readings.records))
    places = sorted(generator.choice(len(readings.records), count, replace=False).tolist())
    readings.records = [readings.records[place] for place in places]
    eyes = [eye for eye in segment_eyes(predictor, readings) if isinstance(eye, SiteEye)]
    print(f"{len(eyes)} of {count} eyes segmented; {settings.draws} draws of {settings.eyes}")
    return eyes


def main() -> None:
    """Measure and print."""
    prepare_process()
    settings = parse()
    bundle = Bundle.load(settings.bundle)
    if settings.localiser:
        bundle = replace(bundle, localiser=Segmenter.from_checkpoint(settings.localiser))
    predictor = Predictor(bundle, views=settings.views)
    own, calibration = predictor.thresholds, bundle.calibration
    generator = np.random.default_rng(0)
    segmented = read_eyes(predictor, settings, generator)
    eyes = [remembered(eye) for eye in segmented]
    ways = {"outlines": eyes, "ratios alone": [remembered(eye, drawn=False) for eye in segmented]}
    rows: dict[str, list[list[float]]] = {"consensus": [], **{way: [] for way in ways}}
    moved = dict.fromkeys(ways, 0)
    for _ in range(settings.draws):
        drawn = set(generator.choice(len(eyes), settings.eyes, replace=False).tolist())
        others = [eye for number, eye in enumerate(eyes) if number not in drawn]
        rows["consensus"].append(score(others, own, calibration))
        for way, known in ways.items():
            found = calibrate_site([known[number] for number in drawn], own, calibration, predictor.views, 0.9)
            moved[way] += "cup" in found.fitted
            rows[way].append(score(others, found.thresholds, found.interval))
    print(f"cup threshold moved: {moved}")
    print(f"{'':14}" + "".join(f"{name:>18}" for name in MEASURES))
    for way, found in rows.items():
        values = np.array(found)
        cells = [f"{mean:+.3f} +- {sd:.3f}" for mean, sd in zip(values.mean(0), values.std(0, ddof=1), strict=True)]
        print(f"{way:14}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    try:
        main()
    except FundusSegError as error:
        sys.exit(str(error))
