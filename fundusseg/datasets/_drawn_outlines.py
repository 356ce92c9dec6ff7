"""Outlines that were drawn with a pen on copies of a photograph: found by the difference, filled to disc and cup."""

from itertools import product
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fundusseg.errors import DatasetError
from fundusseg.sample import Image

Mask: TypeAlias = npt.NDArray[np.bool_]

FAINTEST = 24
"""Grey levels that a pen must differ from the photograph: less is what JPEG compression does by itself."""

SHARE_OF_LINE = 0.0003
"""Share of the pixels that two outlines cover at least: of a disc 160 pixels wide in 1440 x 960, one pixel thick."""

SHARES_OF_STRENGTH = (1 / 3, 2 / 3, 1 / 5)
"""Share of the pen's strength from which a pixel counts as line; the next where one finds no two closed lines.

More for lines so close that their edges run together, less for a thin line that compression has broken.
"""

GAPS = (0, 1, 2, 3, 5, 8)
"""Half widths in pixels of the gaps that are closed, tried in this order: as little as makes both outlines closed."""

WIDEST_GAP = 0.05
"""Share of the disc's width that a gap may have: closing a wider one would close the rim too."""

SMALLEST_AREA = 0.01
"""Share of the enclosed pixels that an area must have: smaller ones are loops of the pen, not rim or cup."""

MOST = 2 / 3
"""Share of a cup that lies within the hull of its rim; of two areas side by side, next to nothing does."""

_OUTSIDE, _RIM, _CUP, _LINE = 0, 1, 2, 3


def disc_and_cup(plain: Image, drawn: Image) -> tuple[Mask, Mask]:
    """Recover the two areas that a reader outlined.

    A pixel of the line belongs to the area that lies nearest, so the border runs along the middle of the line, however
    wide the pen was and however far JPEG compression spread its colour.

    Args:
        plain: H x W x 3, the photograph.
        drawn: H x W x 3, its copy with two closed lines, one inside the other.

    Returns:
        Disc and cup, H x W bool; the disc includes the cup.

    Raises:
        DatasetError: The two differ in size, or there are no two closed lines, one inside the other.
    """
    if plain.shape != drawn.shape:
        raise DatasetError(
            f"a copy of {drawn.shape[1]} x {drawn.shape[0]} pixels",
            f"the photograph's {plain.shape[1]} x {plain.shape[0]}",
            "restore the copy from the dataset's package",
        )
    # H x W: of the three channels the one in which the pen shows best, whatever its colour.
    difference = cv2.absdiff(plain, drawn).max(axis=2)
    strength = _strength(difference)
    # Every share before the next gap: closing moves the border more than a fainter line does.
    for gap, share in product(GAPS, SHARES_OF_STRENGTH):
        lines, window = _pieces(difference >= strength * share)
        if 2 * gap > WIDEST_GAP * min(lines[window].shape):
            continue
        areas = _areas(_close(lines[window], gap))
        if areas is not None:
            disc, cup = np.zeros((2, *difference.shape), dtype=np.bool_)
            disc[window], cup[window] = areas != _OUTSIDE, areas == _CUP
            return disc, cup
    raise DatasetError(
        "no two closed lines, one inside the other",
        "the outlines of disc and cup",
        "leave this reader out, or restore the copy from the dataset's package",
    )


def _strength(difference: Image) -> int:
    """Grey levels by which the pen differs from the photograph where it shows best."""
    rank = max(100, int(SHARE_OF_LINE * difference.size))
    strength = int(np.partition(difference, -rank, axis=None)[-rank])
    if strength < FAINTEST:
        raise DatasetError(
            f"a copy that differs from its photograph by {strength} grey levels at most",
            "lines drawn on it",
            "leave this reader out, or restore the copy from the dataset's package",
        )
    return strength


def _pieces(lines: Mask) -> tuple[Mask, tuple[slice, slice]]:
    """The pieces of line without the specks that compression leaves, and the window around them."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(lines.astype(np.uint8), connectivity=8)
    extent = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    keep = extent >= extent[1:].max() / 20
    # Part 0 is what is no line.
    keep[0] = False
    left, top = stats[keep, cv2.CC_STAT_LEFT], stats[keep, cv2.CC_STAT_TOP]
    right, bottom = left + stats[keep, cv2.CC_STAT_WIDTH], top + stats[keep, cv2.CC_STAT_HEIGHT]
    # A pixel of the outside all around, by which it is known as such.
    window = slice(max(0, top.min() - 1), bottom.max() + 1), slice(max(0, left.min() - 1), right.max() + 1)
    return keep[pieces], window


def _close(lines: Mask, gap: int) -> Mask:
    """Join pieces of line that lie up to twice ``gap`` pixels apart."""
    if gap == 0:
        return lines
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 1, 2 * gap + 1))
    padded = cv2.copyMakeBorder(lines.astype(np.uint8), gap, gap, gap, gap, cv2.BORDER_CONSTANT, value=0)
    closed: Mask = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, pen)[gap:-gap, gap:-gap] > 0
    return closed


def _areas(lines: Mask) -> npt.NDArray[np.uint8] | None:
    """Outside, rim and cup between closed lines, H x W; None where the lines do not part the picture so."""
    # Lines hold together over corners, so areas must not.
    _, found_parts, stats, _ = cv2.connectedComponentsWithStats((~lines).astype(np.uint8), connectivity=4)
    parts = np.asarray(found_parts)
    size = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    outside = _along_border(parts)
    size[[0, *outside]] = 0
    found = np.flatnonzero(size > SMALLEST_AREA * size.sum())
    if len(found) != 2:
        return None
    rim, cup = found if _surrounds(parts == found[0], parts == found[1]) else found[::-1]
    if not _surrounds(parts == rim, parts == cup):
        return None
    meaning = np.full(len(size), _LINE, np.uint8)
    meaning[[part for part in outside if part]] = _OUTSIDE
    meaning[rim], meaning[cup] = _RIM, _CUP
    areas: npt.NDArray[np.uint8] = meaning[parts]
    nearest = ndimage.distance_transform_edt(areas == _LINE, return_distances=False, return_indices=True)
    return np.asarray(areas[tuple(nearest)])


def _along_border(parts: npt.NDArray[Any]) -> list[int]:
    """Numbers of the parts that reach the border."""
    return [int(part) for part in np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))]


def _surrounds(rim: Mask, cup: Mask) -> bool:
    """Whether most of the second area lies within the hull of the first: where the lines touch, a rim is open."""
    hull = np.zeros(rim.shape, np.uint8)
    points = np.argwhere(rim)[:, ::-1].astype(np.int32)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return float(hull[cup].mean()) > MOST
