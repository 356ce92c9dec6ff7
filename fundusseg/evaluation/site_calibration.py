"""Thresholds and interval for one site, from a few of its eyes, and what that gains, by leaving out each patient.

A network knows where a cup's edge may lie; where a site's readers put it is their convention. One number for each
region, added to the threshold's logit, follows it: the cup drawn at a lower threshold is the larger one, and each is
nested in the next. Ten eyes are few, so that the number has a prior around 0, and it is taken only where, on eyes that
it was not fitted to, the loss falls by more than chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError
from fundusseg.evaluation.site_eyes import SiteEye
from fundusseg.inference.conventions import lowered
from fundusseg.inference.uncertainty import FLOOR, Calibration, calibrate, least_photographs
from fundusseg.measures.bootstrap import FEWEST, mean_interval
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.label_map import region_mask
from fundusseg.measures.region_metrics import overlap
from fundusseg.sample import CUP, DISC, Region

SHIFTS = np.round(np.arange(-30, 31) * 0.2, 1)
"""Logits that are tried beside the threshold's own: -6 to 6."""

UNMOVED = len(SHIFTS) // 2
"""Position of the shift of 0."""

NOISE, SPREAD = 0.06, 2.0
"""The prior: losses of eyes scatter by about 0.06 (Laplace), conventions by about 2 logits (normal)."""

WORTH = 0.005
"""A mean gain below which nobody sees a difference: half a pixel of a disc of 100."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gain:
    """One measure before and after, each eye by what was fitted to the other patients alone.

    Attributes:
        name: In words.
        before: Mean over the eyes at the bundle's thresholds.
        after: At the site's.
        gain: How much better, mean over the eyes.
        low: Lower bound of its 95 % interval over patients.
        high: Upper bound.
    """

    name: str
    before: float
    after: float
    gain: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether it is more than chance, and more than nothing."""
        return self.low > 0 and self.gain >= WORTH


@dataclass(frozen=True, slots=True)
class SiteCalibration:
    """What a site's eyes say.

    Attributes:
        thresholds: For each region.
        fitted: Regions whose threshold was moved.
        interval: Calibration of the vertical ratio's interval; None where there is none.
        guarantee: What the interval promises, in words.
        gains: Of the losses that decided, then of what a reader looks at.
        remarks: The ratio's bias, and the intervals before and after, in sentences.
        eyes: How many.
    """

    thresholds: dict[Region, float]
    fitted: tuple[Region, ...]
    interval: Calibration | None
    guarantee: str
    gains: tuple[Gain, ...]
    remarks: tuple[str, ...]
    eyes: int


def fit_shift(losses: Floats) -> int:
    """Position in `SHIFTS` of the most probable shift.

    Args:
        losses: (eyes, shifts), each eye's loss at each shift.

    Returns:
        The least of the losses' sum and the prior's ``NOISE / 2 (shift / SPREAD)**2``, of equals the nearest to 0.
    """
    total = losses.sum(axis=0) + NOISE / 2 * (SHIFTS / SPREAD) ** 2
    return min(np.flatnonzero(total <= total.min() + 1e-12).tolist(), key=lambda at: abs(SHIFTS[at]))


def fit_without_each(losses: Floats, patients: Sequence[str]) -> list[int]:
    """For each eye the position that the other patients' eyes give."""
    of = np.array(patients)
    found = {patient: fit_shift(losses[of != patient]) for patient in dict.fromkeys(patients)}
    return [found[patient] for patient in patients]


def calibrate_site(
    eyes: Sequence[SiteEye],
    thresholds: Mapping[Region, float],
    before: Calibration | None,
    views: int,
    coverage: float,
) -> SiteCalibration:
    """Fit thresholds and interval to a site's eyes.

    The disc's threshold first, where discs are drawn, then the cup's within that disc; each is kept only where its loss
    falls by more than chance in eyes of other patients.

    Args:
        eyes: Segmented, of at least `FEWEST` patients.
        thresholds: The bundle's, in the order of its regions.
        before: The bundle's own interval.
        views: Views of each photograph.
        coverage: Share of intervals that should hold the reader's ratio.

    Raises:
        ConfigurationError: Too few patients, or a coverage that is no share.
    """
    patients = [eye.record.patient_key for eye in eyes]
    check_patients(patients)
    own, chosen = dict(thresholds), dict(thresholds)
    each = [dict(own) for _ in eyes]  # what the other patients' eyes give each one
    gains: list[Gain] = []
    fitted: list[Region] = []
    drawn = all(eye.outlines is not None for eye in eyes)
    for region in (DISC, CUP) if drawn else (CUP,):
        tried = [lowered(own[region], -shift) for shift in SHIFTS]
        losses = np.array([eye.losses(region, chosen, tried) for eye in eyes])
        left_out = fit_without_each(losses, patients)
        gain = measured_gain(f"{region} loss", losses[:, UNMOVED], losses[range(len(eyes)), left_out], patients)
        gains.append(gain)
        if gain.shown:
            fitted.append(region)
            chosen[region] = lowered(own[region], -SHIFTS[fit_shift(losses)])
            each = [one | {region: lowered(own[region], -SHIFTS[at])} for one, at in zip(each, left_out, strict=True)]
    found = [[read_eye(eye, at) for eye, at in zip(eyes, side, strict=True)] for side in ([own] * len(eyes), each)]
    names = [name for name in found[0][0] if name not in ("ratio", "error", "spread")]
    for name in names:
        old, new = (np.array([one[name] for one in side]) for side in found)
        gains.append(measured_gain(name, old, new, patients))
    errors, spreads = ([one[name] for one in found[1]] for name in ("error", "spread"))
    interval, guarantee = site_interval(errors, spreads, before, views, coverage, bool(fitted))
    remarks = [_bias("before", found[0], patients), *([_bias("after", found[1], patients)] if fitted else [])]
    if before is not None and before.views == views:
        remarks.append(f"The bundle's own interval, for {before.coverage:.0%}: {_held(before, found[0])}.")
    if interval is not None:
        remarks.append(f"The interval from now on: mean length {_length(interval, found[1]):.2f}.")
    return SiteCalibration(chosen, tuple(fitted), interval, guarantee, tuple(gains), tuple(remarks), len(eyes))


