"""The threshold of each region, searched on validation pictures."""

from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics import Metric

from fundusseg.training.scores import dice, nest

GRID = tuple(step / 20 for step in range(1, 20))
"""Thresholds that are tried: 0.05 to 0.95."""

MIDDLE = 0.5
"""Threshold where nothing was searched."""


class ThresholdScores(Metric):
    """Mean Dice of all pictures at each threshold of the grid, for each region by itself.

    The Dice coefficient is the F1 score of a picture's pixels; the mean over pictures is what tables report. Undefined
    (truth and prediction empty) enters no mean. A cup is scored as it is, before it is cut to its disc, so that its
    threshold does not hang on the disc's.

    Args:
        regions: Number of channels.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, regions: int) -> None:
        super().__init__()
        for state in ("total", "count"):
            self.add_state(state, torch.zeros(len(GRID), regions), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch.

        Args:
            probabilities: (B, R, H, W), 0..1.
            target: bool (B, R, H, W).
            valid: bool (B, R); what is False is left out.
        """
        # (thresholds, B, R); the sums over B are all that is kept
        values = torch.stack([dice(probabilities > threshold, target) for threshold in GRID])
        defined = valid & ~values.isnan()
        self.total += torch.where(defined, values, 0.0).sum(1)
        self.count += defined.sum(1)

    def compute(self) -> Tensor:
        """Means, float32 (thresholds, R); NaN where no picture has one."""
        return self.total / self.count

    def best(self) -> list[float]:
        """Each region's threshold of the highest mean, of several the nearest to the middle; one transfer."""
        # max takes the first of equals: in this order the one nearest to the middle.
        by_distance = sorted(range(len(GRID)), key=lambda position: abs(GRID[position] - MIDDLE))
        columns = self.compute().nan_to_num(-1.0).T.tolist()
        return [GRID[max(by_distance, key=column.__getitem__)] for column in columns]


class ThresholdSearch(Callback):
    """Gives each checkpoint the thresholds that suit its own weights best, by the highest mean Dice in validation.

    ``val/dice``, which chooses the checkpoint, is taken at 0.5 throughout, so that epochs and runs compare. What was
    found is logged as ``val/REGION_threshold`` and lies in every checkpoint that is written after the validation. Test
    pictures play no part.
    """

    def __init__(self) -> None:
        self.scores = ThresholdScores(0)
        self.found: list[float] = []

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Begin anew.

        At the first batch and not at the epoch's start, where averaged weights are still to be put in, and with them
        averaged thresholds.
        """
        if _searching(trainer) and batch_idx == 0:
            # Copied, not filled: on XLA a copy is sent, and the step stays the same program in every batch.
            pl_module.thresholds.copy_(torch.full((len(pl_module.regions),), MIDDLE))
            self.scores = ThresholdScores(len(pl_module.regions)).to(pl_module.device)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Add what the task scored."""
        if _searching(trainer):
            truth = nest(outputs["target"] > 0.5, pl_module.regions)
            self.scores.update(outputs["logits"].float().sigmoid(), truth, outputs["valid"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Choose and log; one read."""
        if _searching(trainer):
            self.found = self.scores.best()
            for region, threshold in zip(pl_module.regions, self.found, strict=True):
                pl_module.log(f"val/{region}_threshold", torch.tensor(threshold))  # a float would go to the device

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Hand over to the task: averaged weights are out again, the checkpoint is still to be written."""
        if _searching(trainer) and self.found:
            pl_module.thresholds.copy_(torch.tensor(self.found))

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Hand over once more: averaged weights that stay after training bring averaged thresholds."""
        self.on_validation_end(trainer, pl_module)


def _searching(trainer: Trainer) -> bool:
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
