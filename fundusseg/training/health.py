"""A loss that is no number ends the training at once, before a checkpoint of it is written."""

import math
from collections import deque
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from fundusseg.errors import TrainingError


class TerminateOnNaN(Callback):
    """Looks at the loss of each step where that makes nothing wait.

    On a GPU a step's loss is looked at while the next step runs. On XLA, and in several processes, which must stop at
    the same place, nothing is looked at here: the task looks at the loss of each epoch and of each validation.
    """

    def __init__(self) -> None:
        self._pending: deque[tuple[str, Tensor, torch.cuda.Event | None]] = deque()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Send this step's loss to the host, and look at the one before."""
        if pl_module.device.type == "xla" or trainer.world_size > 1:
            return
        when = f"in step {trainer.global_step}, batch {batch_index + 1} of epoch {trainer.current_epoch + 1}"
        # The copy runs beside the next step; the event says when it has arrived, without stopping the GPU.
        event = torch.cuda.Event() if pl_module.device.type == "cuda" else None  # type: ignore[no-untyped-call]
        loss = outputs["loss"].detach().to("cpu", non_blocking=event is not None)
        if event is not None:
            event.record()  # type: ignore[no-untyped-call]
        self._pending.append((when, loss, event))
        self._look(1 if event is not None else 0)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last step's."""
        self._look(0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last step's."""
        self._look(0)

    def _look(self, leave: int) -> None:
        """Look at all losses but the last few."""
        while len(self._pending) > leave:
            when, loss, event = self._pending.popleft()
            if event is not None:
                event.synchronize()
            require_finite(float(loss), when)


def require_finite(loss: float, when: str) -> None:
    """Refuse a loss that is no number.

    Args:
        loss: Of a step, or the mean of several.
        when: Where it came up, for the sentence.

    Raises:
        TrainingError: It is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"a loss of {loss} {when}",
            "a finite number",
            "lower the learning rate (--model.optimizer.init_args.lr), limit the gradient with "
            "--trainer.gradient_clip_val 1, or compute in float32 (--trainer.precision 32-true)",
        )
