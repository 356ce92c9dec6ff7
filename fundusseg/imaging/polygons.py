"""The area inside a closed outline."""

import numpy as np
import numpy.typing as npt


def fill_polygon(points: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Fill a closed outline: a pixel belongs to it when its centre lies inside (even-odd rule).

    A centre exactly on the outline belongs to the side at its right or below, so that regions side by side share no
    pixel.

    Args:
        points: (N, 2) finite x, y in pixels, whole numbers at pixel centres; the last point joins the first. They may
            lie outside the picture.
        shape: Height and width of the picture.

    Returns:
        H x W bool.

    >>> square = np.array([[0.5, 0.5], [2.5, 0.5], [2.5, 2.5], [0.5, 2.5]])
    >>> fill_polygon(square, (4, 4)).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    height, width = shape
    mask = np.zeros(shape, np.bool_)
    if len(points) == 0:
        return mask
    # Only rows that the outline reaches are looked at: H x N is large for a fine outline on a large photograph.
    top, bottom = (int(np.clip(edge, 0, height)) for edge in (np.ceil(points[:, 1].min()), points[:, 1].max() + 1))
    rows = np.arange(top, bottom)[:, None]
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    # H x N edges. Half-open, so that the corner between two edges crosses its row once, not twice.
    row, edge = np.nonzero((np.minimum(y0, y1) <= rows) & (rows < np.maximum(y0, y1)))
    crossing = x0[edge] + (row + top - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    # A pixel is inside when an odd number of edges cross its row at or left of its centre.
    crossings = np.zeros((len(rows), width + 1), dtype=np.int32)
    np.add.at(crossings, (row, np.clip(np.ceil(crossing), 0, width).astype(np.intp)), 1)
    mask[top:bottom] = np.cumsum(crossings, axis=1)[:, :width] % 2 == 1
    return mask
