"""Sends this process, or its whole group, a signal at a chosen moment of a training, as a scheduler or Ctrl-C would."""

import os
import signal
import subprocess
from typing import Any

from lightning.pytorch import Callback, Trainer

MOMENT = "FUNDUSSEG_TEST_SIGTERM"
"""Environment variable: ``train:7`` (in the seventh batch of this process), ``val:3``, ``test:1``. Unset: never.

The moment is no argument, so that the stopped and the continuing command are the same.
"""

SIGNALS = "FUNDUSSEG_TEST_SIGNALS"
"""Environment variable: what is sent then, such as ``SIGINT SIGINT``; unset: ``SIGTERM``."""


def _deaf() -> None:
    """Who sends the signal belongs to the group too."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class Interruption(Callback):
    """Counts batches and sends the signal when the moment has come."""

    def __init__(self, group: bool = False) -> None:
        self.group, self.seen = group, {"train": 0, "val": 0, "test": 0}

    def _count(self, stage: str) -> None:
        self.seen[stage] += 1
        if os.environ.get(MOMENT) == f"{stage}:{self.seen[stage]}":
            for name in os.environ.get(SIGNALS, "SIGTERM").split():
                if self.group:
                    subprocess.run(["kill", f"-{name}", "--", f"-{os.getpgid(0)}"], check=False, preexec_fn=_deaf)
                else:
                    signal.raise_signal(signal.Signals[name])  # heard here and now, not in another thread's time

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._count("train")

    def on_validation_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._count("val")

    def on_test_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._count("test")
