"""The time of a training's step, for `xla_budget.py --steps`."""

import json
import time
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer


class StepTimes(Callback):
    """Writes the seconds of a step, on average over each epoch but the first, which compiles.

    Args:
        path: The file, a list in JSON.
    """

    def __init__(self, path: str) -> None:
        self.path, self.start = Path(path), 0.0
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: object, *batch: object) -> None:
        """Stop it when the device has done all steps of the epoch: a number of the network waits for them."""
        if trainer.is_last_batch:
            next(pl_module.parameters()).detach().sum().item()
            self.seconds.append((time.perf_counter() - self.start) / trainer.num_training_batches)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them."""
        self.path.write_text(json.dumps(self.seconds[1:]))
