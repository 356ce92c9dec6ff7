"""The bundle that ships with the package, from a folder of datasets: trained, calibrated, scored, and described.

    python tools/make_bundle.py --data_root FOLDER
    python tools/make_bundle.py --data_root FOLDER --segmenters best.ckpt --localiser localiser.ckpt
    python tools/make_bundle.py ... --left_out refuge_crops=a.ckpt --left_out rim_one_dl=b.ckpt

Without checkpoints it trains by `configs/bundle/`, as `fundusseg.fit` does: thresholds and epochs are chosen on
validation patients. The interval and the cut-off for review come from sources left out, where networks that were
trained without them are given with --left_out, each source weighing the same: so they are meant to hold on a camera
that nobody has seen. Otherwise the interval comes from validation patients, and holds on cameras like those of the
training. Scores are `fundusseg.evaluate`'s on patients that no network was trained or chosen on.

Writes fundusseg.bundle, its SHA-256 and its model card, README.md; more than 12 MiB are refused.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fundusseg import bundle, evaluate, fit
from fundusseg.atomic_file import file_digest
from fundusseg.cli import scored_data
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import ConfigurationError, FundusSegError
from fundusseg.evaluation.failure_rows import failure_row
from fundusseg.evaluation.site_calibration import SHIFTS, fit_shift
from fundusseg.evaluation.site_eyes import OutlineReadings, SiteEye, segment_eyes
from fundusseg.inference import model_bundle
from fundusseg.inference.conventions import Conventions, lowered
from fundusseg.inference.failure_detection import FailureDetector, FailureRow, choose_detector
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.inference.uncertainty import FLOOR, Calibration, least_photographs
from fundusseg.reports.files import write_text
from fundusseg.reports.tables import markdown_table
from fundusseg.sample import CUP
from fundusseg.xla.process import prepare_process

ROOT = Path(__file__).parents[1]
LARGEST = 12 * 2**20
"""Bytes that a package may carry without being a burden to those who bring their own network."""

VIEWS, COVERAGE = 4, 0.9
READER_EYES = 50
"""Eyes that place a reader between strict and generous."""

TOLERANCE = 1e-9  # of sums of weights

TERMS = """\
Apache-2.0 covers the package's code. These weights were learnt from datasets whose publishers allow research, and some
of them nothing else: the weights are for research alone. No photograph and no mask is in the file. Not a medical
device: no number that it gives is a diagnosis.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description="Make the bundle that ships with the package.")
    parser.add_argument("--data_root", default=".", help="Folder of the datasets.")
    parser.add_argument("--configs", nargs="+", default=[str(ROOT / "configs/bundle/segmenter.yaml")])
    parser.add_argument("--localiser_config", default=str(ROOT / "configs/bundle/localiser.yaml"))
    parser.add_argument("--segmenters", nargs="+", help="Checkpoints, in place of a training.")
    parser.add_argument("--localiser", help="Checkpoint, in place of a training.")
    parser.add_argument("--eye", help="Checkpoint of tools/train_eye.py, which tells the eye's side.")
    parser.add_argument("--left_out", action="append", default=[], help="SOURCE=CHECKPOINT trained without SOURCE.")
    parser.add_argument("--notes", help="Markdown that belongs on the card: known failures, what was tried.")
    parser.add_argument("--work", default="bundle", help="Folder for trainings and scores.")
    parser.add_argument("--output", default=str(ROOT / "fundusseg/bundles"), help="Folder for bundle and card.")
    parser.add_argument("--fit", default="", help="Further arguments of fundusseg.fit, in one string.")
    return parser.parse_args(arguments)


def train(config: str, settings: argparse.Namespace) -> str:
    """Train by one recipe; returns the best checkpoint."""
    folder = Path(settings.work) / Path(config).stem
    arguments = ["--config", config, "--data.root", settings.data_root, "--trainer.default_root_dir", str(folder)]
    if code := fit.main([*arguments, *shlex.split(settings.fit)]):
        sys.exit(code)
    return str(max(folder.glob("runs/*/checkpoints/best.ckpt"), key=lambda path: path.stat().st_mtime))


