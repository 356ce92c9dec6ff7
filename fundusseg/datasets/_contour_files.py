"""Contours of experts: text files of points, and the area inside them."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusseg.errors import DatasetError
from fundusseg.imaging.polygons import fill_polygon

OUTSIDE = 3.0
"""Pixels that a contour may reach outside its picture: more is another picture's contour."""


_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def read_contour(path: str | Path) -> npt.NDArray[np.float64]:
    """Read a text file of one point a line, two numbers with a comma, semicolon or blank between them.

    Args:
        path: The file; empty lines are passed over.

    Returns:
        (N, 2) float, in the file's order and its own column order.

    Raises:
        DatasetError: There is no such file, or a line does not hold two numbers; the file and line are named.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"no contour file at {path}", "a text file of points", "restore the file")
    points = []
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        values = [value for value in re.split(r"[\s,;]+", line.strip()) if value]
        if len(values) != 2 or not all(_NUMBER.fullmatch(value) for value in values):
            raise DatasetError(
                f"{line.strip()[:40]!r} in line {number} of {path}",
                "two numbers, the point's coordinates",
                "restore the contour file from the dataset's package",
            )
        points.append([float(value) for value in values])
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def rasterise(points: npt.ArrayLike, shape: tuple[int, int], name: str = "a contour") -> npt.NDArray[np.bool_]:
    """Fill a closed contour: a pixel belongs to it when its centre lies inside (even-odd rule).

    See `fundusseg.imaging.polygons.fill_polygon`.

    Args:
        points: (N, 2) of x, y in pixels, whole numbers at pixel centres.
        shape: Height and width of the picture.
        name: What the message calls the contour: its file.

    Returns:
        H x W bool.

    Raises:
        DatasetError: Fewer than three points, a number that is not finite, a point more than ``OUTSIDE``
            pixels outside the picture, or no pixel centre enclosed.
    """
    contour = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    _check_contour(contour, shape, name)
    mask = fill_polygon(contour, shape)
    if not mask.any():
        raise DatasetError(
            f"a contour that encloses no pixel of the picture: {name}",
            "the outline of a region",
            "restore the contour from the dataset's package",
        )
    return mask


def _check_contour(contour: npt.NDArray[np.float64], shape: tuple[int, int], name: str) -> None:
    """Refuse a contour that cannot have been drawn on a picture of this shape."""
    if len(contour) < 3:
        raise DatasetError(
            f"a contour of {len(contour)} points: {name}",
            "three points or more",
            "restore the contour from the dataset's package",
        )
    height, width = shape
    low, high = np.array([-0.5, -0.5]) - OUTSIDE, np.array([width - 0.5, height - 0.5]) + OUTSIDE
    wrong = ~((contour >= low) & (contour <= high)).all(axis=1)
    if wrong.any():
        x, y = contour[np.argmax(wrong)]
        raise DatasetError(
            f"the point x {x:g}, y {y:g} in {name}",
            f"points inside the picture of {width} x {height} pixels",
            "check that the contour belongs to this picture and that the picture has its published size",
        )
