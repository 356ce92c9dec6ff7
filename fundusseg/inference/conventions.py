"""Where readers put the cup's edge: its threshold as one axis, from the strictest reader to the most generous.

A learnt offset of each source's logits, added in training, moved no unseen source's cups: a network reads the source
off the picture. What does follow a reader is the threshold: a cup drawn at a lower one is larger, and each is nested in
the next.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError
from fundusseg.sample import CUP, DISC, Region

CONSENSUS = "consensus"
"""The network's own threshold, which speaks for all of its sources."""


@dataclass(frozen=True, slots=True)
class Conventions:
    """Readers on the axis.

    Attributes:
        readers: For each, the logits that bring the cups of networks that never saw its pictures nearest to its own:
            below 0 it draws smaller cups than the others, above 0 larger ones.
    """

    readers: dict[str, float]

    @property
    def strictest(self) -> float:
        """The least of them, at most 0."""
        return min(0.0, *self.readers.values())

    @property
    def most_generous(self) -> float:
        """The largest of them, at least 0."""
        return max(0.0, *self.readers.values())

    def logits(self, convention: str | float) -> float:
        """What a convention adds to the cup's logit.

        Args:
            convention: ``consensus``, a reader, or a position: -1 is the strictest reader, 0 the consensus, 1 the most
                generous one.

        Raises:
            ConfigurationError: There is no such reader, or the position is beyond the readers.
        """
        if convention == CONSENSUS:
            return 0.0
        if isinstance(convention, str):
            if convention not in self.readers:
                raise _unknown(convention, [*self.readers])
            return self.readers[convention]
        if not -1 <= convention <= 1:
            raise _unknown(convention, [*self.readers])
        return convention * (self.most_generous if convention > 0 else -self.strictest)


def logits_of(convention: str | float, learnt: Conventions | None) -> float:
    """What a convention adds to the cup's logit, by a bundle that may know none.

    Raises:
        ConfigurationError: The bundle does not know it.
    """
    if learnt is None:
        if convention not in (CONSENSUS, 0):
            raise _unknown(convention, [])
        return 0.0
    return learnt.logits(convention)


def _unknown(convention: str | float, readers: Sequence[str]) -> ConfigurationError:
    if not readers:
        return ConfigurationError(
            f"convention {convention!r} for networks whose bundle has no readers",
            CONSENSUS,
            "leave --convention out, or use the package's own bundle",
        )
    return ConfigurationError(
        f"convention {convention!r}",
        f"{CONSENSUS}, one of {', '.join(readers)}, or a position from -1 (strictest) to 1 (most generous)",
        "correct --convention",
    )


def lowered(threshold: float, logits: float) -> float:
    """A threshold lowered by so many logits, so that the region grows.

    >>> round(lowered(0.5, 2.0), 3), round(lowered(0.25, 0.0), 3), round(lowered(0.5, -2.0), 3)
    (0.119, 0.25, 0.881)
    """
    held = min(max(threshold, 1e-4), 1 - 1e-4)
    return 1 / (1 + math.exp(logits - math.log(held / (1 - held))))


def vertical_ratio(probabilities: npt.NDArray[np.float32], thresholds: Mapping[Region, float]) -> float:
    """Vertical cup/disc ratio of one square, to a part of a pixel, without drawing it; NaN without a disc.

    Args:
        probabilities: R x S x S.
        thresholds: Of each of the R regions, in their order.
    """
    regions = tuple(thresholds)
    disc = probabilities[regions.index(DISC)]
    cup = np.where(disc > thresholds[DISC], probabilities[regions.index(CUP)], 0)
    height = _extent(disc.max(axis=1), thresholds[DISC])
    return _extent(cup.max(axis=1), thresholds[CUP]) / height if height else math.nan


def _extent(profile: npt.NDArray[np.float32], threshold: float) -> float:
    """Length over which a profile is above a threshold, from its first to its last crossing."""
    above = np.flatnonzero(profile > threshold)
    if not len(above):
        return 0.0
    first, last = int(above[0]), int(above[-1])
    length = float(last - first)
    for inner, outer in ((first, first - 1), (last, last + 1)):
        if 0 <= outer < len(profile):
            length += float((profile[inner] - threshold) / (profile[inner] - profile[outer]))
    return length
