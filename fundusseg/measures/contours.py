"""Outlines of the regions on the photograph, to a part of a pixel."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from skimage.measure import find_contours

from fundusseg.errors import ImageError
from fundusseg.imaging.polygons import fill_polygon
from fundusseg.imaging.roi import bounds
from fundusseg.measures.label_map import label_map_of_masks, region_mask, threshold
from fundusseg.sample import CUP, DISC, PARENT, Region

Points: TypeAlias = npt.NDArray[np.float64]
"""(N, 2): x to the right and y downwards, whole numbers are pixel centres; the last point joins the first."""

_Plane: TypeAlias = npt.NDArray[np.float64]

_SURE = 0.5
"""How far inside or outside a pixel is where the label map says other than its probability."""


def contours(
    label_map: npt.NDArray[np.uint8],
    probabilities: npt.NDArray[np.float32] | None = None,
    regions: Sequence[Region] = (DISC, CUP),
    thresholds: Mapping[Region, float] | float = 0.5,
) -> dict[Region, Points]:
    """Trace each region's outer border.

    Marching squares (Lorensen and Cline 1987, doi 10.1145/37402.37422) on the probability less its threshold. The label
    map says which part counts: stray parts and holes are left out, and the border lies between the same pixels as in
    the map. A cup's value is never above its disc's, so its outline never leaves the disc's.

    Args:
        label_map: H x W uint8 as ``label_map.label_map`` makes it of these probabilities.
        probabilities: R x H x W, 0..1; without them the map's own pixel borders are traced, as fits a smoothed map.
        regions: The R regions' names in channel order.
        thresholds: Those that the map was made with.

    Returns:
        An outline for each region; (0, 2) where there is none.

    Raises:
        ImageError: Map and probabilities differ in size.
        ConfigurationError: A region has no threshold.

    Two pixels beside each other; the border runs half a pixel around them, its corners cut:

    >>> label_map = np.zeros((4, 5), np.uint8)
    >>> label_map[1, 1:3] = 1
    >>> as_json(contours(label_map, regions=("disc",)))
    {'disc': [[2.0, 1.5], [1.0, 1.5], [0.5, 1.0], [1.0, 0.5], [2.0, 0.5], [2.5, 1.0]]}
    """
    if probabilities is not None and probabilities.shape != (len(regions), *label_map.shape):
        raise ImageError(
            f"probabilities of shape {probabilities.shape}",
            f"{len(regions)} x {label_map.shape[0]} x {label_map.shape[1]}, as the label map",
            "give those that the map was made of",
        )
    outlines: dict[Region, Points] = {region: np.empty((0, 2)) for region in regions}
    box = bounds(label_map)
    if box is None:
        return outlines
    # A pixel of background around what is found: the border runs between the two.
    top, left = max(0, box.top - 1), max(0, box.left - 1)
    around = (slice(top, box.top + box.height + 1), slice(left, box.left + box.width + 1))
    fields: dict[Region, _Plane] = {}
    for region in sorted(regions, key=lambda region: region in PARENT):
        mask = region_mask(label_map[around], region, regions)
        excess = np.where(mask, _SURE, -_SURE)
        if probabilities is not None:
            values = np.nan_to_num(probabilities[(regions.index(region), *around)].astype(np.float64))
            excess = values - threshold(thresholds, region)
        fields[region] = _field(excess, mask, fields.get(PARENT.get(region, "")))
        outlines[region] = _outline(fields[region]) + np.array([left, top])
    return outlines


def filled(outlines: Mapping[Region, npt.ArrayLike], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The label map inside outlines of disc and cup, as a reader draws them; the way back from `contours`.

    Args:
        outlines: Of disc and cup, each (N, 2) or empty; what of a cup lies outside the disc is cut off. They may reach
            beyond the picture's edge.
        shape: Height and width of the photograph.

    Returns:
        H x W uint8; 0 background, 1 rim, 2 cup.

    Raises:
        ImageError: An outline of one or two points, of other than finite numbers, or far outside the picture.
    """
    masks: dict[Region, npt.NDArray[np.bool_]] = {}
    for region in (DISC, CUP):
        points = np.asarray(outlines.get(region, ()), np.float64).reshape(-1, 2)
        largest = max(shape)
        if 0 < len(points) < 3 or not (np.abs(points - largest / 2) <= 2 * largest).all():
            raise ImageError(
                f"an outline of the {region} with {len(points)} points, or with one far outside the picture",
                f"three points or more, in or near the picture of {shape[1]} x {shape[0]} pixels",
                "draw it on this photograph",
            )
        masks[region] = fill_polygon(points, shape)
    return label_map_of_masks(masks, (DISC, CUP))


def as_json(outlines: Mapping[Region, Points]) -> dict[str, list[list[float]]]:
    """Outlines as plain lists, ``{"disc": [[x, y], ...], "cup": [...]}``, to a hundredth of a pixel."""
    return {region: np.round(points, 2).tolist() for region, points in outlines.items()}


def _field(excess: _Plane, mask: npt.NDArray[np.bool_], parent: _Plane | None) -> _Plane:
    """A plane above 0 inside the mask and below 0 outside, nowhere above the parent's."""
    # Where the cup's probability is above the disc's, its outline would leave the disc's: the lower one rules.
    field = excess if parent is None else np.minimum(excess, parent)
    field = np.where(mask & (field <= 0), _SURE, np.where(~mask & (field >= 0), -_SURE, field))
    return field if parent is None else np.minimum(field, parent)


def _outline(field: _Plane) -> Points:
    """The longest line at level 0, closed at the picture's edge as well."""
    padded = np.pad(field, 1, constant_values=-_SURE)
    lines = find_contours(padded, 0.0, fully_connected="high")  # type: ignore[no-untyped-call]
    if not lines:
        return np.empty((0, 2))
    longest: Points = max(lines, key=len)
    return longest[:-1, ::-1] - 1
