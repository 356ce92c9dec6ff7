"""From probabilities to a nested label map: one disc, one cup inside it, no holes."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fundusseg.errors import ConfigurationError, nearest
from fundusseg.imaging.roi import bounds
from fundusseg.measures.moments import moments
from fundusseg.sample import CUP, DISC, PARENT, Region

Smoothing: TypeAlias = Literal["none", "ellipse", "convex"]

_ANATOMY = {DISC: 1, CUP: 2}
"""Codes with a fixed meaning: 1 is the rim (disc without cup), 2 the cup."""

_TOUCHING = np.ones((3, 3), dtype=bool)
"""Pixels that meet at a corner belong together; background must not then, or a thin ring has no inside."""


def codes(regions: Sequence[Region]) -> dict[Region, int]:
    """The label map's code for each region.

    Args:
        regions: Names in channel order.

    Returns:
        disc 1 and cup 2, further regions 3, 4, ... in order; without disc and cup 1, 2, ... in order.
    """
    first = len(_ANATOMY) + 1 if set(regions) & set(_ANATOMY) else 1
    others = [region for region in regions if region not in _ANATOMY]
    numbered = {region: first + position for position, region in enumerate(others)}
    # In the order of the channels, whatever the numbers: writers of files list the regions by it.
    return {region: _ANATOMY[region] if region in _ANATOMY else numbered[region] for region in regions}


def label_map(
    probabilities: npt.NDArray[np.float32],
    regions: Sequence[Region],
    thresholds: Mapping[Region, float] | float = 0.5,
    smoothing: Smoothing = "none",
) -> npt.NDArray[np.uint8]:
    """Turn each region's probabilities into one area, and all areas into one map.

    The disc is where its probability exceeds its threshold, of that the largest connected part, with holes filled,
    then smoothed. The cup is looked for among the finished disc's pixels only, in the same way. So a cup never leaves
    its disc. Any other region is all that exceeds its threshold: a membrane is a wall around holes, a sclera has two
    parts.

    Args:
        probabilities: R x H x W, 0..1.
        regions: The R regions' names in channel order.
        thresholds: One for all regions, or one for each by name.
        smoothing: ``none``; ``convex``: the smallest convex area around disc and cup each; ``ellipse``: the ellipse of
            the area's own centre and second moments, of the cup what lies inside the disc.

    Returns:
        H x W uint8: 0 background, otherwise ``codes(regions)``. Where regions overlap that are not nested by
        anatomy, the later one is shown.

    Raises:
        ConfigurationError: Regions, channels and thresholds do not fit each other, or the smoothing is unknown.

    The hole in the disc is filled, and the cup ends where its disc does:

    >>> probabilities = np.zeros((2, 5, 7), np.float32)
    >>> probabilities[0, 1:4, 1:6] = 0.9
    >>> probabilities[0, 2, 3] = 0.1
    >>> probabilities[1, 2, 2:7] = 0.8
    >>> label_map(probabilities, ("disc", "cup"))[1:4].tolist()
    [[0, 1, 1, 1, 1, 1, 0], [0, 1, 2, 2, 2, 2, 0], [0, 1, 1, 1, 1, 1, 0]]
    """
    if smoothing not in get_args(Smoothing):
        choices = get_args(Smoothing)
        raise ConfigurationError(f"smoothing {smoothing!r}", f"{nearest(smoothing, choices)}", "take one of these")
    if probabilities.ndim != 3 or probabilities.shape[0] != len(regions):
        raise ConfigurationError(
            f"probabilities of shape {probabilities.shape} for the regions {', '.join(regions)}",
            f"{len(regions)} x height x width",
            "name one region for each channel of the model",
        )
    areas: dict[Region, npt.NDArray[np.bool_]] = {}
    labels = np.zeros(probabilities.shape[1:], np.uint8)
    numbers = codes(regions)
    # A child needs its parent's finished area, and is drawn over it.
    for region in sorted(regions, key=lambda region: region in PARENT):
        area = probabilities[regions.index(region)] > threshold(thresholds, region)
        parent = areas.get(PARENT.get(region, ""))
        if region in _ANATOMY:
            area = _one_area(area if parent is None else area & parent)
            if smoothing != "none":
                area = _smooth(area, parent, smoothing)
        areas[region] = area
        labels[area] = numbers[region]
    return labels


def label_map_of_masks(
    masks: Mapping[Region, npt.NDArray[np.bool_]], regions: Sequence[Region]
) -> npt.NDArray[np.uint8]:
    """Label map of given masks, as a model's would be: a child only where its parent is, and drawn over it.

    Args:
        masks: H x W bool of some of the regions, at least one.
        regions: The R regions' names in channel order, which decide the codes.

    Returns:
        H x W uint8: 0 background, otherwise ``codes(regions)``. A child whose parent is not given is drawn whole.

    >>> disc = np.array([[False, True, True, True, False]])
    >>> cup = np.array([[False, False, True, True, True]])
    >>> label_map_of_masks({"disc": disc, "cup": cup}, ("disc", "cup")).tolist()
    [[0, 1, 2, 2, 0]]
    """
    labels = np.zeros(next(iter(masks.values())).shape, np.uint8)
    numbers = codes(regions)
    for region in sorted(set(regions) & set(masks), key=lambda region: (region in PARENT, regions.index(region))):
        parent = masks.get(PARENT.get(region, ""))
        labels[masks[region] if parent is None else masks[region] & parent] = numbers[region]
    return labels


def region_mask(
    label_map: npt.NDArray[np.uint8], region: Region, regions: Sequence[Region] = (DISC, CUP)
) -> npt.NDArray[np.bool_]:
    """Where a region is, its children included: the disc is rim and cup together.

    Args:
        label_map: H x W uint8 as ``label_map`` makes it.
        region: What to look for.
        regions: The regions that the map was made with.

    Returns:
        H x W bool.

    Raises:
        ConfigurationError: The map was made without this region.
    """
    numbers = codes(regions)
    if region not in numbers:
        raise ConfigurationError(
            f"the region {region!r}",
            f"one of {', '.join(regions)}",
            "ask for a region that the model predicts",
        )
    mask: npt.NDArray[np.bool_] = label_map == numbers[region]
    for child in regions:
        if PARENT.get(child) == region:
            mask |= label_map == numbers[child]
    return mask


def threshold(thresholds: Mapping[Region, float] | float, region: Region) -> float:
    """The threshold of one region.

    Raises:
        ConfigurationError: Thresholds are given by name, and not for this region.
    """
    if not isinstance(thresholds, Mapping):
        return thresholds
    if region not in thresholds:
        raise ConfigurationError(
            f"thresholds for {', '.join(thresholds) or 'no region'}",
            f"one for {region!r} as well",
            f"add a threshold for {region!r}, or give one number for all",
        )
    return thresholds[region]


def _smooth(
    mask: npt.NDArray[np.bool_], parent: npt.NDArray[np.bool_] | None, smoothing: Smoothing
) -> npt.NDArray[np.bool_]:
    """A smoother area instead of one area, still one inside its parent; empty stays empty."""
    if not mask.any():
        return mask
    smooth = _convex_hull(mask) if smoothing == "convex" else moments(mask).ellipse(mask.shape)
    # What is cut off at the parent's border may be a part of its own.
    return _one_area(smooth if parent is None else smooth & parent)


def _convex_hull(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels whose centre lies in the convex hull of an area's pixel centres; the area is one part."""
    from skimage.morphology import convex_hull_image  # scikit-image's morphology takes long to load, and few smooth

    points = np.argwhere(mask)
    # Of a straight line of pixels scikit-image gives none; it is its own hull.
    if np.linalg.matrix_rank(points - points[0]) < 2:
        return mask
    rows, columns = (slice(low, high + 1) for low, high in zip(points.min(0), points.max(0), strict=True))
    hull = np.zeros_like(mask)
    # Only the box is looked at, as every pixel of it is tried.
    hull[rows, columns] = convex_hull_image(mask[rows, columns], offset_coordinates=False)  # type: ignore[no-untyped-call]
    return hull


def _one_area(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest connected part, the first of equals, its holes filled; empty stays empty."""
    area = np.zeros_like(mask)
    box = bounds(mask)
    if box is None:
        return area
    # Only the box around it is labelled: a disc is a small part of a photograph.
    parts, _ = ndimage.label(mask[box.slices], structure=_TOUCHING)
    largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    background, _ = ndimage.label(np.pad(parts != largest, 1, constant_values=True))
    area[box.slices] = (background != background[0, 0])[1:-1, 1:-1]
    return area
