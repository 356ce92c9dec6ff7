"""Which photographs a person should look at: the risk that an outline is wrong, and the cut-off on it, both chosen.

Both come from validation photographs with a known truth, and go into a bundle. The risk is a logistic regression on
the logarithms of `fundusseg.inference.failure_signs`, with weights that are never negative: no sign speaks for an
outline. The cut-off is chosen by two stated aims, on risks that were found without the photograph's own source: what
holds only where a camera is known is of no use to a clinic.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from fundusseg.errors import ConfigurationError
from fundusseg.inference.failure_signs import SIGNS, FailureSigns
from fundusseg.plain_types import require_types

REVIEWED, CAUGHT = 0.15, 0.9
"""Aims: at most this share of good photographs is reviewed, and at least this share of the others."""

RATIO_ERROR, DISC_DICE = 0.15, 0.85
"""An outline fails where the vertical ratio is further off, or the disc's Dice is lower."""

LEAST_FAILURES = 10
"""Fewer failures do not tell what they look like."""

_FLOOR = 0.01
"""Added before the logarithm: smaller signs are all alike."""

_PRIOR = 0.01
"""Weight of the squared coefficients beside the mean loss of a photograph: ridge."""

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
        return float(_risks(self.centres, self.weights, self.intercept, signs.values()[None])[0])

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

    @property
    def failed(self) -> bool:
        """Whether a person would have had to look; a ratio that is not known is not counted against it."""
        return self.disc_dice < DISC_DICE or abs(self.ratio_error) > RATIO_ERROR


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
    failed, sources = np.array([row.failed for row in rows], bool), np.array([row.source for row in rows])
    counts = int((~failed).sum()), int(failed.sum())
    if min(counts) < LEAST_FAILURES or len(set(sources)) < 2:
        raise ConfigurationError(
            f"{counts[0]} good photographs and {counts[1]} failures of {len(set(sources))} sources to choose a cut-off",
            f"at least {LEAST_FAILURES} of each, of 2 sources or more",
            "give more validation photographs, of cameras that the networks do not know",
        )
    risks = np.full(len(rows), math.nan)
    for source in set(sources):
        apart = sources == source
        # A source without which nothing fails, or nothing is good, teaches the others nothing: its own fit stands.
        known = ~apart if 0 < failed[~apart].sum() < (~apart).sum() else np.ones_like(apart)
        risks[apart] = _risks(*_fit(values[known], failed[known], sources[known]), values[apart])
    cut_off = min(_quantile(risks[failed], 1 - least_caught), 1.0)
    if (risks[~failed] >= cut_off).mean() > most_reviewed:
        # The next risk above that quantile: `>=` must leave at most the wanted share.
        ordered = np.sort(risks[~failed])
        cut_off = float(np.nextafter(ordered[math.ceil((1 - most_reviewed) * len(ordered)) - 1], 2))
    reviewed, caught = (float((risks[group] >= cut_off).mean()) for group in (~failed, failed))
    centres, weights, bias = _fit(values, failed, sources)
    found = tuple(centres.tolist()), tuple(weights.tolist()), bias
    return FailureDetector(*found, cut_off, reviewed, caught, counts)


def _quantile(values: _Array, share: float) -> float:
    """The value below which at most this share lies."""
    return float(np.sort(values)[int(share * len(values))])


def _centred(values: _Array, centres: _Array) -> _Array:
    """N x F logarithms less their centres; what is not known is in the middle."""
    return np.nan_to_num(np.log(values + _FLOOR) - centres)


def _risks(centres: Sequence[float] | _Array, weights: Sequence[float] | _Array, bias: float, values: _Array) -> _Array:
    scores = _centred(values, np.asarray(centres)) @ np.asarray(weights) + bias
    return np.asarray(1 / (1 + np.exp(-scores)))


def _fit(values: _Array, failed: npt.NDArray[np.bool_], sources: npt.NDArray[np.str_]) -> tuple[_Array, _Array, float]:
    """Centres, weights and intercept; each source has the same weight, however many photographs it has."""
    logarithms = np.log(values + _FLOOR)
    centres = np.array(
        [np.median(column[known]) if (known := np.isfinite(column)).any() else 0.0 for column in logarithms.T]
    )
    inputs = np.nan_to_num(logarithms - centres)
    names, of = np.unique(sources, return_inverse=True)
    share = 1 / (len(names) * np.bincount(of)[of])
    signed = np.where(failed, -1.0, 1.0)

    def loss(coefficients: _Array) -> tuple[float, _Array]:
        margin = signed * (inputs @ coefficients[:-1] + coefficients[-1])
        slope = share * signed / (1 + np.exp(-margin))
        gradient = np.append(inputs.T @ slope + 2 * _PRIOR * coefficients[:-1], slope.sum())
        return float(share @ np.logaddexp(0, margin) + _PRIOR * (coefficients[:-1] ** 2).sum()), gradient

    bounds = [(0, None)] * len(centres) + [(None, None)]
    found = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds)
    return centres, found.x[:-1], float(found.x[-1])
