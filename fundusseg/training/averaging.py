"""An exponential moving average of the weights, which validation, checkpoints and use then take."""

from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from fundusseg.errors import ConfigurationError


class AveragedWeights(WeightAveraging):
    """Lightning's averaging, with a decay that grows: after n steps it is ``min(decay, (1 + n) / (10 + n))``.

    With a constant decay the first weights linger. Batch norm's first variance, 1, then stands in the average of a
    channel whose own has become 0.0001, and squashes it: a network trained from scratch for 200 steps found nothing
    in use, though it had learnt. Averages of the statistics are kept, as those of the last few batches are noisy.

    The growing decay is that of TensorFlow's moving averages. Polyak and Juditsky, SIAM Journal on Control and
    Optimization 30(4), 1992, doi 10.1137/0330046, on averaged weights.

    Args:
        decay: Share of the average that a step leaves once it has grown, 0 to below 1: ``1 / (1 - decay)`` steps count.

    Raises:
        ConfigurationError: The decay is out of range.
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ConfigurationError(f"decay {decay}", "a share from 0 to below 1", "set decay to 0.99")
        super().__init__(use_buffers=True)
        self.decay = decay

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Count the averaged steps on the host: a count on the device would be read, and waited for, in each."""
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Average after each step of the optimiser."""
        if trainer.global_step > self._latest_update_step:
            self._update(pl_module)
            self._latest_update_step = trainer.global_step

    @torch.no_grad()
    def _update(self, task: LightningModule) -> None:
        averaged: Any = self._average_model
        left = self._left(int(averaged.n_averaged)).to(task.device)
        averages = chain(averaged.module.parameters(), averaged.module.buffers())
        for average, now in zip(averages, chain(task.parameters(), task.buffers()), strict=True):
            average.copy_(_mixed(average, now, left))
        averaged.n_averaged += 1

    def _left(self, steps: int) -> Tensor:
        """Share of an average of so many steps that stays; of none, nothing."""
        return torch.tensor(min(self.decay, (1 + steps) / (10 + steps)) if steps else 0.0)


def _mixed(average: Tensor, now: Tensor, left: Tensor) -> Tensor:
    return (left * average + (1 - left) * now).to(average.dtype)
