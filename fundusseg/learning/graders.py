"""Whom to learn from: outlines that fit no eye, graders whose outlines fit no picture, and how far each is repeatable.

Everything here looks at outlines alone, those of the grader and those that the network had found; no network is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from fundusseg.data.plausibility import find_doubts
from fundusseg.errors import FundusSegError
from fundusseg.learning.corrections import Correction, on_grid
from fundusseg.measures.label_map import region_mask
from fundusseg.measures.paired_tests import FEWEST_TESTED, holm
from fundusseg.measures.ratio_agreement import ratio_agreement
from fundusseg.sample import CUP, DISC, Annotation, Image, Record, Sample
from fundusseg.service.grading import latest
from fundusseg.service.store import Store

LEVEL = 0.01
"""Adjusted probability below which a grader stands apart from the others."""

EXCESS = 0.05
"""Median disagreement beyond the others' from which that matters."""

LEAST_WEIGHT = 0.1
"""Of a grader who does not repeat herself."""

OF_THE_PICTURE = ("touches the border", "darker than what is around it")
"""Doubts that a photograph gives rise to as well as an outline: they are no reason not to learn."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Outlines that nothing is learnt from.

    Attributes:
        grader: Whose.
        photographs: Which, by digest.
        reason: In one sentence.
    """

    grader: str
    photographs: tuple[str, ...]
    reason: str

    @property
    def sentence(self) -> str:
        """For people, with the names that the store's export gives photographs."""
        shown = ", ".join(one[:16] for one in self.photographs[:20])
        more = f" and {len(self.photographs) - 20} more" if len(self.photographs) > 20 else ""
        return f"Set aside, {len(self.photographs)} outlines of {self.grader}: {self.reason} ({shown}{more})."


def implausible(correction: Correction, image: Image, record: Record) -> str:
    """Why an outline can be no eye's, by the pass that `prepare` makes; empty where it can be.

    What stands before a colon is said of many outlines alike.

    Args:
        correction: The outline.
        image: Its photograph.
        record: Names the photograph.
    """
    labels = correction.label_map()
    masks = {region: region_mask(labels, region) for region in (DISC, CUP)}
    annotations = [
        Annotation(region, correction.grader, mask.astype(np.bool_)) for region, mask in masks.items() if mask.any()
    ]
    if not masks[DISC].any():
        return "no disc inside the photograph"
    try:
        doubts = find_doubts(Sample(record, image, tuple(annotations)))
    except FundusSegError as error:
        return error.got.split(", for ")[0]
    counted = [doubt for doubt in doubts if not doubt.kind.endswith(OF_THE_PICTURE)]
    kinds, details = ([getattr(doubt, name) for doubt in counted] for name in ("kind", "detail"))
    return f"{', '.join(kinds)}: {'; '.join(details)}" if counted else ""


def mismatched(corrections: Sequence[Correction]) -> list[SetAside]:
    """Graders whose outlines fit their own pictures no better than other pictures.

    For each outline its overlap with what the network found in the same picture, less the mean of that with what it
    found in the grader's other pictures, on a grid of the whole picture; by Wilcoxon's signed-rank test over patients.
    """
    found = []
    for grader, own in _by_grader(corrections).items():
        with_disc = [one for one in own if one.before.get("disc")]
        if len({one.patient for one in with_disc}) < FEWEST_TESTED:
            continue
        drawn, before = (
            np.stack([on_grid(getattr(one, side), one.size) for one in with_disc]) for side in ("after", "before")
        )
        overlaps = (_dice(drawn > 0, before > 0) + _dice(drawn > 1, before > 1)) / 2
        count = len(with_disc)
        others = (overlaps.sum(axis=1) - overlaps.diagonal()) / (count - 1)
        gains = _patients_means(overlaps.diagonal() - others, [one.patient for one in with_disc])
        if not gains.any():  # one and the same place in all pictures tells nothing
            continue
        p = float(stats.wilcoxon(gains, alternative="greater").pvalue)
        if p >= LEVEL:
            reason = f"they fit their own pictures no better than each other's (p {p:.2g}), as where masks are shuffled"
            found.append(SetAside(grader, tuple(one.photograph for one in own), reason))
    return found


