"""One picture's label map against its truth: all numbers of its row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import reduce

import numpy as np

from fundusseg.errors import ImageError
from fundusseg.imaging.roi import Box, bounds, disc_box
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.label_map import label_map_of_masks, region_mask
from fundusseg.measures.region_metrics import Mask as Mask
from fundusseg.measures.region_metrics import overlap, size_and_place, surface_distance
from fundusseg.measures.rim import clock_hours, rim_profile
from fundusseg.sample import CUP, DISC, Eye, Image, Region

LENGTHS = ("hd95", "assd", "centre_distance")
"""Metrics of a region in pixels; with ``_dd`` behind them, in diameters of the true disc."""

RATIOS = ("vertical_cdr", "horizontal_cdr", "area_cdr", "rim_min_ratio")
"""Measures of disc and cup together; with ``_true`` behind them, those of the truth."""

HOURS = tuple(f"rim_bias_{hour}" for hour in range(1, 13))
"""Found less true rim/disc ratio, mean over each clock hour, signed; of a known eye, see `fundusseg.measures.rim`."""


def vertical_cdr_error(row: Mapping[str, float]) -> float | None:
    """Absolute error of the vertical cup/disc ratio in a row of `compare`; None where disc or cup was not labelled."""
    found, true = row.get("vertical_cdr"), row.get("vertical_cdr_true")
    return None if found is None or true is None else abs(found - true)


def compare(
    labels: Image, truth: Mapping[Region, Mask], regions: Sequence[Region] = (DISC, CUP), eye: Eye | None = None
) -> dict[str, float]:
    """Every number of one picture; nothing is carried over from another.

    Args:
        labels: H x W uint8, the label map that was found.
        truth: H x W bool of each region that is labelled; a region that is not labelled is left out.
        regions: What the label map was made with.
        eye: Right (OD) or left (OS), if known.

    Returns:
        Of each labelled region: ``REGION_dice``, ``_iou``, ``_precision``, ``_recall``, ``_hd95``, ``_assd``,
        ``_centre_distance`` (pixels), ``_radii_ratio``; with a labelled disc the lengths also as ``_dd``, in diameters
        of the true disc, its longer side. Of disc and cup: `RATIOS` as found, and with both labelled as ``_true``, the
        profile's mean absolute error ``rim_error`` and `HOURS`. NaN where a number is not defined.

    Raises:
        ImageError: A truth has another size than the label map.

    The disc is found to the pixel, the cup half as high as it is:

    >>> found = np.full((100, 100), 1, np.uint8)
    >>> found[40:60, 30:70] = 2
    >>> disc, cup = np.ones((100, 100), bool), np.zeros((100, 100), bool)
    >>> cup[30:70, 30:70] = True
    >>> row = compare(found, {"disc": disc, "cup": cup})
    >>> row["disc_dice"], round(row["cup_dice"], 3), row["vertical_cdr"], row["vertical_cdr_true"]
    (1.0, 0.667, 0.2, 0.4)
    """
    labels, truth = _around(labels, truth)
    diameter = _diameter(truth[DISC]) if DISC in truth else None
    row: dict[str, float] = {}  # in the order of the table's columns
    for region in regions:
        if region in truth:
            values = _region(region_mask(labels, region, regions), truth[region], diameter)
            row |= {f"{region}_{name}": value for name, value in values.items()}
    if DISC in regions and CUP in regions:
        row |= _ratios(labels, eye, regions)
        if DISC in truth and CUP in truth:
            row |= _against(labels, label_map_of_masks(truth, (DISC, CUP)), eye)
    return row


def _around(labels: Image, truth: Mapping[Region, Mask]) -> tuple[Image, dict[Region, Mask]]:
    """Only the box around all that is marked: a disc is a small part of a photograph."""
    for region, mask in truth.items():
        if mask.shape != labels.shape:
            raise ImageError(
                f"a {region} mask of {mask.shape[1]} x {mask.shape[0]} pixels",
                f"the label map's {labels.shape[1]} x {labels.shape[0]}",
                "bring both to the photograph's size",
            )
    box = bounds(reduce(np.logical_or, truth.values(), labels > 0)) or Box(0, 0, 1, 1)
    return labels[box.slices], {region: mask[box.slices] for region, mask in truth.items()}


def _diameter(disc: Mask) -> float:
    """Longer side of a disc's box, in pixels; NaN without a disc."""
    return float(disc_box(disc, 1.0).height) if disc.any() else math.nan


def _region(found: Mask, truth: Mask, diameter: float | None) -> dict[str, float]:
    """One region's numbers."""
    values = {
        **asdict(overlap(found, truth)),
        **asdict(surface_distance(found, truth)),
        **asdict(size_and_place(found, truth)),
    }
    if diameter is not None:
        values |= {f"{name}_dd": values[name] / diameter for name in LENGTHS}
    return values


def _ratios(labels: Image, eye: Eye | None, regions: Sequence[Region] = (DISC, CUP)) -> dict[str, float]:
    """The ratios of one label map; NaN without a disc."""
    found = measure(labels, regions, eye=eye)
    return {name: getattr(found, name) for name in RATIOS}


def _against(labels: Image, truth: Image, eye: Eye | None) -> dict[str, float]:
    """The true ratios, and the rim's profile against the true one."""
    row = {f"{name}_true": value for name, value in _ratios(truth, eye).items()}
    # Averaged over an hour first: a border drawn a pixel off at one degree is no error of the rim.
    error = clock_hours(rim_profile(labels, eye).share) - clock_hours(rim_profile(truth, eye).share)
    row["rim_error"] = float(np.abs(error).mean())
    # Position 0 is 12 o'clock; of an unknown eye nobody can say which hours are nasal.
    by_hour = np.roll(error, -1) if eye else np.full(12, math.nan)
    return row | dict(zip(HOURS, by_hour.tolist(), strict=True))
