"""One square of a photograph, as the networks saw it, back at native size."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fundusseg.imaging.roi import Box, disc_box, restore
from fundusseg.measures.contours import Points, contours
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.label_map import Smoothing, label_map, region_mask
from fundusseg.sample import DISC, Image, Region


class Look:
    """One square of one photograph, as the networks saw it.

    Args:
        image: H x W x 3 uint8, the photograph.
        box: The square.
        found: V x R x S x S probabilities of each network, V views of the square.
        thresholds: Of each of the R regions, in their order.
        smoothing: Of disc and cup, see `masks.label_map`.

    Attributes:
        labels: H x W uint8, the label map at native size; 0 outside the square.
        disc: H x W bool; of no size where the networks do not look for a disc.
    """

    def __init__(
        self,
        image: Image,
        box: Box,
        found: Sequence[npt.NDArray[np.float32]],
        thresholds: Mapping[Region, float],
        smoothing: Smoothing = "none",
    ) -> None:
        self.box, self.found, self.thresholds, self.smoothing = box, found, thresholds, smoothing
        self.regions = tuple(thresholds)
        self._inside, self._probabilities = enlarge(found, box, image.shape[:2])
        self.labels: Image = np.zeros(image.shape[:2], np.uint8)
        self.labels[self._inside] = label_map(self._probabilities, self.regions, thresholds, smoothing)
        self.disc: npt.NDArray[np.bool_] = (
            region_mask(self.labels, DISC, self.regions) if DISC in self.regions else np.zeros((0, 0), np.bool_)
        )

    def centred(self, scale: float) -> Box:
        """The square that training would have cut around this disc."""
        return disc_box(self.disc, scale)

    def outlines(self) -> dict[Region, Points]:
        """Outline of each region in pixels of the photograph, to a part of a pixel where nothing is smoothed."""
        values = self._probabilities if self.smoothing == "none" else None
        found = contours(self.labels[self._inside], values, self.regions, self.thresholds)
        rows, columns = self._inside
        return {region: points + np.array([columns.start, rows.start]) for region, points in found.items()}

    def circle(self) -> tuple[float, float, float]:
        """Row and column of the disc's centre, and its longer side."""
        around = disc_box(self.disc, 1.0)
        return around.top + around.height / 2, around.left + around.width / 2, float(around.height)

    def cut_by_edge(self) -> bool:
        """Whether the disc reaches the picture's own edge."""
        disc = self.disc
        return bool(disc[0].any() or disc[-1].any() or disc[:, 0].any() or disc[:, -1].any())

    def spread(self) -> float:
        """Standard deviation of the vertical ratio over views and networks; NaN for one."""
        maps = [label_map(view, self.regions, self.thresholds) for views in self.found for view in views]
        ratios = [measure(labels, self.regions).vertical_cdr for labels in maps]
        return float(np.std(ratios, ddof=1)) if len(ratios) > 1 else math.nan


def enlarge(
    found: Sequence[npt.NDArray[np.float32]], box: Box, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], npt.NDArray[np.float32]]:
    """Bring a square to native size; of a photograph, which is many times larger, nothing else.

    Args:
        found: V x R x S x S probabilities of each network.
        box: The square.
        shape: Height and width of the photograph.

    Returns:
        Rows and columns of the square that lie in the photograph, and there the mean of all networks and views, R x
        rows x columns.
    """
    height, width = shape
    top, left = min(max(0, box.top), height - 1), min(max(0, box.left), width - 1)
    bottom, right = max(top + 1, min(height, box.top + box.height)), max(left + 1, min(width, box.left + box.width))
    moved, inside = Box(box.top - top, box.left - left, box.height, box.width), (slice(top, bottom), slice(left, right))
    return inside, _mean(found, moved, (bottom - top, right - left))


def _mean(found: Sequence[npt.NDArray[np.float32]], box: Box, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Mean of all networks and views, R x H x W.

    Networks of one size are averaged before they are enlarged, which is the same: a photograph of 60 megapixels takes
    half a gigabyte for each copy.
    """
    sums: dict[int, npt.NDArray[np.float32]] = {}
    for views in found:
        share = views.mean(axis=0) / np.float32(len(found))
        size = share.shape[-1]
        sums[size] = sums[size] + share if size in sums else share
    first, *others = sums.values()
    mean = restore(first, box, shape)
    for other in others:
        mean += restore(other, box, shape)
    return mean
