"""What experts drew: contour files to masks, and several masks of one region to one target.

A contour's coordinates are x to the right and y down in pixels, and whole numbers are pixel centres: the
pixel in row r and column c has its centre at x = c, y = r, and the picture reaches from -0.5 to width - 0.5.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.sample import Annotation, Image

METHODS = ("majority", "mean", "intersection", "union", "staple")
"""Ways to fuse several experts; an expert's own name is another."""

NESTED = re.compile(r"agree\d+")
"""Names of masks "at least k experts agree", cut from a published soft map: they are no experts of their own."""

OUTSIDE = 3.0
"""Pixels that a contour may reach outside its picture: more is another picture's contour."""

_BLACK, _WHITE = np.uint8(0), np.uint8(255)
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

    A centre exactly on the contour belongs to the side at its right or below, so that regions side by side
    share no pixel. The last point is joined to the first.

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
    height, width = shape
    (x0, y0), (x1, y1) = contour.T, np.roll(contour, -1, axis=0).T
    rows = np.arange(height)[:, None]
    row, edge = np.nonzero((np.minimum(y0, y1) <= rows) & (rows < np.maximum(y0, y1)))
    crossing = x0[edge] + (row - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    # A pixel is inside when an odd number of edges cross its row at or left of its centre.
    crossings = np.zeros((height, width + 1), dtype=np.int32)
    np.add.at(crossings, (row, np.clip(np.ceil(crossing), 0, width).astype(np.intp)), 1)
    mask: npt.NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :width] % 2 == 1
    if not mask.any():
        raise DatasetError(
            f"a contour that encloses no pixel of the picture: {name}",
            "the outline of a region",
            "restore the contour from the dataset's package",
        )
    return mask


def fuse(annotations: Sequence[Annotation], method: str) -> Image:
    """Make one target of several experts' masks of one region.

    Args:
        annotations: One region's annotations of one picture, at least one, all of the same size.
        method: ``majority`` (at least half of the experts: how DRISHTI-GS's soft map, whose code for two of four
            is 128, is commonly cut), ``mean`` (the share of the experts, 255 for all, rounded so that exactly half
            gives 128 and ``target > 127`` is the majority), ``intersection`` (all), ``union`` (any), ``staple``
            (see ``staple``), or one expert's name.

    Returns:
        H x W uint8, 0..255 for 0..1.

    Raises:
        ConfigurationError: There is no such method or expert, or STAPLE is asked for masks that are not of
            independent experts.
    """
    experts = {annotation.expert: annotation.mask for annotation in annotations}
    if method not in METHODS and method not in experts:
        raise ConfigurationError(
            f"{method!r} as the way to fuse the experts' masks of the {annotations[0].region}",
            f"one of {', '.join(METHODS)}, or one of the experts {', '.join(experts)}",
            "choose one of these",
        )
    if method not in METHODS:
        return np.where(experts[method], _WHITE, _BLACK)
    if method == "staple":
        return staple(annotations)
    total = len(annotations)
    count = np.sum([annotation.mask for annotation in annotations], axis=0, dtype=np.uint16)
    if method == "mean":
        share: Image = np.floor_divide(count * np.uint32(510) + np.uint32(total), 2 * total).astype(np.uint8)
        return share
    least = {"majority": (total + 1) // 2, "intersection": total, "union": 1}[method]
    return np.where(count >= least, _WHITE, _BLACK)


def staple(annotations: Sequence[Annotation]) -> Image:
    """Estimate the hidden truth and each expert's sensitivity and specificity together (STAPLE).

    Expectation maximisation over the whole picture, with the mean share of marked pixels as the prior, as
    SimpleITK does it. The experts must have drawn independently. With two it has nothing to tell them apart by and
    leans on the prior alone: three or more are what it is made for.

    Warfield, Zou, Wells: Simultaneous truth and performance level estimation (STAPLE), IEEE Transactions on Medical
    Imaging 23(7), 2004, doi 10.1109/TMI.2004.828354.

    Args:
        annotations: One region's annotations of one picture, at least one, all of the same size.

    Returns:
        H x W uint8, the probability 0..1 as 0..255, rounded down so that ``target > 127`` is "more likely than not".
        Masks that are all the same, or one alone, are taken as they are.

    Raises:
        ConfigurationError: The masks are cut from one soft map and so are nested, not drawn independently.
    """
    nested = [annotation.expert for annotation in annotations if NESTED.fullmatch(annotation.expert)]
    if nested:
        raise ConfigurationError(
            f"'staple' for the {annotations[0].region} masks {', '.join(nested)}",
            "masks that experts drew independently, not levels of agreement between experts who are not named",
            "choose mean or majority",
        )
    first = annotations[0].mask
    if all(np.array_equal(annotation.mask, first) for annotation in annotations[1:]):
        return np.where(first, _WHITE, _BLACK)
    # SimpleITK takes long to import and nothing else needs it.
    import SimpleITK

    masks = [SimpleITK.GetImageFromArray(annotation.mask.astype(np.uint8)) for annotation in annotations]
    probability = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(masks))  # type: ignore[no-untyped-call]
    # The tolerance keeps a certain pixel certain where the estimate ends a rounding error below 1.
    target: Image = np.floor(probability * 255.0 + 1e-6).astype(np.uint8)
    return target


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
