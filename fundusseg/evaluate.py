"""Score a checkpoint on patients that it was neither trained nor chosen on.

    python -m fundusseg.evaluate --checkpoint best.ckpt
    python -m fundusseg.evaluate --checkpoint best.ckpt --config other.yaml --data.root FOLDER

Without a configuration it takes the checkpoint's own datasets. From a configuration only its `data` is read.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from fundusseg import checkpoint
from fundusseg.checkpoint import Description
from fundusseg.cli import (
    ACCELERATORS,
    FIXED,
    TRAINING,
    Parser,
    console,
    hardware,
    prepare_process,
    run,
    scored_data,
)
from fundusseg.datamodule import FundusDataModule
from fundusseg.errors import CheckpointError
from fundusseg.report import score_table, write_scores
from fundusseg.splits import unseen
from fundusseg.task import SegmentationTask


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg evaluate", description="Score a checkpoint on patients it has never seen.")
    parser.add_argument("--checkpoint", required=True, type=str, help="What fit wrote.")
    parser.add_argument("--config", type=str | None, help="YAML whose data section is scored.")
    parser.add_argument("--output", type=str | None, help="Folder for the table; evaluation/ beside the checkpoint.")
    parser.add_argument("--accelerator", choices=ACCELERATORS, default="auto", help="Where to compute.")
    parser.add_argument("--devices", default="auto", type=int | str, help="How many of them.")
    parser.add_class_arguments(FundusDataModule, "data", skip=FIXED | TRAINING, instantiate=False)
    return parser


def main(arguments: list[str]) -> int:
    """Evaluate; returns the exit code."""
    prepare_process()
    command = parser()
    first = command.parse_args(arguments)
    description, _ = checkpoint.load(first.checkpoint)
    settings = scored_data(command, arguments, first.config, description.configuration)
    datamodule = _unseen_data(settings.data.as_dict(), description)
    task = SegmentationTask.from_checkpoint(settings.checkpoint, datamodule.sources)
    callbacks: list[Callback] = [RichProgressBar(leave=False)]
    where = hardware(settings.accelerator, settings.devices, datamodule.batch_size)
    trainer = Trainer(**where, logger=False, callbacks=callbacks, enable_model_summary=False)
    trainer.test(task, datamodule=datamodule, verbose=False)
    folder = f"evaluation-{Path(settings.config).stem}" if settings.config else "evaluation"
    output = Path(settings.output or Path(settings.checkpoint).parent / folder)
    if trainer.is_global_zero:
        write_scores(task.results["test"], datamodule.preparation.protocol, output / "scores")
        title = f"Unseen patients, {settings.checkpoint}"
        console.print(score_table([asdict(s) for s in task.results["test"]], title, datamodule.preparation.protocol))
        console.print(f"Scores: {output}", soft_wrap=True)
    return 0


def _unseen_data(settings: dict[str, Any], description: Description) -> FundusDataModule:
    """The data to score: prepared as in training, and only patients that the run did not use."""
    preparation = description.preparation
    datamodule = FundusDataModule(
        **settings,
        regions=preparation.regions,
        image_size=preparation.image_size,
        roi=preparation.roi,
        roi_scale=preparation.roi_scale,
        clahe=preparation.clahe,
    )
    if description.split is None:
        raise CheckpointError(
            "a checkpoint that does not say whom it was trained on",
            "one that was trained through FundusDataModule",
            "train with `fit`, or hand the data module to the Trainer",
        )
    datamodule.split = unseen(datamodule.records, description.split, datamodule.digests())
    return datamodule


if __name__ == "__main__":
    run(main)
