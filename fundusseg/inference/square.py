"""What the networks say of one square that is already chosen: probabilities in several views, combined at native size.

Which square that is decides `fundusseg.inference.predictor.Predictor.segment`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fundusseg.imaging.roi import Box, disc_box, restore
from fundusseg.measures.contours import Points, contours
from fundusseg.measures.cup_disc import vertical_ratio
from fundusseg.measures.label_map import Smoothing, label_map, region_mask
from fundusseg.sample import DISC, Image, Region

Views = Sequence[npt.NDArray[np.float32]]
"""Of each network, V x R x S x S probabilities: V views of one square, each turned back upright."""


@dataclass(frozen=True, eq=False)
class SegmentedSquare:
    """One square of one photograph, segmented.

    Attributes:
        square: The square, in pixels of the photograph; it may reach outside.
        views: What the networks said.
        thresholds: Of each of the R regions, in their order.
        smoothing: Of disc and cup, see `fundusseg.measures.label_map`.
        inside: Rows and columns of the square's part that lies in the photograph.
        probabilities: R x rows x columns float32 there, the mean of all networks and views.
        label_map: H x W uint8 at native size; 0 outside the square.
    """

    square: Box
    views: Views
    thresholds: Mapping[Region, float]
    smoothing: Smoothing
    inside: tuple[slice, slice]
    probabilities: npt.NDArray[np.float32]
    label_map: Image

    @property
    def regions(self) -> tuple[Region, ...]:
        """Names of the channels."""
        return tuple(self.thresholds)

    @cached_property
    def disc(self) -> npt.NDArray[np.bool_]:
        """H x W, the cup included; of no size where the networks do not look for a disc."""
        if DISC not in self.regions:
            return np.zeros((0, 0), np.bool_)
        disc = np.zeros(self.label_map.shape, np.bool_)
        disc[self.inside] = region_mask(self.label_map[self.inside], DISC, self.regions)
        return disc

    @cached_property
    def has_disc(self) -> bool:
        """Whether there is any."""
        return bool(self.disc.any())

    def outlines(self) -> dict[Region, Points]:
        """Outline of each region in pixels of the photograph, to a part of a pixel where nothing is smoothed."""
        values = self.probabilities if self.smoothing == "none" else None
        found = contours(self.label_map[self.inside], values, self.regions, self.thresholds)
        # Points are x and y, the slices rows and columns: the other way round.
        rows, columns = self.inside
        return {region: points + np.array([columns.start, rows.start]) for region, points in found.items()}

    @cached_property
    def disc_circle(self) -> tuple[float, float, float]:
        """Row and column of the disc's centre, and its longer side; of a square with a disc."""
        around = disc_box(self.disc, 1.0)
        return around.top + around.height / 2, around.left + around.width / 2, float(around.height)

    def disc_touches_edge(self) -> bool:
        """Whether the disc reaches the picture's own edge."""
        disc = self.disc
        return bool(disc[0].any() or disc[-1].any() or disc[:, 0].any() or disc[:, -1].any())

    def spread(self) -> float:
        """Standard deviation of the vertical ratio over views and networks; NaN for one."""
        if sum(map(len, self.views)) < 2:
            return math.nan
        # On the square's own S x S pixels: at native size each view would cost a whole photograph's.
        maps = [label_map(view, self.regions, self.thresholds) for views in self.views for view in views]
        return float(np.std([vertical_ratio(labels, self.regions) for labels in maps], ddof=1))


def segmented_square(
    square: Box, views: Views, shape: tuple[int, int], thresholds: Mapping[Region, float], smoothing: Smoothing = "none"
) -> SegmentedSquare:
    """Combine the views at native size and draw the label map.

    Args:
        square: What the networks saw.
        views: What they said.
        shape: Height and width of the photograph.
        thresholds: Of each of the R regions, in their order.
        smoothing: Of disc and cup.
    """
    inside, probabilities = combine(views, square, shape)
    labels: Image = np.zeros(shape, np.uint8)
    labels[inside] = label_map(probabilities, tuple(thresholds), thresholds, smoothing)
    return SegmentedSquare(square, views, thresholds, smoothing, inside, probabilities, labels)


def combine(views: Views, square: Box, shape: tuple[int, int]) -> tuple[tuple[slice, slice], npt.NDArray[np.float32]]:
    """Bring a square to native size; of a photograph, which is many times larger, nothing else.

    Args:
        views: What the networks said of the square.
        square: The square.
        shape: Height and width of the photograph.

    Returns:
        Rows and columns of the square that lie in the photograph, and there the mean of all networks and views, R x
        rows x columns.
    """
    height, width = shape
    # A square beside the photograph keeps one row and column of it, so that no array is empty.
    top, left = min(max(0, square.top), height - 1), min(max(0, square.left), width - 1)
    bottom = max(top + 1, min(height, square.top + square.height))
    right = max(left + 1, min(width, square.left + square.width))
    moved = Box(square.top - top, square.left - left, square.height, square.width)
    return (slice(top, bottom), slice(left, right)), _mean(views, moved, (bottom - top, right - left))


def _mean(views: Views, square: Box, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Mean of all networks and views, R x H x W.

    Networks of one size are averaged before they are enlarged, which is the same: a photograph of 60 megapixels takes
    half a gigabyte for each copy.
    """
    sums: dict[int, npt.NDArray[np.float32]] = {}
    for of_network in views:
        share = of_network.mean(axis=0) / np.float32(len(views))
        size = share.shape[-1]
        sums[size] = sums[size] + share if size in sums else share
    first, *others = sums.values()
    mean = restore(first, square, shape)
    for other in others:
        mean += restore(other, square, shape)
    return mean
