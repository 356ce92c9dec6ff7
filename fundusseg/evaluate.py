"""Score a checkpoint on patients that it was neither trained nor chosen on.

    python -m fundusseg.evaluate --checkpoint best.ckpt
    python -m fundusseg.evaluate --checkpoint best.ckpt --config other.yaml --data.root FOLDER

Without a configuration it takes the checkpoint's own datasets. From a configuration only its `data` is read.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from fundusseg import checkpoint
from fundusseg.checkpoint import Description
from fundusseg.cli import ACCELERATORS, Parser, console, prepare_process, run
from fundusseg.datamodule import FundusDataModule
from fundusseg.errors import ConfigurationError
from fundusseg.report import score_table, write_csv, write_json
from fundusseg.splits import Split, unseen
from fundusseg.task import SegmentationTask

FIXED = {"regions", "image_size", "roi", "roi_scale", "split", "val_share", "test_share", "folds", "fold"}
"""Settings of the data that the checkpoint decides: how pictures become squares, and who is tested."""


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg evaluate", description="Score a checkpoint on patients it has never seen.")
    parser.add_argument("--checkpoint", required=True, type=str, help="What fit wrote.")
    parser.add_argument("--config", type=str | None, help="YAML whose data section is scored.")
    parser.add_argument("--output", type=str | None, help="Folder for the table; evaluation/ beside the checkpoint.")
    parser.add_argument("--accelerator", choices=ACCELERATORS, default="auto", help="Where to compute.")
    parser.add_class_arguments(FundusDataModule, "data", skip=FIXED, instantiate=False)
    return parser


def main(arguments: list[str]) -> int:
    """Evaluate; returns the exit code."""
    prepare_process()
    command = parser()
    first = command.parse_args(arguments)
    description, _ = checkpoint.load(first.checkpoint)
    data = {key: value for key, value in _data_section(description, first.config).items() if key not in FIXED}
    settings = command.parse_args(["--data", json.dumps(data), *arguments])
    datamodule = _unseen_data(command.instantiate(settings).data.as_dict(), description)
    task = SegmentationTask.from_checkpoint(settings.checkpoint, datamodule.sources)
    callbacks: list[Callback] = [RichProgressBar(leave=False)]
    trainer = Trainer(accelerator=settings.accelerator, logger=False, callbacks=callbacks, enable_model_summary=False)
    trainer.test(task, datamodule=datamodule, verbose=False)
    _report(task, Path(settings.output or Path(settings.checkpoint).parent / "evaluation"), settings.checkpoint)
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
    )
    datamodule.split = unseen(datamodule.records, description.split or Split((), (), ()))
    return datamodule


def _data_section(description: Description, config: str | None) -> dict[str, Any]:
    """The data section of a YAML file, or of the checkpoint's own configuration."""
    try:
        text = description.configuration if config is None else Path(config).read_text(encoding="utf-8")
        section = (yaml.safe_load(text) or {}).get("data")
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise ConfigurationError(
            f"a configuration that cannot be read: {config} ({checkpoint.first_line(error)})",
            "a YAML file with a data section",
            "check --config",
        ) from error
    if not isinstance(section, dict):
        raise ConfigurationError(
            f"no data section in {config or 'the checkpoint'}",
            "which datasets to score",
            "give one with --config",
        )
    return section


def _report(task: SegmentationTask, output: Path, name: str) -> None:
    rows = [asdict(score) for score in task.results["test"]]
    write_csv(rows, output / "scores.csv")
    write_json(rows, output / "scores.json")
    console.print(score_table(rows, f"Unseen patients, {name}", task.preparation.protocol))
    console.print(f"Scores: {output}", soft_wrap=True)


if __name__ == "__main__":
    run(main)
