"""Put localiser, segmenters and a calibrated interval into one file, which `predict` takes in place of a checkpoint.

    python -m fundusseg.bundle --segmenters best.ckpt --localiser localiser.ckpt --output fundus.bundle
    python -m fundusseg.bundle --segmenters a.ckpt b.ckpt --localiser localiser.ckpt --calibrate true --data.root FOLDER

Calibration takes the validation photographs of the first segmenter, whole as their datasets give them, and finds how
wide the interval of the vertical cup/disc ratio must be. Nobody whom a segmenter or the localiser was trained on is
among them; but they chose the segmenter's checkpoint, so that on strangers the interval holds a little less.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fundusseg.cli import FIXED, TRAINING, Parser, console, run, scored_data
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.expert_fusion import fuse
from fundusseg.errors import CheckpointError, ConfigurationError, FundusSegError
from fundusseg.inference import model_bundle
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.inference.uncertainty import Calibration, calibrate, least_photographs
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.models import checkpoint
from fundusseg.reports.files import write_text
from fundusseg.reports.model_card import card_path, model_card_text
from fundusseg.reports.progress import progress
from fundusseg.reports.tables import Markdown, code_span
from fundusseg.sample import CUP, DISC, Record, Sample
from fundusseg.xla.process import prepare_process


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg bundle", description="Put all that a photograph's numbers need into one file.")
    parser.add_argument("--segmenters", required=True, nargs="+", type=str, help="Checkpoints; several are averaged.")
    parser.add_argument("--localiser", type=str | None, help="Checkpoint of configs/localiser.yaml.")
    parser.add_argument("--output", default="fundus.bundle", type=str, help="The bundle.")
    parser.add_argument("--views", default=4, type=int, help="Mirrored views that are calibrated, 1 to 4.")
    parser.add_argument("--calibrate", default=False, type=bool, help="Calibrate the vertical ratio's interval.")
    parser.add_argument("--coverage", default=0.9, type=float, help="Share of intervals that hold the truth.")
    parser.add_class_arguments(FundusDataModule, "data", skip=FIXED | TRAINING, instantiate=False)
    return parser


def main(arguments: list[str]) -> int:
    """Bundle; returns the exit code."""
    prepare_process()
    command = parser()
    first = command.parse_args(arguments)
    # Built before anything is written: what does not fit together is said now, not by predict.
    localiser = Segmenter.from_checkpoint(first.localiser) if first.localiser else None
    made = Bundle(tuple(map(Segmenter.from_checkpoint, first.segmenters)), localiser)
    calibration = None
    if first.calibrate:
        description, _ = checkpoint.load(first.segmenters[0])
        settings = scored_data(command, arguments, None, description.configuration)
        calibration = _calibrate(made, FundusDataModule(**settings.data.as_dict()), settings)
    model_bundle.save(first.output, first.segmenters, first.localiser, calibration)
    found = (
        f"{calibration.coverage:.0%} interval from {calibration.count} photographs" if calibration else "no interval"
    )
    write_text(_card(made, first.output, arguments, found), card_path(first.output))
    beside = "with" if first.localiser else "without"
    console.print(f"{first.output}: segmenters: {len(first.segmenters)}, {beside} localiser, {found}", soft_wrap=True)
    console.print(f"Model card: {card_path(first.output)}", soft_wrap=True)
    return 0


def _card(made: Bundle, output: str, arguments: list[str], found: str) -> str:
    """The model card of all that is in the bundle."""
    remarks = [
        f"Of the vertical ratio: {found}.",
        Markdown(f"Bundled by {code_span(shlex.join(['python', '-m', 'fundusseg.bundle', *arguments]))}."),
        Markdown(f"{code_span(f'python -m fundusseg.evaluate --checkpoint {output}')} scores it, with intervals."),
    ]
    networks = {name: network.description for name, network in made.networks.items()}
    return model_card_text(Path(output).name, networks, remarks=remarks)


def _calibrate(made: Bundle, data: FundusDataModule, settings: Any) -> Calibration:
    """Predict the validation photographs end to end and compare the ratios."""
    predictor = Predictor(made, views=settings.views)
    if predictor.views * len(made.segmenters) == 1:
        raise ConfigurationError(
            "one look at each photograph", "several, whose spread makes the interval", "give --views 4"
        )
    least_photographs(settings.coverage)
    errors, spreads = [], []
    for sample in unseen_in_training(data, made):
        prediction = predictor(sample.image)
        truth = {region: fuse(sample.of(region), "majority") > 127 for region in (DISC, CUP)}
        true = measure(label_map_of_masks(truth, (DISC, CUP))).vertical_cdr
        errors.append(prediction.measures.vertical_cdr - true)
        spreads.append(prediction.spread)
    return calibrate(errors, spreads, settings.views, settings.coverage)


def unseen_in_training(data: FundusDataModule, made: Bundle) -> Iterator[Sample]:
    """Validation samples of the first segmenter with disc and cup, of patients that no network was trained on.

    Raises:
        CheckpointError: A network does not say whom it was trained on.
    """
    splits = [split for network in made.networks.values() if (split := network.description.split) is not None]
    if len(splits) < len(made.networks):
        raise CheckpointError(
            "a network that does not say whom it was trained on", "checkpoints of `fit`", "leave --calibrate out"
        )
    trained = {split.patients.get(key, key) for split in splits for key in split.train}
    first = splits[0]
    wanted = {key for key in first.val if first.patients.get(key, key) not in trained}
    for dataset in data.datasets:
        records = [r for r in dataset.records if r.key in wanted and {DISC, CUP} <= set(r.regions)]
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
