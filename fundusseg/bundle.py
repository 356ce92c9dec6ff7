"""Put localiser, segmenters and a calibrated interval into one file, which `predict` takes in place of a checkpoint.

    python -m fundusseg.bundle --segmenters best.ckpt --localiser localiser.ckpt --output fundus.bundle
    python -m fundusseg.bundle --segmenters a.ckpt b.ckpt --localiser localiser.ckpt --calibrate true --data.root FOLDER

Calibration takes the validation photographs of the first segmenter, whole as their datasets give them, and finds how
wide the interval of the vertical cup/disc ratio must be. Nobody whom a segmenter or the localiser was trained on is
among them; but they chose the segmenter's checkpoint, so that on strangers the interval holds a little less.
"""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from fundusseg.cli import FIXED, TRAINING, Parser, add_trust, console, parse_trusting, run, scored_data
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.expert_fusion import fuse
from fundusseg.data.seen_patients import KnownPictures, SeenPatients
from fundusseg.data.splits import Split
from fundusseg.errors import CheckpointError, ConfigurationError, FundusSegError
from fundusseg.evaluation.cohort import identify_all
from fundusseg.inference import model_bundle
from fundusseg.inference.eye_side import EyeReader
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.inference.uncertainty import Calibration, calibrate, least_photographs
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.models import checkpoint
from fundusseg.models.redaction import command_without_paths
from fundusseg.reports.files import write_text
from fundusseg.reports.model_card import card_path, model_card_text
from fundusseg.reports.progress import progress
from fundusseg.reports.tables import Markdown, code_span
from fundusseg.sample import CUP, DISC, Record, Sample
from fundusseg.xla.process import prepare_process


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg bundle", description=__doc__)
    parser.add_argument("--segmenters", required=True, nargs="+", type=str, help="Checkpoints; several are averaged.")
    parser.add_argument("--localiser", type=str | None, help="Checkpoint of configs/localiser.yaml.")
    parser.add_argument("--eye", type=str | None, help="Checkpoint of tools/train_eye.py: which eye it is.")
    parser.add_argument("--output", default="fundus.bundle", type=str, help="The bundle.")
    parser.add_argument("--half", default=False, type=bool, help="Store kernels as float16: half the size.")
    parser.add_argument("--views", default=4, type=int, help="Mirrored views that are calibrated, 1 to 4.")
    parser.add_argument("--calibrate", default=False, type=bool, help="Calibrate the vertical ratio's interval.")
    parser.add_argument("--coverage", default=0.9, type=float, help="Share of intervals that hold the truth.")
    parser.add_class_arguments(FundusDataModule, "data", skip=FIXED | TRAINING, instantiate=False)
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Bundle; returns the exit code."""
    prepare_process()
    command = parser()
    first = parse_trusting(command, arguments)
    # Built before anything is written: what does not fit together is said now, not by predict.
    localiser = Segmenter.from_checkpoint(first.localiser) if first.localiser else None
    eye = EyeReader(Segmenter.from_checkpoint(first.eye)) if first.eye else None
    made = Bundle(tuple(map(Segmenter.from_checkpoint, first.segmenters)), localiser, eye=eye)
    calibration = None
    if first.calibrate:
        description = checkpoint.named(made.segmenters[0].description, first.segmenters[0])
        settings = scored_data(command, arguments, None, description.configuration)
        calibration = _calibrate(made, FundusDataModule(**settings.data.as_dict()), settings, description.split)
    else:
        _refuse_settings_of_calibration(command, first)
    model_bundle.save(first.output, first.segmenters, first.localiser, calibration, first.half, first.eye)
    found = (
        f"{calibration.coverage:.0%} interval from {calibration.count} photographs" if calibration else "no interval"
    )
    write_text(_card(made, first.output, arguments, found), card_path(first.output))
    beside = [f"{'with' if there else 'without'} {part}" for part, there in (("localiser", localiser), ("eye", eye))]
    what = ", ".join([f"segmenters: {len(first.segmenters)}", *beside, found])
    console.print(f"{first.output}: {what}", soft_wrap=True)
    console.print(f"Model card: {card_path(first.output)}", soft_wrap=True)
    return 0


def _refuse_settings_of_calibration(command: Parser, given: Namespace) -> None:
    """Refuse what only calibration asks for: without it, it would have no effect."""
    defaults = command.get_defaults()
    for name in ("views", "coverage", "data.datasets", "data.root"):
        if given.get(name) != defaults.get(name):
            raise ConfigurationError(
                f"--{name} without --calibrate", "what has an effect", f"add --calibrate true, or leave --{name} out"
            )


def _card(made: Bundle, output: str, arguments: list[str], found: str) -> str:
    """The model card of all that is in the bundle."""
    typed, name = shlex.join(["python", "-m", "fundusseg.bundle", *arguments]), Path(output).name
    remarks = [
        f"Of the vertical ratio: {found}.",
        Markdown(f"Bundled by {code_span(command_without_paths(typed))}."),
        Markdown(f"{code_span(f'python -m fundusseg.evaluate --checkpoint {name}')} scores it, with intervals."),
    ]
    networks = {part: network.description for part, network in made.parts.items()}
    return model_card_text(name, networks, remarks=remarks)


def _calibrate(made: Bundle, data: FundusDataModule, settings: Any, own: Split | None) -> Calibration:
    """Predict the validation photographs end to end and compare the ratios."""
    predictor = Predictor(made, views=settings.views)
    if predictor.views * len(made.segmenters) == 1:
        raise ConfigurationError(
            "one look at each photograph", "several, whose spread makes the interval", "give --views 4"
        )
    least_photographs(settings.coverage)
    errors, spreads = [], []
    for sample in unseen_in_training(data, made, own):
        prediction = predictor(sample.image)
        truth = {region: fuse(sample.of(region), "majority") > 127 for region in (DISC, CUP)}
        true = measure(label_map_of_masks(truth, (DISC, CUP))).vertical_cdr
        errors.append(prediction.measures.vertical_cdr - true)
        spreads.append(prediction.spread)
    return calibrate(errors, spreads, settings.views, settings.coverage)


def unseen_in_training(data: FundusDataModule, made: Bundle, own: Split | None) -> Iterator[Sample]:
    """Validation samples of the first segmenter with disc and cup, of patients that no network was trained on.

    Args:
        data: The datasets.
        made: All networks.
        own: Split of the first segmenter, with names where its run's folder holds them.

    Raises:
        CheckpointError: A network does not say whom it was trained on.
    """
    splits = [split for network in made.networks.values() for split in network.description.splits]
    known = [replace(split, val=(), test=(), dropped=()) for split in [own, *splits] if split is not None]
    if own is None or None in splits:
        raise CheckpointError(
            "a network that does not say whom it was trained on", "checkpoints of `fit`", "leave --calibrate out"
        )
    trained, chosen = SeenPatients(known), KnownPictures([(own, own.val)])
    identities = identify_all(data.datasets, trained.files | chosen.files)
    trained.meet(data.records, identities)
    for dataset in data.datasets:
        records = [
            record
            for record in dataset.records
            if {DISC, CUP} <= set(record.regions)
            and chosen.hold(record.key, identities[record.key])
            and trained.mark(record, identities[record.key]) != "patient"
        ]
        with progress(len(records), 0, console, f"photographs of {dataset.source}") as advance:
            for record in records:
                if sample := _load(dataset, record):
                    yield sample
                advance()


def _load(dataset: Any, record: Record) -> Sample | None:
    """One sample; a broken file is said, and the others are used."""
    try:
        sample: Sample = dataset.load(record)
    except FundusSegError as error:
        console.print(f"not used: {error}", style="yellow", soft_wrap=True, markup=False)
        return None
    return sample


if __name__ == "__main__":
    run(main)