def disagreeing(corrections: Sequence[Correction]) -> list[SetAside]:
    """Graders who disagree with the network more than another grader does, beyond chance.

    The disagreement of an outline is 1 - Dice of its disc plus the vertical ratio's distance from what is expected:
    the network's, moved by the median of the grader's other patients (cross-validated, so that a style of her own is
    no disagreement). Each grader's is tested against those of the one who disagrees least (Mann-Whitney,
    one-sided, after Holm).
    """
    graders = {
        grader: own
        for grader, own in _by_grader([one for one in corrections if one.before.get("disc")]).items()
        if len({one.patient for one in own}) >= FEWEST_TESTED
    }
    if len(graders) < 2:
        return []
    values = {grader: disagreements(own) for grader, own in graders.items()}
    # The best of the others is the yardstick: two careless graders of three must not excuse each other.
    p_values, excess, best = [], [], min(values, key=lambda grader: float(np.median(values[grader])))
    tested = [grader for grader in graders if grader != best]
    for grader in tested:
        p_values.append(float(stats.mannwhitneyu(values[grader], values[best], alternative="greater").pvalue))
        excess.append(float(np.median(values[grader]) - np.median(values[best])))
    return [
        SetAside(
            grader,
            tuple(one.photograph for one in graders[grader]),
            f"they disagree with everything known by {more:.2f} more than those of {best} (p {p:.2g} after Holm)",
        )
        for grader, p, more in zip(tested, holm(p_values), excess, strict=True)
        if p < LEVEL and more > EXCESS
    ]


def disagreements(corrections: Sequence[Correction]) -> npt.NDArray[np.float64]:
    """Of each of one grader's outlines, see `disagreeing`."""
    ratios = np.array(
        [
            np.nan if None in (one.vertical_cdr, one.found_cdr) else one.vertical_cdr - one.found_cdr  # type: ignore[operator]
            for one in corrections
        ]
    )
    patients = np.array([one.patient for one in corrections])
    found = []
    for position, one in enumerate(corrections):
        others = ratios[(patients != one.patient) & ~np.isnan(ratios)]
        style = float(np.median(others)) if others.size else 0.0
        apart = abs(ratios[position] - style) if not np.isnan(ratios[position]) else 0.0
        drawn, before = (on_grid(side, one.size)[None] > 0 for side in (one.after, one.before))
        found.append(1 - float(_dice(drawn, before)[0, 0]) + apart)
    return np.array(found)


def repeat_weights(store: Store) -> dict[str, float]:
    """Each grader's weight: the ICC of her vertical ratios with those of her later rounds; 1 where she repeated none.

    An ICC from fewer patients than `FEWEST_TESTED` says nothing; it is held between `LEAST_WEIGHT` and 1.
    """
    rounds: dict[str, dict[str, dict[int, float]]] = {}
    for (identity, grader, round), grading in latest(store.gradings()).items():
        if grading.vertical_cdr is not None:
            rounds.setdefault(grader, {}).setdefault(identity, {})[round] = grading.vertical_cdr
    patient = {one["id"]: one["patient"] for one in store.predicted()}
    weights = {}
    for grader, of in rounds.items():
        pairs = {identity: (one[1], one[max(one)]) for identity, one in of.items() if 1 in one and max(one) > 1}
        weights[grader] = 1.0
        if len({patient[identity] for identity in pairs}) >= FEWEST_TESTED:
            first, second = np.array(list(pairs.values())).T
            icc = ratio_agreement(first, second)["icc"].of(np.ones(len(first), np.bool_))
            weights[grader] = float(np.clip(np.nan_to_num(icc), LEAST_WEIGHT, 1))
    return weights


def _by_grader(corrections: Sequence[Correction]) -> dict[str, list[Correction]]:
    found: dict[str, list[Correction]] = {}
    for one in corrections:
        found.setdefault(one.grader, []).append(one)
    return found


def _dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(N, M) Dice of every mask with every mask; 1 of two empty ones."""
    a, b = (side.reshape(len(side), -1).astype(np.float64) for side in (one, other))
    total = a.sum(axis=1)[:, None] + b.sum(axis=1)[None]
    return np.where(total > 0, 2 * (a @ b.T) / np.maximum(total, 1), 1.0)


def _patients_means(values: npt.NDArray[np.float64], patients: Sequence[str]) -> npt.NDArray[np.float64]:
    """One number for each patient."""
    _, group = np.unique(patients, return_inverse=True)
    means: npt.NDArray[np.float64] = np.bincount(group, values) / np.bincount(group)
    return means
