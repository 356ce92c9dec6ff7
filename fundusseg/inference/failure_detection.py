"""Which photographs a person should look at: the risk that an outline is wrong, and the cut-off on it, both chosen.

Both come from validation photographs with a known truth, and go into a bundle. The risk is a logistic regression on one
score, the sum of the logarithms of `fundusseg.inference.failure_signs` in their standard deviations; the cut-off is
chosen by two stated aims. By how much a whole source's ratios are off is its readers' convention, which no picture
shows and `fundusseg.calibrate` mends: a photograph fails where it is off from that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError
from fundusseg.inference.failure_signs import SIGNS, FailureSigns
from fundusseg.plain_types import require_types

REVIEWED, CAUGHT = 0.12, 0.9
"""Aims: at most this share of good photographs is reviewed for their risk, and at least this share of the others.

Fixed limits on light, sharpness and edges review 2 % more, of 224 good photographs of sources left out."""

RATIO_ERROR, DISC_DICE = 0.15, 0.85
"""An outline fails where the vertical ratio is further off its source's median error, or the disc's Dice is lower."""

LEAST_FAILURES = 10
"""Fewer failures do not tell what they look like."""

_FLOOR = 0.01
"""Added before the logarithm: smaller signs are all alike."""

_COUNTS = np.array([1, 1, 1, 1, 1, 1, 0.5, 0])
"""How much each sign counts, in the order of `SIGNS`; how sharp a photograph is has a limit of its own.

