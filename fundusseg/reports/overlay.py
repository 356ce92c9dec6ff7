"""Pictures for people: contours on the photograph, and several pictures side by side."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.errors import ImageError
from fundusseg.imaging.roi import bounds
from fundusseg.measures.label_map import region_mask
from fundusseg.sample import CUP, DISC, Image, Region

DISC_COLOUR = (0, 170, 255)
"""Predicted disc, and any region but the cup, RGB: every common colour blindness keeps blue apart from orange."""

CUP_COLOUR = (190, 255, 60)
"""Predicted cup, RGB: a yellow-green far lighter than the disc's blue, lightness alone tells them apart."""

TRUTH_COLOUR = (255, 255, 255)
"""The experts' contours, RGB."""

_SHADE = 0.5
"""What is left of the light beside a line: the edge beneath stays visible, a light line stands out on a pale cup."""

_GAP_COLOUR = 64


def overlay(
    image: Image,
    label_map: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.uint8] | None = None,
    regions: Sequence[Region] = (DISC, CUP),
    line: int = 1,
) -> npt.NDArray[np.uint8]:
    """Draw the contours of the regions, by default disc and cup.

    A line is one pixel wide with a half dark pixel on each side, whatever the picture's size: a reader judges the edge
    beneath it. The experts' contours are drawn first and wider, so that they stay visible as a rim where both agree.

    Args:
        image: H x W x 3 uint8 RGB.
        label_map: H x W, predicted; 0 background, 1 rim, 2 cup.
        truth: H x W, the experts'; same codes.
        regions: What the maps were made with.
        line: Thickness as OpenCV draws it: 1 is one pixel, 2 is three, for a picture that will be shrunk.

    Returns:
        H x W x 3 uint8 RGB, a new picture.

    Raises:
        ImageError: Map and picture differ in size.
    """
    for labels in (label_map,) if truth is None else (label_map, truth):
        if labels.shape != image.shape[:2]:
            raise ImageError(
                f"a label map of {labels.shape[1]} x {labels.shape[0]} pixels",
                f"the picture's own {image.shape[1]} x {image.shape[0]}",
                "bring the label map to the picture's size",
            )
    canvas = np.array(image, order="C")
    # Lines reach a few pixels beyond what they are drawn around; the rest of a photograph is many times larger.
    around = _around([label_map] if truth is None else [label_map, truth], 2 * line + 4)
    if around is None:
        return canvas
    drawn, labels = np.ascontiguousarray(canvas[around]), label_map[around]
    shade = np.zeros(labels.shape, np.uint8)
    for region in regions:
        _contour(shade, region_mask(labels, region, regions), (255,), line)
    beside = cv2.dilate(shade, np.ones((3, 3), np.uint8)) > 0
    drawn[beside] = (drawn[beside] * _SHADE).astype(np.uint8)
    if truth is not None:
        for region in regions:
            _contour(drawn, region_mask(truth[around], region, regions), TRUTH_COLOUR, line + 1)
    for region in regions:
        colour = CUP_COLOUR if region == CUP else DISC_COLOUR
        _contour(drawn, region_mask(labels, region, regions), colour, line)
    canvas[around] = drawn
    return canvas


def _around(maps: Sequence[npt.NDArray[np.uint8]], margin: int) -> tuple[slice, slice] | None:
    """Rows and columns of all that is not 0 in the maps, and a margin; None where all is."""
    boxes = [box for box in map(bounds, maps) if box is not None]
    if not boxes:
        return None
    top, left = (min(getattr(box, side) for box in boxes) - margin for side in ("top", "left"))
    bottom, right = max(box.top + box.height for box in boxes), max(box.left + box.width for box in boxes)
    return slice(max(0, top), bottom + margin), slice(max(0, left), right + margin)


def enlarge(pixels: Image, times: int) -> Image:
    """Repeat every pixel, so that contours do not cover a small picture.

    Args:
        pixels: H x W or H x W x C uint8.
        times: How often, at least 1.
    """
    return np.ascontiguousarray(pixels.repeat(times, 0).repeat(times, 1))


def panel(pictures: Sequence[Image], columns: int) -> npt.NDArray[np.uint8]:
    """Lay pictures out in a grid, row by row, with a thin grey gap.

    Args:
        pictures: One or more H x W x 3 uint8 of one size.
        columns: Pictures in a row, at least 1; a short last row is filled with the gap's grey.

    Returns:
        The grid, uint8 RGB.

    Raises:
        ImageError: There is no picture, or they differ in size.
    """
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) != 1 or columns < 1:
        raise ImageError(
            f"{len(pictures)} pictures of the shapes {shapes} for {columns} columns",
            "one or more pictures of one size, and one or more columns",
            "bring them to one size first",
        )
    height, width, _ = shapes[0]
    gap = max(1, width // 100)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    grid = np.full(shape, _GAP_COLOUR, np.uint8)
    for position, picture in enumerate(pictures):
        row, column = divmod(position, columns)
        top, left = row * (height + gap), column * (width + gap)
        grid[top : top + height, left : left + width] = picture
    return grid


def _contour(canvas: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], colour: tuple[int, ...], line: int) -> None:
    """Draw a mask's outlines into the canvas."""
    # RETR_LIST: of holes too, so that pixels that are missing inside are seen.
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, outlines, -1, colour, line)