def check_patients(patients: Sequence[str]) -> None:
    """Refuse fewer patients than an interval over them takes.

    Raises:
        ConfigurationError: So it is.
    """
    if len(set(patients)) < FEWEST:
        raise ConfigurationError(
            f"{len(patients)} eyes of {len(set(patients))} patients to calibrate with",
            f"at least {FEWEST} patients, better 10 to 50",
            "give more",
        )


def read_eye(eye: SiteEye, thresholds: Mapping[Region, float]) -> dict[str, float]:
    """One eye as `predict` would give it at these thresholds, against its reader."""
    segmented = eye.at(thresholds)
    ratio = measure(segmented.label_map, segmented.regions).vertical_cdr
    error = ratio - eye.ratio
    found = {"ratio": ratio, "error": error, "spread": segmented.spread(), "vertical ratio error": abs(error)}
    if eye.outlines is not None:
        for region in (DISC, CUP):
            masks = region_mask(segmented.label_map, region, segmented.regions), region_mask(eye.outlines, region)
            found[f"{region} Dice"] = overlap(*masks).dice
    return found


def measured_gain(name: str, before: Floats, after: Floats, patients: Sequence[str]) -> Gain:
    """Losses and errors fall, Dice rises."""
    sign = 1 if name.endswith("Dice") else -1
    gain = sign * (after - before)
    low, high = mean_interval(gain, patients)
    return Gain(name, float(np.nanmean(before)), float(np.nanmean(after)), float(np.nanmean(gain)), low, high)


def _bias(when: str, seen: Sequence[Mapping[str, float]], patients: Sequence[str]) -> str:
    errors = [one["error"] for one in seen]
    low, high = mean_interval(errors, patients)
    return f"Bias of the vertical ratio {when}: {np.nanmean(errors):+.3f} (95 % interval {low:+.3f} to {high:+.3f})."


def _held(interval: Calibration, seen: Sequence[Mapping[str, float]]) -> str:
    ends = [(one["ratio"] - one["error"], *interval.interval(one["ratio"], one["spread"])) for one in seen]
    held = sum(low <= true <= high for true, low, high in ends)
    return f"held the reader's ratio in {held} of {len(seen)} eyes, mean length {_length(interval, seen):.2f}"


def _length(interval: Calibration, seen: Sequence[Mapping[str, float]]) -> float:
    ends = np.array([interval.interval(one["ratio"], one["spread"]) for one in seen])
    return float(np.nanmean(ends[:, 1] - ends[:, 0]))


def site_interval(
    errors: Sequence[float],
    spreads: Sequence[float],
    before: Calibration | None,
    views: int,
    coverage: float,
    fitted: bool,
) -> tuple[Calibration | None, str]:
    """The interval and what it promises.

    Errors of each eye are those at thresholds that its own patient had no part in. Where no threshold was moved, that
    is split conformal prediction. Where one was, it is the jackknife, which has no guarantee of its own; jackknife+,
    from which it differs where leaving out a patient changes a ratio, has 1 - 2 (1 - coverage) (Barber et al. 2021,
    Annals of Statistics 49(1), doi 10.1214/20-AOS1965).
    """
    needed = least_photographs(coverage)
    defined = int(np.isfinite(errors).sum())
    if defined >= needed:
        promise = (
            f"about {coverage:.0%} of new eyes of this site by the jackknife (its relative jackknife+ guarantees "
            f"{max(0.0, 2 * coverage - 1):.0%})"
            if fitted
            else f"at least {coverage:.0%} of new eyes of this site, as a mean over such calibrations (split conformal)"
        )
        return calibrate(errors, spreads, views, coverage), promise
    if before is None or before.views != views:
        return None, f"no interval: {defined} eyes are too few for {coverage:.0%}, which takes {needed}"
    largest = float(np.nanmax(np.abs(errors) / (np.asarray(spreads) + FLOOR)))
    wider = replace(before, factor=max(before.factor, largest))
    return wider, (
        f"none: {defined} eyes are too few for {coverage:.0%}, which takes {needed}; it is the bundle's own, widened "
        "where an eye lay outside"
    )
