"""Which sample comes when: every draw is decided by seed and epoch, so that a run can be repeated and resumed."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from lightning.pytorch import Trainer
from torch.utils.data import DistributedSampler

Draw = tuple[int, int]
"""A sample's index, and the seed of its augmentation."""


class SourceSampler(DistributedSampler[Draw]):
    """Draws samples so that each source has its share of an epoch.

    Within a source every sample is taken once before any is taken again; with odds, as often as these say, to the next
    whole number above or below. The shares follow the weights; without weights each source has its size. Of several
    processes each takes every n-th draw; Lightning leaves a sampler of this kind as it is.

    Args:
        sources: Source of every sample, as an index.
        weights: Weight of each source; only their proportions count. None: the number of its samples.
        seed: Of the run.
        length: Draws in an epoch; as many as there are samples where None.
        replicas: Processes that train together.
        rank: Which of them this is.
        odds: Of each sample beside the others of its source, above 0; None draws all of a source alike.
    """

    def __init__(
        self,
        sources: Sequence[int] | npt.NDArray[np.int64],
        weights: Sequence[float] | None,
        seed: int,
        length: int | None = None,
        replicas: int = 1,
        rank: int = 0,
        odds: npt.NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(cast(Any, sources), replicas, rank, seed=seed, drop_last=True)
        self.sources = np.asarray(sources, dtype=np.int64)
        self.weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        self.length = len(self.sources) if length is None else length
        self.odds = odds
        self._resumed = (0, 0)

    def resume(self, epoch: int, taken: int) -> None:
        """Go on in an epoch: its first draws are left out, undecoded; the length stays the whole epoch's.

        Args:
            epoch: To go on in.
            taken: Draws that this process has trained on in it.
        """
        self.epoch, self._resumed = epoch, (epoch, taken)

    def __len__(self) -> int:
        return self.length // self.num_replicas

    def __iter__(self) -> Iterator[Draw]:
        # Every process draws the whole epoch alike and takes its share at the end, so that no sample comes twice.
        generator = np.random.default_rng((self.seed, self.epoch))
        groups, shares = self._shares()
        picks = [
            _cycle(group, count, generator) if self.odds is None else _by_odds(group, self.odds, count, generator)
            for group, count in zip(groups, _portions(shares, self.length), strict=True)
        ]
        order = generator.permutation(np.concatenate(picks))
        seeds = generator.integers(0, 2**31, size=self.length)
        draws = zip(order.tolist(), seeds.tolist(), strict=True)
        share = islice(draws, self.rank, len(self) * self.num_replicas, self.num_replicas)
        return islice(share, self._resumed[1] if self.epoch == self._resumed[0] else 0, None)

    def _shares(self) -> tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.float64]]:
        """Samples that are drawn from together, and the share of each such group."""
        if self.weights is None and self.odds is None:  # all alike, each once before any twice
            return [np.arange(len(self.sources))], np.ones(1)
        present, sizes = np.unique(self.sources, return_counts=True)
        groups = [np.flatnonzero(self.sources == source) for source in present]
        return groups, sizes.astype(np.float64) if self.weights is None else self.weights[present]


def _portions(shares: npt.NDArray[np.float64], total: int) -> list[int]:
    """Whole numbers in proportion to the shares that add up to the total."""
    # The ends are rounded, not the portions, whose sum would miss the total.
    ends = np.round(np.cumsum(shares) / shares.sum() * total).astype(int)
    return [int(portion) for portion in np.diff(ends, prepend=0)]


def _cycle(group: npt.NDArray[np.int64], count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Take ``count`` of a group, all once before any twice."""
    rounds = [generator.permutation(group) for _ in range(-(-count // len(group)))]
    return np.concatenate(rounds)[:count] if rounds else group[:0]


def _by_odds(
    group: npt.NDArray[np.int64], odds: npt.NDArray[np.float64], count: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Take ``count`` of a group: evenly spaced marks on a line on which each sample is as long as its odds."""
    order = generator.permutation(group)
    ends = np.cumsum(odds[order])
    marks = (np.arange(count) + generator.random()) / max(count, 1) * ends[-1]
    taken: npt.NDArray[np.int64] = order[np.minimum(np.searchsorted(ends, marks, side="right"), len(order) - 1)]
    return taken


def position(trainer: Trainer) -> tuple[int, int]:
    """The epoch that a training takes its next batch from, and the batches that it has trained on in it."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress
    # `started` counts the epoch under way, from 1; after its last batch the next epoch's first one is due.
    if batches.is_last_batch:
        return epochs.started, 0
    return max(0, epochs.started - 1), batches.current.processed
