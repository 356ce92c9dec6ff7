"""How sure a challenger must be: the frozen set is looked at in every round, and few of all promotions may be chance.

Rounds are an endless sequence of tests, whose levels LORD++ says (Ramdas, Yang, Wainwright and Jordan 2017, arXiv
1710.00499): of all promotions the share that chance made is at most `CHANCE` in expectation. What a promotion proves
may be spent again, so that a site that goes on learning is not asked for more and more; one whose rounds find nothing
is. The proof takes tests that do not depend on each other, and most frozen patients come again: for them it was
simulated, see the test.
"""

import math
from collections.abc import Sequence

from fundusseg.measures.paired_tests import LEVEL

CHANCE = 0.1
"""Share of all promotions that may be chance, in expectation."""

FAMILY = 3
"""Numbers of the frozen set that any challenger may be better in: Dice of disc and of cup, error of the ratio."""


def level(looks: Sequence[bool]) -> float:
    """Probability, after Holm, below which a round's challenger is better.

    Half of `CHANCE` is there from the start, the first promotion brings the other half, each later one `CHANCE`; of
    each, the k-th round since spends a share of 6 / (pi k)**2.

    Args:
        looks: Of each round before that compared, whether it promoted.

    >>> [round(level([False] * rounds), 4) for rounds in (0, 1, 9)]
    [0.0304, 0.0076, 0.0003]
    >>> round(level([False] * 9 + [True]), 4)
    0.0306
    """
    now = len(looks) + 1
    promoted = [number for number, one in enumerate(looks, 1) if one]
    earned = [(0, CHANCE / 2), *((number, CHANCE / (1 if order else 2)) for order, number in enumerate(promoted))]
    return sum(wealth * 6 / (math.pi * (now - since)) ** 2 for since, wealth in earned)


def fewest_frozen(level: float) -> int:
    """Patients below whom no gain can pass a level: were all n to gain, the one-sided signed-rank test's p is 1 / 2**n.

    Nor fewer than those of whom a loss can be seen, with two sides at 0.05 among the same numbers.

    >>> fewest_frozen(level([])), fewest_frozen(level([False] * 9)), fewest_frozen(1)
    (7, 14, 7)
    """
    return math.floor(math.log2(FAMILY / min(level, LEVEL / 2))) + 1
