"""Test a checkpoint again, as `fit` tested it."""

import json
from pathlib import Path

from lightning.pytorch import Trainer

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom
from fundusseg.reports.files import write_json
from fundusseg.training.callbacks import PictureScores
from fundusseg.training.task import SegmentationTask


def retest(best: str | Path, folder: Path) -> list[dict]:
    """The scores of a checkpoint that `tests.commands.test_cli.TINY` made, as they come out of a JSON file."""
    data = FundusDataModule([Phantom(count=24, size=96)], image_size=32, batch_size=4, cache_dir=str(folder))
    task = SegmentationTask.load_from_checkpoint(best, sources=data.sources)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    pictures = PictureScores()
    Trainer(accelerator="cpu", callbacks=[pictures], **quiet).test(task, datamodule=data, verbose=False)
    write_json(pictures.with_intervals(task.results["test"], data), folder / "again.json")
    return json.loads((folder / "again.json").read_text())
