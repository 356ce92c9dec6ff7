"""What happens beside the steps: contour pictures for TensorBoard, intervals of the test's scores."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import default_collate

from fundusseg.class_paths import other_packages, trust
from fundusseg.measures.bootstrap import NOTHING, mean_interval
from fundusseg.measures.label_map import label_map
from fundusseg.models.checkpoint import from_spec, network_spec
from fundusseg.models.layers import crop_centre
from fundusseg.reports.overlay import enlarge, overlay, panel
from fundusseg.reports.tables import Score
from fundusseg.sample import Image
from fundusseg.training.scores import ALL

PICTURE_SIZE = 256
"""Side that small pictures are enlarged to, so that the contours do not cover them."""


def is_shown(number: int) -> bool:
    """Whether a validation's number has one digit that is not 0.

    >>> [number for number in range(1, 400) if is_shown(number)]
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 200, 300]
    """
    return not str(number)[1:].strip("0")


class ContourPanel(Callback):
    """Shows validation pictures with true and predicted contours.

    In validations 1, 2, ..., 9, 10, 20, ..., and the last of ``max_epochs``: TensorBoard keeps ten panels of all that
    it is given, and each takes up to 0.5 MB.

    Args:
        count: Pictures, spread evenly over the validation set.
        columns: Of the panel.
    """

    def __init__(self, count: int = 12, columns: int = 4) -> None:
        self.count, self.columns, self.seen = count, columns, 0

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw and hand to TensorBoard, on the first process only."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        self.seen += not trainer.sanity_checking
        last = trainer.current_epoch + 1 == trainer.max_epochs and trainer.is_last_batch
        if trainer.sanity_checking or not loggers or not trainer.is_global_zero or not (is_shown(self.seen) or last):
            return
        picture = self.draw(trainer, pl_module)
        for logger in loggers:
            logger.experiment.add_image("val/contours", picture, trainer.current_epoch, dataformats="HWC")

    def draw(self, trainer: Trainer, task: Any) -> Image:
        """The panel, H x W x 3 uint8."""
        dataset = trainer.datamodule.subsets["val"]  # type: ignore[attr-defined]
        count = min(self.count, len(dataset))
        positions = np.linspace(0, len(dataset) - 1, count).round().astype(int)
        batch = default_collate([dataset[int(position)] for position in positions])
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            if task.device.type == "xla":  # a batch of another size would be compiled for itself: the host computes it
                spec = network_spec(task.model, task.configuration)
                # The user's own configuration names these classes, and they are imported already.
                trust(other_packages(spec))
                network = from_spec(spec).eval()
                network.load_state_dict(task.model.state_dict())
                logits = network(batch["image"]).float()
            else:
                logits = task(batch["image"].to(task.device)).float().cpu()
        probabilities = logits.sigmoid().numpy()
        images = crop_centre(batch["image"], logits).permute(0, 2, 3, 1).numpy()
        targets = crop_centre(batch["target"], logits).float().div(255).numpy()
        enlarged = max(1, round(PICTURE_SIZE / images.shape[1]))
        regions, thresholds = task.regions, dict(zip(task.regions, task.thresholds.tolist(), strict=True))
        return panel(
            [
                overlay(
                    enlarge(image, enlarged),
                    enlarge(label_map(probability, regions, thresholds), enlarged),
                    enlarge(label_map(target, regions), enlarged),
                    regions,
                )
                for image, probability, target in zip(images, probabilities, targets, strict=True)
            ],
            self.columns,
        )


class PictureScores(Callback):
    """Keeps every test picture's own scores, so that their means have intervals.

    It keeps none on XLA, where the test would no longer run validation's program, and none in several processes, of
    which no one has all pictures.
    """

    def __init__(self) -> None:
        self.values: dict[int, list[float]] = {}
        """Of each picture, by its index into the data module's records: NaN where undefined or not labelled."""
        self.columns: list[tuple[str, str]] = []
        self._batches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep one batch's scores where they are: nothing waits for them."""
        if pl_module.device.type == "xla" or trainer.world_size > 1:
            return
        self.columns = pl_module.scores["test"].columns
        self._batches.append((batch["index"], batch["weight"], outputs["scores"]))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Fetch all of them at once."""
        if self._batches:
            index, weight, values = (torch.cat(part).tolist() for part in zip(*self._batches, strict=True))
            self.values = {i: row for i, w, row in zip(index, weight, values, strict=True) if w > 0}
            self._batches.clear()

    def with_intervals(self, scores: Iterable[Score], datamodule: Any) -> list[Score]:
        """Scores with their 95% bootstrap intervals over patients."""
        records = [datamodule.records[index] for index in self.values]
        found = []
        for score in scores:
            low, high = NOTHING
            if self.values:
                column = self.columns.index((score.region, score.metric))
                here = [score.source in (ALL, record.source) for record in records]
                values = [row[column] for row, is_here in zip(self.values.values(), here, strict=True) if is_here]
                own = [record for record, is_here in zip(records, here, strict=True) if is_here]
                low, high = mean_interval(values, [r.patient for r in own], [r.source for r in own])
            found.append(replace(score, low=low, high=high))
        return found