def left_out(source: str, segmenter: str, localiser: str, data_root: str) -> tuple[Predictor, list[FundusDataset]]:
    """The predictor of a segmenter that was trained without a source, and that source."""
    network = Segmenter.from_checkpoint(segmenter)
    description = network.description
    split = description.split
    if split is None or source in {key.split("/", 1)[0] for key in (*split.train, *split.val)}:
        raise ConfigurationError(f"{segmenter} for {source}", "a network trained without it", "correct --left_out")
    arguments = ["--segmenters", segmenter, "--data.root", data_root]
    data = scored_data(bundle.parser(), arguments, None, description.configuration).data
    datasets = [dataset.under(data_root) for dataset in data.datasets if dataset.source == source]
    return Predictor(Bundle((network,), Segmenter.from_checkpoint(localiser)), views=VIEWS), datasets


def left_out_rows(predictor: Predictor, datasets: Sequence[FundusDataset]) -> list[FailureRow]:
    """Every photograph of a source that a segmenter was trained without, beside its truth."""
    samples = (dataset.load(record) for dataset in datasets for record in dataset.records)
    found = [failure_row(predictor, sample) for sample in samples]
    return [row for row in found if row is not None]


def reader_logits(predictor: Predictor, datasets: Sequence[FundusDataset]) -> float:
    """What brings the cups of a segmenter that never saw a source nearest to those of its reader."""
    readings = OutlineReadings(datasets)
    readings.records = readings.records[:: math.ceil(len(readings.records) / READER_EYES)]
    eyes = [eye for eye in segment_eyes(predictor, readings) if isinstance(eye, SiteEye)]
    own = predictor.thresholds
    losses = np.array([eye.losses(CUP, own, [lowered(own[CUP], -shift) for shift in SHIFTS]) for eye in eyes])
    return -float(SHIFTS[fit_shift(losses)])


def needed_factors(rows: Sequence[FailureRow]) -> list[float]:
    """``|error| / (spread + FLOOR)`` of each photograph with a cup: the factor that its interval needs."""
    factors = [abs(row.ratio_error) / (row.signs.ratio_spread + FLOOR) for row in rows]
    return [factor for factor in factors if math.isfinite(factor)]


def pooled_factor(needed: Mapping[str, Sequence[float]]) -> float:
    """The factor that holds `COVERAGE` of the eyes where each source weighs the same (weighted split conformal)."""
    scores = np.concatenate([np.asarray(of) for of in needed.values()])
    # One part of n + 1 stands for the new eye, as in split conformal prediction.
    weights = np.concatenate([np.full(len(of), 1 / len(needed) / (len(of) + 1)) for of in needed.values()])
    order = np.argsort(scores)
    reached = np.cumsum(weights[order])
    if reached[-1] < COVERAGE - TOLERANCE:
        raise ConfigurationError(
            f"{[len(of) for of in needed.values()]} eyes of sources left out",
            f"at least {least_photographs(COVERAGE)} of each",
            "give more",
        )
    return float(scores[order][np.searchsorted(reached, COVERAGE - TOLERANCE)])


def left_out_interval(rows: Mapping[str, Sequence[FailureRow]]) -> tuple[Calibration, str]:
    """The interval from sources left out, and a table of what the others' interval holds on each."""
    needed = {source: factors for source, of in rows.items() if (factors := needed_factors(of))}
    table = []
    for source in needed if len(needed) > 1 else ():
        factor = pooled_factor({other: of for other, of in needed.items() if other != source})
        held = float(np.mean(np.asarray(needed[source]) <= factor))
        length = 2 * factor * float(np.nanmean([row.signs.ratio_spread + FLOOR for row in rows[source]]))
        table.append([source, str(len(needed[source])), f"{held:.0%}", f"{length:.2f}"])
    headings = ["source left out", "eyes", f"held by the others' {COVERAGE:.0%} interval", "mean length"]
    calibration = Calibration(pooled_factor(needed), COVERAGE, sum(map(len, needed.values())), VIEWS)
    return calibration, markdown_table(headings, table) if table else ""


def cut_off(rows: Mapping[str, Sequence[FailureRow]]) -> tuple[FailureDetector, str]:
    """What sends a photograph to review, chosen on sources left out, and a sentence of what it is worth there."""
    found = choose_detector([row for of in rows.values() for row in of])
    good, failures = found.counts
    return found, (
        f"The cut-off on the risk of failure, each source judged by what the others taught: {found.reviewed:.0%} of "
        f"{good} good photographs are reviewed, {found.caught:.0%} of {failures} failures caught."
    )


