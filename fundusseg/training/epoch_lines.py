"""A line for each epoch, in place of a progress bar where the output is no terminal."""

import math
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from fundusseg.cli import console

_SHOWN = {"train/loss": "train loss", "val/loss": "val loss", "val/dice": "Dice"}


class EpochLines(ProgressBar):
    """Prints epoch, losses, the validation's mean Dice, the seconds that it took and those that are left.

    Seconds left are those of the whole length that was asked for: early stopping may end it sooner.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._begun = self._said = 0.0
        self._first = 0

    def disable(self) -> None:
        """Print nothing, as on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Print again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._begun = self._said = time.monotonic()
        self._first = trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell of the epoch before: its loss is logged after all callbacks have heard of its end."""
        if trainer.global_step > self._first:
            self._say(trainer, pl_module, trainer.current_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell of the last epoch."""
        if trainer.global_step > self._first:
            self._say(trainer, pl_module, trainer.current_epoch)

    def _say(self, trainer: Trainer, task: Any, epoch: int) -> None:
        now = time.monotonic()
        whole = f" of {trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
        figures = trainer.callback_metrics
        words = [f"{what} {figures[name].item():.4f}" for name, what in _SHOWN.items() if name in figures]
        if constant := task.constant.get("val"):
            words.append(f"{' and '.join(constant)} predicted alike in all pictures")
        words.append(f"{now - self._said:.0f} s")
        # Infinite where neither epochs nor steps limit the run.
        steps = trainer.estimated_stepping_batches - trainer.global_step
        if math.isfinite(steps):
            words.append(f"{steps * (now - self._begun) / (trainer.global_step - self._first):.0f} s left")
        self._said = now
        if self._enabled:
            console.print(f"epoch {epoch}{whole}: {', '.join(words)}", soft_wrap=True, highlight=False)
