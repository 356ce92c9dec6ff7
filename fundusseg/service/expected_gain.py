"""Which photographs to correct next: uncertain ones, unlike what is corrected already.

Of all that nobody has corrected the next one is that of the highest mean of two shares: how uncertain its prediction
is, by rank, and how far it lies from what is corrected or comes before it (k-centre greedy: Sener and Savarese 2018,
arXiv 1708.00489), in size of the photograph, vertical ratio and size of the disc. A patient who has been corrected, or
comes before, counts half. What the store keeps of each prediction is enough: no pixel is read, no network asked.

In `tools/simulate_corrections.py` (eyes of RIM-ONE DL, fine-tuning, five sites of 60 corrected eyes) it gained no more
than a random order: cup Dice +0.026, promoted at three of the five; in random order +0.037, at four.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

SAME_PATIENT = 0.5
"""What another photograph of a patient who comes before is worth."""

GREEDY = 500
"""Photographs that are chosen one by one; those after them stand by their first score."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photograph of the worklist.

    Attributes:
        identity: Its digest.
        patient: As the store has it.
        uncertainty: Of its prediction: the more, the less sure; NaN where nothing is known.
        features: What tells it from others; NaN where undefined.
    """

    identity: str
    patient: str
    uncertainty: float
    features: tuple[float, ...]


def candidate(photograph: Mapping[str, Any], document: Mapping[str, Any]) -> Candidate:
    """What the store knows of a photograph.

    Args:
        photograph: Its row.
        document: Of its latest prediction.
    """
    measures, outlines = document["measures"], document["contours"]
    names = ("vertical_cdr", "failure_risk", "vertical_cdr_low", "vertical_cdr_high")
    ratio, risk, low, high = (_number(measures.get(name)) for name in names)
    points = np.asarray(outlines.get("disc") or [], np.float64).reshape(-1, 2)
    disc = float(np.ptp(points[:, 1])) / photograph["height"] if len(points) else np.nan
    pixels = float(np.log(photograph["width"] * photograph["height"]))
    # What finds no disc at all is the least sure.
    uncertainty = np.inf if not len(points) else high - low if np.isnan(risk) else risk
    return Candidate(photograph["id"], photograph["patient"], uncertainty, (pixels, ratio, disc))


def by_expected_gain(candidates: Sequence[Candidate], corrected: Collection[str]) -> list[str]:
    """Digests of what nobody has corrected, the most worthwhile first.

    Args:
        candidates: All photographs.
        corrected: Digests of those that are corrected or accepted.
    """
    if not candidates:
        return []
    places = _scaled(np.array([one.features for one in candidates], np.float64).reshape(len(candidates), -1))
    done = [number for number, one in enumerate(candidates) if one.identity in corrected]
    left = [number for number, one in enumerate(candidates) if one.identity not in corrected]
    unsure = _shares(np.array([candidates[number].uncertainty for number in left]))
    # Before anything is corrected, all are told from the middle.
    centres = places[done] if done else np.zeros((1, places.shape[1]))
    nearest = np.array([np.linalg.norm(centres - places[number], axis=1).min() for number in left])
    typical = max(float(np.median(nearest)) if left else 0.0, 1e-9)
    met, order = {candidates[number].patient for number in done}, list[int]()
    worth = np.array([SAME_PATIENT if candidates[number].patient in met else 1.0 for number in left])
    for _ in range(min(GREEDY, len(left))):
        score = (unsure + nearest / (nearest + typical)) * worth
        score[order] = -1
        best = int(score.argmax())
        order.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(places[left] - places[left[best]], axis=1))
        same = [candidates[number].patient == candidates[left[best]].patient for number in left]
        worth[same] = SAME_PATIENT
    rest = np.setdiff1d(np.arange(len(left)), order)
    score = (unsure + nearest / (nearest + typical)) * worth
    order += rest[np.argsort(-score[rest], kind="stable")].tolist()
    return [candidates[left[at]].identity for at in order]


def _scaled(features: Floats) -> Floats:
    """Each from its median, in its own spread; undefined stands in the middle."""
    with np.errstate(invalid="ignore"):
        middle = np.nan_to_num(np.nanmedian(np.where(np.isnan(features).all(0), 0, features), axis=0))
        spread = np.nan_to_num(np.nanstd(np.where(np.isnan(features).all(0), 0, features), axis=0))
    scaled: Floats = np.nan_to_num((features - middle) / np.where(spread > 0, spread, 1))
    return scaled


def _shares(values: Floats) -> Floats:
    """Ranks as 0..1; undefined ones in the middle."""
    known = ~np.isnan(values)
    shares = np.full(len(values), 0.5)
    if known.any():
        shares[known] = (rankdata(values[known]) - 0.5) / known.sum()
    return shares


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