def reader_table(readers: Conventions) -> str:
    """Where each reader draws the cup, as networks see it that never saw the reader's pictures."""
    table = [[reader, f"{logits:+.1f}"] for reader, logits in sorted(readers.readers.items(), key=lambda one: one[1])]
    return markdown_table(["reader of the cup, strictest first", "logits beside the consensus"], table)


def again(settings: argparse.Namespace) -> str:
    """How to repeat it, and how far the bytes will be the same."""
    if not settings.segmenters:
        return (
            "```sh\npython tools/make_bundle.py --data_root FOLDER\n```\n\n"
            "The same processor, number of threads and versions (below) give the same bytes; others nearly the same."
        )
    left_out = "".join(f" --left_out {pair.split('=', 1)[0]}=OTHER.ckpt" for pair in settings.left_out)
    networks = "--segmenters best.ckpt --localiser localiser.ckpt" + " --eye eye.ckpt" * bool(settings.eye)
    return (
        "Train by the recipes (`configs/bundle/segmenter.yaml`, `configs/bundle/localiser.yaml`, `tools/train_eye.py`; "
        "their headers say on what), the segmenter once more without each source that is left out, and then\n\n"
        f"```sh\npython tools/make_bundle.py --data_root FOLDER {networks}{left_out}\n```\n\n"
        "A training on a GPU is the same to rounding, not to the byte; this step from the same checkpoints is."
    )


def card(file: Path, settings: argparse.Namespace, unknown: str) -> str:
    """The shipped bundle's model card: the file, its terms, and then the card of its evaluation."""
    arguments = ["--checkpoint", str(file), "--data.root", settings.data_root, "--protocols", "automatic_roi"]
    scores = Path(settings.work) / "evaluation"
    evaluate.main([*arguments, "--output", str(scores)])
    size = file.stat().st_size
    parts = [
        f"# The bundle that ships with the package\n\n`{file.name}`, {size} bytes, SHA-256 `{file_digest(file)}`.",
        f"## Terms\n\n{TERMS.strip()}",
        f"## How to make it again\n\n{again(settings)}",
    ]
    if unknown:
        parts.append(f"## On cameras that it has not seen\n\n{unknown}")
    if settings.notes:
        parts.append(Path(settings.notes).read_text(encoding="utf-8").strip())
    scored = (scores / "model_card.md").read_text(encoding="utf-8").partition("\n\n")[2]  # without its title
    return "\n\n".join([*parts, scored.strip()]) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Make the bundle; returns the exit code."""
    prepare_process()
    settings = parse(arguments)
    segmenters = settings.segmenters or [train(config, settings) for config in settings.configs]
    localiser = settings.localiser or train(settings.localiser_config, settings)
    made = Path(settings.work) / "fundusseg.bundle"
    unknown = ""
    if settings.left_out:
        given = dict(pair.split("=", 1) for pair in settings.left_out)
        each = {one: left_out(one, network, localiser, settings.data_root) for one, network in given.items()}
        rows = {one: left_out_rows(*of) for one, of in each.items()}
        readers = Conventions({one: reader_logits(*of) for one, of in each.items()})
        (calibration, table), (detector, sentence) = left_out_interval(rows), cut_off(rows)
        unknown = f"{table}\n\n{sentence}\n\n{reader_table(readers)}"
        model_bundle.save(made, segmenters, localiser, calibration, True, settings.eye, detector, readers)
    else:
        parts = ["--segmenters", *segmenters, "--localiser", localiser, "--data.root", settings.data_root]
        parts += ["--eye", settings.eye] if settings.eye else []
        bundle.main([*parts, "--half", "true", "--calibrate", "true", "--output", str(made)])
    if (size := made.stat().st_size) > LARGEST:
        raise ConfigurationError(f"a bundle of {size} bytes", f"{LARGEST} at most", "train smaller networks")
    text = card(made, settings, unknown)
    output = Path(settings.output)
    write_text(text, output / "README.md")
    (output / made.name).write_bytes(made.read_bytes())
    write_text(f"{file_digest(made)}  {made.name}\n", output / f"{made.name}.sha256")
    print(f"{output / made.name}: {size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except FundusSegError as error:
        sys.exit(str(error))