Not fitted: failures are few, and free weights follow single photographs. On 222 photographs of sources left out, 22 of
them failures, weights that were fitted to the other sources ranked those of one with an AUC of 0.72 to 0.82; these were
chosen on the same photographs, where they reach 0.92, and 0.88 on all 250: not to be compared, and no fresh test.
"""

_RIDGE = 0.001
"""Weight of the squared slope: it is without bound where all failures score higher than all others."""

_ALIKE = 1e-6
"""Standard deviation below which a sign is the same in all photographs."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FailureDetector:
    """What turns signs into a risk, and a risk into a question to a person.

    Attributes:
        centres: Of the logarithm of each sign, in the order of `SIGNS`.
        weights: Of each centred logarithm, at least 0.
        intercept: Log odds of a photograph with middling signs.
        cut_off: Risk from which a person should look, 0..1.
        reviewed: Share of the good validation photographs that it sends to review, their source left out.
        caught: Share of the failures likewise.
        counts: Good ones and failures.
    """

    centres: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    cut_off: float
    reviewed: float
    caught: float
    counts: tuple[int, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain types only."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Undo `as_dict`.

        Raises:
            TypeError: The content is not what `as_dict` gives.
        """
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        detector = cls(**given)
        require_types(detector)
        if not len(detector.centres) == len(detector.weights) == len(SIGNS):
            raise TypeError(f"{len(detector.weights)} weights for {len(SIGNS)} signs")
        return detector

    def risk(self, signs: FailureSigns) -> float:
        """Probability that an outline with these signs is wrong, 0..1."""
        score = _centred(signs.values()[None], np.asarray(self.centres))[0] @ np.asarray(self.weights)
        return _expit(float(score) + self.intercept)

    def strongest(self, signs: FailureSigns) -> str:
        """The sign that speaks most against the outline, in words."""
        parts = np.asarray(self.weights) * _centred(signs.values()[None], np.asarray(self.centres))[0]
        return SIGNS[int(np.argmax(parts))].replace("_", " ")


@dataclass(frozen=True, slots=True)
class FailureRow:
    """One validation photograph.

    Attributes:
        source: Its dataset.
        signs: Its signs.
        ratio_error: Predicted less true vertical ratio; NaN where it has no drawn cup.
        disc_dice: Of the predicted disc.
    """

    source: str
    signs: FailureSigns
    ratio_error: float
    disc_dice: float


def failures(rows: Sequence[FailureRow]) -> npt.NDArray[np.bool_]:
    """Which photographs a person would have had to look at; a ratio that is not known is not counted against one.

    Args:
        rows: Of each source, all that were predicted: the median of their ratio errors is the source's convention.
    """
    errors = np.array([row.ratio_error for row in rows], np.float64)
    sources = np.array([row.source for row in rows])
    for source in set(sources):
        known = (sources == source) & np.isfinite(errors)
        errors[known] -= np.median(errors[known])
    return (np.abs(errors) > RATIO_ERROR) | (np.array([row.disc_dice for row in rows], np.float64) < DISC_DICE)


def choose_detector(
    rows: Sequence[FailureRow], most_reviewed: float = REVIEWED, least_caught: float = CAUGHT
) -> FailureDetector:
    """Fit the risk and choose the cut-off.

    The cut-off is the highest that catches the wanted share of failures; where that would send too many good
    photographs to review, it is the lowest that does not, and fewer are caught, as `FailureDetector.caught` says.

    Args:
        rows: Of validation photographs of at least two sources.
        most_reviewed: Share of good photographs that may be reviewed.
        least_caught: Share of failures that should be.

    Raises:
        ConfigurationError: One source alone, or too few failures or good photographs.
    """
    values = np.stack([row.signs.values() for row in rows]) if rows else np.zeros((0, len(SIGNS)))
    failed, sources = failures(rows), np.array([row.source for row in rows])
    counts = int((~failed).sum()), int(failed.sum())
    if min(counts) < LEAST_FAILURES or len(set(sources)) < 2:
        raise ConfigurationError(
            f"{counts[0]} good photographs and {counts[1]} failures of {len(set(sources))} sources to choose a cut-off",
            f"at least {LEAST_FAILURES} of each, of 2 sources or more",
            "give more validation photographs, of cameras that the networks do not know",
        )
    centres, weights = _standardised(values)
    scores = _centred(values, centres) @ weights
    # Each source is judged by the cut-off that the others chose; where they have no failure to choose by, by all.
    over = np.zeros(len(rows), bool)
    for source in set(sources):
        apart = sources == source
        known = ~apart if 0 < failed[~apart].sum() < (~apart).sum() else np.ones_like(apart)
        over[apart] = scores[apart] >= _cut_off(scores[known], failed[known], most_reviewed, least_caught)
    slope, intercept = _logistic(scores, failed)
    cut_off = float(_expit(slope * _cut_off(scores, failed, most_reviewed, least_caught) + intercept))
    found = tuple(centres.tolist()), tuple((slope * weights).tolist()), intercept
    return FailureDetector(*found, cut_off, float(over[~failed].mean()), float(over[failed].mean()), counts)


def _cut_off(scores: _Array, failed: npt.NDArray[np.bool_], most_reviewed: float, least_caught: float) -> float:
    """The score from which a person should look."""
    caught = float(np.sort(scores[failed])[int((1 - least_caught) * failed.sum())])
    good = np.sort(scores[~failed])
    # A person looks from the cut-off on: the next score above the last good one that must pass.
    allowed = float(np.nextafter(good[math.ceil((1 - most_reviewed) * len(good)) - 1], np.inf))
    return max(caught, allowed) if (good >= caught).mean() > most_reviewed else caught


def _standardised(values: _Array) -> tuple[_Array, _Array]:
    """Median of each sign's logarithm, and what its standard deviations count; 0 where it is never known."""
    logarithms = np.log(values + _FLOOR)
    centres = np.array([np.median(known) if len(known := one[np.isfinite(one)]) else 0.0 for one in logarithms.T])
    spreads = np.nan_to_num(logarithms - centres).std(axis=0)
    return centres, np.where(spreads > _ALIKE, _COUNTS / np.maximum(spreads, _ALIKE), 0.0)


def _centred(values: _Array, centres: _Array) -> _Array:
    """N x F logarithms less their centres; what is not known is in the middle."""
    return np.nan_to_num(np.log(values + _FLOOR) - centres)


def _logistic(scores: _Array, failed: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope, at least 0, and intercept of the log odds."""
    from scipy.optimize import minimize  # takes long to load, and `predict` fits nothing

    signed = np.where(failed, -1.0, 1.0)

    def loss(line: _Array) -> float:
        return float(np.logaddexp(0, signed * (line[0] * scores + line[1])).mean() + _RIDGE * line[0] ** 2)

    found = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(_RIDGE, None), (None, None)])
    return float(found.x[0]), float(found.x[1])


def _expit(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))
