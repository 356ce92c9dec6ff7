"""A rotated ellipse: its mask at pixel centres and its extents in closed form."""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Plane: TypeAlias = npt.NDArray[np.float32]
"""One number for each pixel."""


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A rotated ellipse; whole numbers are pixel centres.

    Attributes:
        x: Centre to the right, in pixels.
        y: Centre downwards, in pixels.
        a: Semi-axis along the angle, in pixels.
        b: Semi-axis across it, in pixels.
        angle: From the x axis towards the y axis, in radians.
    """

    x: float
    y: float
    a: float
    b: float
    angle: float

    @property
    def half_height(self) -> float:
        """Half of the vertical extent: sqrt(a^2 sin^2 + b^2 cos^2)."""
        return float(np.hypot(self.a * np.sin(self.angle), self.b * np.cos(self.angle)))

    @property
    def half_width(self) -> float:
        """Half of the horizontal extent: sqrt(a^2 cos^2 + b^2 sin^2)."""
        return float(np.hypot(self.a * np.cos(self.angle), self.b * np.sin(self.angle)))

    @property
    def area(self) -> float:
        """Pi a b, in square pixels."""
        return float(np.pi * self.a * self.b)

    def radius(self, y: Plane, x: Plane) -> Plane:
        """Distance of pixels from the centre, 1 on the ellipse's line.

        Args:
            y: Rows, (H, 1).
            x: Columns, (1, W).

        Returns:
            (H, W) float32.
        """
        x, y = x - np.float32(self.x), y - np.float32(self.y)
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        return np.asarray(
            cv2.magnitude((x * cos + y * sin) / np.float32(self.a), (y * cos - x * sin) / np.float32(self.b)),
            dtype=np.float32,
        )

    def mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Pixels whose centre lies inside or on the line: H x W bool."""
        return self.radius(*grid(shape)) <= 1.0


def grid(shape: tuple[int, ...]) -> tuple[Plane, Plane]:
    """Rows (H, 1) and columns (1, W) of a picture."""
    return (
        np.arange(shape[0], dtype=np.float32)[:, None],
        np.arange(shape[1], dtype=np.float32)[None, :],
    )
