"""Pairs of hashes that differ in few bits, found through tables of their parts instead of by comparing all pairs.

Of two hashes that differ in at most d bits, cut into m parts, at least one part differs in at most d // m bits
(multi-index hashing: Norouzi, Punjani, Fleet 2012, doi 10.1109/CVPR.2012.6248043). Each part is looked up in a table
with every value so near, and only hashes that share one are compared in full: the pairs found are all that there are.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

_WORD = 64

_ROOM = 2**20
"""Pairs that are compared at a time: photographs of one camera share many parts, those of a dark border most."""


def near_pairs(asked: Hashes, kept: Hashes, distance: int) -> Integers:
    """All pairs of a hash that is asked for and one that is kept, in which at most some bits differ.

    Args:
        asked: A x W, hashes of 64 W bits.
        kept: K x W.
        distance: Most bits in which two hashes of a pair differ.

    Returns:
        P x 2, position among those asked and among those kept, in order; each pair once.
    """
    codes = [np.zeros(0, np.int64)]
    for one, other in _sharing_a_part(asked, kept, distance):
        near = np.bitwise_count(asked[one] ^ kept[other]).sum(axis=1) <= distance
        codes.append(one[near] * len(kept) + other[near])
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), max(1, len(kept))), axis=1)


def _sharing_a_part(asked: Hashes, kept: Hashes, distance: int) -> Iterator[tuple[Integers, Integers]]:
    """Positions of pairs that are near in one part; a pair may come more than once."""
    words = asked.shape[1]
    # Four parts of a word where one of all of them is then equal, and need only be looked up as it is.
    cuts = 4 if distance < 4 * words else 3
    for word, cut in itertools.product(range(words), range(cuts)):
        low, high = cut * _WORD // cuts, (cut + 1) * _WORD // cuts
        table = _Table(_bits(kept[:, word], low, high), high - low)
        values = _bits(asked[:, word], low, high)
        for mask in _masks(high - low, distance // (words * cuts)):
            yield from table.pairs(values ^ mask)


class _Table:
    """Positions of hashes by the value of one part."""

    def __init__(self, values: Integers, bits: int) -> None:
        self.order = np.argsort(values, kind="stable")
        # Where each value begins in that order.
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=2**bits))])

    def pairs(self, values: Integers) -> Iterator[tuple[Integers, Integers]]:
        """Position of a value that is asked for beside that of each hash that has it, about `_ROOM` at a time."""
        first = self.starts[values]
        counts = self.starts[values + 1] - first
        full = np.flatnonzero(np.diff(np.cumsum(counts) // _ROOM)) + 1
        for some in np.split(np.arange(len(values)), full):
            one = np.repeat(some, counts[some])
            # Position of each hash among those of its value.
            within = np.arange(len(one)) - np.repeat(np.cumsum(counts[some]) - counts[some], counts[some])
            yield one, self.order[first[one] + within]


def _bits(words: Hashes, low: int, high: int) -> Integers:
    return ((words >> np.uint64(low)) & np.uint64(2 ** (high - low) - 1)).astype(np.int64)


def _masks(bits: int, most: int) -> Iterator[int]:
    """Every set of at most so many of a part's bits."""
    for count in range(most + 1):
        for places in itertools.combinations(range(bits), count):
            yield sum(1 << place for place in places)
