"""A network of known answer that takes its time and notes each picture that it is asked about, and by which process."""

import os
import time
from pathlib import Path

import torch

from tests.support.painter import Painter

NOTES = "FUNDUSSEG_TEST_NOTES"
"""Environment variable: file of one line, a process's number, for each picture. Unset: nothing is noted."""


class SlowPainter(Painter):
    """Reads its answer off the picture, in a twentieth of a second."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if path := os.environ.get(NOTES):
            with Path(path).open("a") as notes:
                notes.write(f"{os.getpid()}\n")
            time.sleep(0.05)
        return super().forward(image)
