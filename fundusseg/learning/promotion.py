"""Whether a challenger is promoted: better on the frozen set beyond chance, and worse nowhere, now or since the first.

What must be better is a family of tests of its own, what must not be worse the whole table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fundusseg.evaluation.estimates import ALL
from fundusseg.evaluation.model_comparison import ModelComparison
from fundusseg.learning.bundle_comparison import BundleComparison
from fundusseg.learning.correction_files import SITE
from fundusseg.learning.looks import fewest_frozen
from fundusseg.measures.paired_tests import holm
from fundusseg.reports.metric_names import LOWER_IS_BETTER, VCDR_ERROR, metric_heading

PRIMARY = ("dice", VCDR_ERROR)
"""Measures of the frozen set, any of which must be better."""

MARGINS = {"dice": 0.005, VCDR_ERROR: 0.01, "hd95_dd": 0.01}
"""Smaller losses are none that anybody could see: of Dice, of the vertical ratio, of a disc's diameter."""

SURE = 15
"""Patients of a place from which a mean loss counts whatever the test says."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a challenger is promoted, and why.

    Attributes:
        promoted: Whether.
        reason: In one sentence.
        sentences: Every number of the comparison with the champion.
        since_first: Of that with the first champion; empty where it is the same.
    """

    promoted: bool
    reason: str
    sentences: tuple[str, ...] = field(repr=False)
    since_first: tuple[str, ...] = field(default=(), repr=False)


def decide(found: BundleComparison, level: float) -> Decision:
    """Promote what is better on the frozen set beyond chance, and has lost nothing anywhere.

    Better: the Dice of disc and cup and the vertical ratio's error of the frozen set are one family of tests, stated
    beforehand (Holm), each one-sided, as no promotion rests on a loss. Lost: more than one of `MARGINS`, in a number
    that is worse beyond chance, or in the mean of a place of `SURE` patients or more, whatever chance says of it;
    against the champion, and against the first one, so that small losses do not add up over rounds.

    Args:
        found: Challenger against champion and first champion.
        level: Of the family's tests, see `looks`.
    """
    sentences, since_first = (tuple(one.sentence for one in side) for side in (found.since_champion, found.since_first))

    def decided(promoted: bool, reason: str) -> Decision:
        return Decision(promoted, reason, sentences, since_first)

    site, needed = _family(found.since_champion), fewest_frozen(level)
    if max((one.difference.patients for one in site), default=0) < needed:
        return decided(False, f"fewer than {needed} frozen patients could be scored")
    if worse := _worse(found.since_champion):
        return decided(False, f"worse: {_short(worse)}")
    if worse := _worse(found.since_first):
        return decided(
            False, f"worse than the first champion, small losses of several rounds together: {_short(worse)}"
        )
    better = _better(site, level)
    if not better:
        return decided(False, "no number of the frozen set is better beyond chance")
    return decided(True, f"better beyond chance on the frozen set (one-sided) and worse nowhere: {_short(better)}")


def _family(comparisons: Sequence[ModelComparison]) -> list[ModelComparison]:
    return [one for one in comparisons if one.source == SITE and one.metric in PRIMARY]


def _better(site: Sequence[ModelComparison], level: float) -> list[ModelComparison]:
    """Those of the frozen set's numbers that are better: interval and one-sided test agree."""
    one_sided = holm([one.difference.p / 2 if _gained(one) else 1.0 for one in site])
    return [one for one, p in zip(site, one_sided, strict=True) if p < level]


def _gained(one: ModelComparison) -> bool:
    """Whether all of the mean's interval is a gain, and the ranks that the test goes by lean that way too."""
    found, sign = one.difference, -1 if one.metric in LOWER_IS_BETTER else 1
    return min(sign * found.low, sign * found.high, sign * found.rank_biserial) > 0


def _site(comparisons: Sequence[ModelComparison]) -> list[ModelComparison]:
    """The frozen set's numbers, as if nothing else had been tested."""
    own = _family(comparisons)
    adjusted = holm([one.difference.p for one in own])
    return [replace(one, p=float(p)) for one, p in zip(own, adjusted, strict=True)]


def _worse(comparisons: Sequence[ModelComparison]) -> list[ModelComparison]:
    # As one of three a number is no worse than as one of the whole table: the same would be said twice.
    others = [one for one in comparisons if one.source != SITE or one.metric not in PRIMARY]
    return [one for one in (*others, *_site(comparisons)) if _lost(one)]


def _lost(one: ModelComparison) -> bool:
    loss = one.difference.mean if one.metric in LOWER_IS_BETTER else -one.difference.mean
    if not loss > MARGINS.get(one.metric, 0.0):
        return False
    return one.word == "worse" or (one.metric in PRIMARY and one.difference.patients >= SURE)


def _short(comparisons: Sequence[ModelComparison]) -> str:
    return "; ".join(
        f"{'all pictures' if one.source == ALL else one.source}, {metric_heading(one.region, one.metric)} "
        f"{one.other:.3f} to {one.model:.3f}"
        for one in comparisons
    )
