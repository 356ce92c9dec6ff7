"""Pictures of several photographs in one batch: a GPU or a TPU computes many in the time of a few."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

import torch
from torch import Tensor

Compute = Callable[[Tensor], Tensor]
"""uint8 (size, 3, S, S) to float32 (size, R, S, S), both on the CPU."""


class GatheredBatches:
    """Calls of several threads, computed together in batches of one size.

    While one batch is computed, the calls that come wait, and go together into the next. What a batch lacks is filled
    with black pictures: one shape has one program, and a picture's numbers do not hang on who came with it.

    Args:
        compute: What is done with a batch.
        size: Pictures of a batch.
    """

    def __init__(self, compute: Compute, size: int) -> None:
        self.compute, self.size = compute, size
        self._busy, self._listed = threading.Lock(), threading.Lock()
        self._waiting: list[tuple[Tensor, Future[Tensor]]] = []

    def __call__(self, pixels: Tensor) -> Tensor:
        """What `compute` gives of uint8 (N, 3, S, S), of any N.

        Raises:
            Exception: Whatever `compute` raises, to all whose pictures were in the batch.
        """
        mine: Future[Tensor] = Future()
        with self._listed:
            self._waiting.append((pixels, mine))
        with self._busy:
            while not mine.done():
                self._compute(self._next())
        return mine.result()

    def _next(self) -> list[tuple[Tensor, Future[Tensor]]]:
        """The calls that have waited longest, as many as fit into a batch, at least one."""
        with self._listed:
            taken = [self._waiting.pop(0)]
            while self._waiting and sum(len(p) for p, _ in taken) + len(self._waiting[0][0]) <= self.size:
                taken.append(self._waiting.pop(0))
        return taken

    def _compute(self, calls: list[tuple[Tensor, Future[Tensor]]]) -> None:
        try:
            together = torch.cat([pixels for pixels, _ in calls])
            found = torch.cat([self._filled(part) for part in torch.split(together, self.size)])
            parts = torch.split(found, [len(pixels) for pixels, _ in calls])
            for (_, future), part in zip(calls, parts, strict=True):
                future.set_result(part)
        except Exception as error:  # whatever a device raises is each caller's to know
            for _, future in calls:
                if not future.done():
                    future.set_exception(error)

    def _filled(self, pixels: Tensor) -> Tensor:
        """Of at most a batch of pictures."""
        missing = pixels.new_zeros((self.size - len(pixels), *pixels.shape[1:]))
        return self.compute(torch.cat([pixels, missing]))[: len(pixels)]
