"""The long way to an interval: every draw is carried out. What the package's quick way is held against."""

from collections.abc import Callable, Sequence

import numpy as np

from fundusseg.measures.bootstrap import FEWEST, NOTHING, Indices, _draws, _interval, clusters


def bootstrap(
    statistic: Callable[[Indices], float],
    groups: Sequence[str],
    *,
    strata: Sequence[str] | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of any figure.

    Args:
        statistic: The figure of the pictures with these indices; one drawn twice is there twice. Where it is NaN (as
            an area under the curve without both classes), the draw is left out.
        groups: Each picture's patient.
        strata: Each picture's source: patients are drawn within it. A source of a single patient stays as it is.
        resamples: Draws.
        level: Share of repetitions of the study whose interval should hold the true figure, 0..1.
        seed: Of the draws.

    Returns:
        Lower and upper bound; NaN with fewer than `FEWEST` patients, or where the figure is undefined.
    """
    design = clusters(groups, strata)
    pictures = np.arange(len(groups))
    if design.drawn < FEWEST:
        return NOTHING
    draws = _draws(design.sizes, resamples, seed)
    drawn = np.array([statistic(np.repeat(pictures, draw[design.group].astype(np.intp))) for draw in draws])
    without = np.array([statistic(pictures[design.group != group]) for group in range(sum(design.sizes))])
    return _interval(drawn, statistic(pictures), without, design, level)
