"""A mask's form: its parts, what they enclose, and their convex hull."""

from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.imaging.roi import Box

LARGE_PART = 0.1
"""Area over the largest part's from which another part is no speck."""


class MaskShape:
    """A mask's form, of its box alone: a disc is a small part of a photograph.

    Args:
        mask: H x W bool, with something marked.
    """

    def __init__(self, mask: npt.NDArray[np.bool_]) -> None:
        self.mask = np.ascontiguousarray(mask).view(np.uint8)
        left, top, width, height = cv2.boundingRect(self.mask)
        self.box = Box(top, left, height, width)
        self.part = self.mask[self.box.slices]
        self.area = cv2.countNonZero(self.part)

    @cached_property
    def _outlines(self) -> list[npt.NDArray[np.int32]]:
        """Outline of each part, the largest first; a part in another's hole has none of its own."""
        found, _ = cv2.findContours(self.part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return sorted((np.asarray(one) for one in found), key=_enclosed, reverse=True)

    @cached_property
    def _large(self) -> list[npt.NDArray[np.int32]]:
        return [one for one in self._outlines if _enclosed(one) >= LARGE_PART * _enclosed(self._outlines[0])]

    @property
    def specks(self) -> int:
        """How many parts are not large."""
        return len(self._outlines) - self.count

    @property
    def count(self) -> int:
        """How many parts are large."""
        return len(self._large)

    @cached_property
    def large(self) -> npt.NDArray[np.uint8]:
        """The large parts in the box, 0 or 1."""
        if not self.specks:
            return self.part
        return self.part & np.asarray(cv2.drawContours(np.zeros_like(self.part), self._large, -1, 1, cv2.FILLED))

    @property
    def grown(self) -> float:
        """Longer side of the whole box over that of the large parts."""
        _, _, width, height = cv2.boundingRect(np.concatenate(self._large))
        return max(self.box.height, self.box.width) / max(height, width)

    @property
    def filled(self) -> float:
        """Pixels within the outlines of the large parts."""
        return sum(map(_enclosed, self._large))

    @cached_property
    def hull(self) -> npt.NDArray[np.uint8]:
        """Convex hull of the large parts, in the box, 0 or 1."""
        corners = cv2.convexHull(np.concatenate(self._large))
        return np.asarray(cv2.fillConvexPoly(np.zeros_like(self.part), corners, 1), np.uint8)

    @property
    def solidity(self) -> float:
        """Share of the hull that is marked."""
        return cv2.countNonZero(self.large) / cv2.countNonZero(self.hull)

    @property
    def solidity_of_parts(self) -> float:
        """Share of the large parts' own hulls that they enclose: two parts may lie far apart."""
        hulls = [cv2.convexHull(one) for one in self._large]
        # As in `_enclosed`: OpenCV's area runs through pixel centres, half a pixel short all around.
        return self.filled / sum(cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1 for hull in hulls)

    @property
    def hole(self) -> float:
        """Share of the filled outline that is not marked."""
        return max(0.0, 1 - cv2.countNonZero(self.large) / self.filled)

    def border(self) -> float:
        """Share of the picture's border that is marked."""
        height, width = self.mask.shape
        # Most masks touch no border, and their box tells that without a look at pixels.
        inside = self.box.top > 0 and self.box.left > 0
        if inside and self.box.top + self.box.height < height and self.box.left + self.box.width < width:
            return 0.0
        return float(np.concatenate([self.mask[0], self.mask[-1], self.mask[:, 0], self.mask[:, -1]]).mean())


def _enclosed(outline: npt.NDArray[np.int32]) -> float:
    """Pixels on and within an outline: by Pick's theorem, as it runs through pixels' centres."""
    return cv2.contourArea(outline) + len(outline) / 2 + 1 if len(outline) > 1 else 1.0
