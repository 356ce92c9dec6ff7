"""What the miniature trees share: plain pictures, and a disc and a cup drawn as ellipses of known ratio."""

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 96, 112
CENTRE = (60.0, 46.0)  # x, y of disc and cup
DISC = (26.0, 30.0)  # half width and half height
RATIO = 0.6
CUP = (13.0, 30.0 * RATIO)


def ellipse(axes: tuple[float, float] = DISC, scale: float = 1.0, shape=(HEIGHT, WIDTH), centre=CENTRE):
    """Pixels whose centre lies in an upright ellipse."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return ((x - centre[0]) / (axes[0] * scale)) ** 2 + ((y - centre[1]) / (axes[1] * scale)) ** 2 <= 1.0


def outline(axes: tuple[float, float] = DISC, scale: float = 1.0, points: int = 36, centre=CENTRE):
    """Points on the ellipse: (N, 2) of x, y."""
    t = np.linspace(0.0, 2 * np.pi, points, endpoint=False)
    return np.stack([centre[0] + axes[0] * scale * np.cos(t), centre[1] + axes[1] * scale * np.sin(t)], axis=1)


def photograph(seed: int, shape=(HEIGHT, WIDTH)):
    """A small colour picture, another for each seed."""
    noise = np.random.default_rng(seed).integers(0, 40, (*shape, 3), dtype=np.uint8)
    return noise + np.array([150, 70, 30], dtype=np.uint8)


def save(path: Path, pixels, palette: bool = False) -> None:
    """Write a picture in the format of its name, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    if palette:
        picture.putpalette([0, 0, 0, 128, 0, 0])
    picture.save(path)


def extent(mask) -> int:
    """Rows from the highest to the lowest marked pixel, both included."""
    rows = np.flatnonzero(np.asarray(mask).any(axis=1))
    return int(rows[-1] - rows[0] + 1)


def vertical_ratio(cup, disc) -> float:
    """Vertical cup/disc ratio by the row extents."""
    return extent(cup) / extent(disc)


def truncate(path: Path) -> None:
    """Cut a file in half, as a broken download does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def labels(background: int, rim: int, cup: int):
    """One mask of disc and cup in a code of three values."""
    table = np.array([background, rim, cup], dtype=np.uint8)
    return table[ellipse(DISC).astype(int) + ellipse(CUP)]


def write_contour(path: Path, points, separator: str = " ") -> None:
    """Write a contour file of one point a line, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{x:.3f}{separator}{y:.3f}\n" for x, y in points))
