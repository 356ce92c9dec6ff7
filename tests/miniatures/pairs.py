"""Pairs of masks to prove a measure on: a thousand at random, and those at the edge of what is defined."""

from collections.abc import Iterator

import numpy as np

SHAPE = (33, 41)


def random_pairs(count: int = 1000) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ellipses, near each other or not, some cut by the picture's border, and grains of any density."""
    generator = np.random.default_rng(7)
    for number in range(count):
        maker = _grains if number % 4 == 3 else _ellipse
        yield maker(generator), maker(generator)


def degenerate_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By name; ``empty`` in a name says which mask has no pixel."""
    empty, pixel, corner = (np.zeros(SHAPE, bool) for _ in range(3))
    pixel[12, 20] = True
    corner[-1, -1] = True
    area, border = empty.copy(), empty.copy()
    area[8:20, 10:30] = True
    border[:9, 25:] = True
    full = ~empty
    return {
        "empty prediction": (empty, area),
        "empty truth": (area, empty),
        "both empty": (empty, empty),
        "one pixel": (pixel, area),
        "true pixel": (area, pixel),
        "the same pixel": (pixel, pixel),
        "two pixels": (pixel, corner),
        "touching the border": (border, area),
        "both touch the border": (border, corner),
        "the whole picture": (full, area),
        "both the whole picture": (full, full),
        "the same": (area, area),
    }


def _ellipse(generator: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    y, x = generator.uniform(0, SHAPE[0]), generator.uniform(0, SHAPE[1])
    height, width = generator.uniform(1, 16, 2)
    return ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 <= 1


def _grains(generator: np.random.Generator) -> np.ndarray:
    return generator.random(SHAPE) < generator.uniform(0.005, 0.995)
