"""An exponential moving average of the weights, which validation, checkpoints and use then take."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError


class AveragedWeights(WeightAveraging):
    """Lightning's averaging, with a decay that grows: after n steps it is ``min(decay, (1 + n) / (10 + n))``.

    With a constant decay the first weights linger. Batch norm's first variance, 1, then stands in the average of a
    channel whose own has become 0.0001, and squashes it: a network trained from scratch for 200 steps found nothing
    in use, though it had learnt. Averages of the statistics are kept, as those of the last few batches are noisy.

    The average is kept in float32 whatever the network computes in: in bfloat16 a hundredth of a difference of 10 % is
    less than the last bit, and the average would stand still.

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
        self._trained: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the average, in float32.

        The averaged steps are counted on the host: a count on the device would be read, and waited for, in each.
        """
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()
            for tensor in _tensors(self._average_model.module):
                tensor.data = tensor.data.float() if tensor.is_floating_point() else tensor.data

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Average after each step of the optimiser."""
        if trainer.global_step > self._latest_update_step:
            self._update(pl_module)
            self._latest_update_step = trainer.global_step

    @torch.no_grad()
    def _update(self, task: LightningModule) -> None:
        averaged: Any = self._average_model
        left = self._left(int(averaged.n_averaged))
        pairs = list(zip(_tensors(averaged.module), _tensors(task), strict=True))
        if task.device.type != "xla":
            # One kernel for all instead of four for each tensor, which cost a GPU more than the network's own step. On
            # XLA the share must be a tensor: a number would be another program in every step.
            alike = [(average, now) for average, now in pairs if average.is_floating_point()]
            averages, now = ([pair[side].detach() for pair in alike] for side in (0, 1))
            torch._foreach_lerp_(averages, [tensor.float() for tensor in now], 1 - float(left))
            pairs = [pair for pair in pairs if not pair[0].is_floating_point()]
        for average, tensor in pairs:
            average.copy_(_mixed(average, tensor, left.to(task.device)))
        averaged.n_averaged += 1

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average; Lightning's swap would round it to the network's own precision."""
        if self._average_model is not None:
            self._trained = [tensor.data.clone() for tensor in _tensors(pl_module)]
            self._copy_average_to_current(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on training with the weights that were trained."""
        for tensor, trained in zip(_tensors(pl_module), self._trained, strict=True) if self._trained else ():
            tensor.data.copy_(trained)
        self._trained = []

    def _left(self, steps: int) -> Tensor:
        """Share of an average of so many steps that stays; of none, nothing."""
        return torch.tensor(min(self.decay, (1 + steps) / (10 + steps)) if steps else 0.0)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """All that is averaged: weights, then buffers."""
    return chain(module.parameters(), module.buffers())


def _mixed(average: Tensor, now: Tensor, left: Tensor) -> Tensor:
    # Whole numbers, such as batch counts, are averaged in float and cut again.
    return (left * average + (1 - left) * now).to(average.dtype)
