"""From a label map to the numbers of glaucoma work: cup/disc ratios, and why one is undefined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusseg.masks import region_mask
from fundusseg.sample import CUP, DISC, Region

_NAN = float("nan")


@dataclass(frozen=True)
class Measures:
    """What one label map says about disc and cup; NaN where it says nothing.

    Attributes:
        vertical_cdr: Cup height over disc height, 0..1.
        horizontal_cdr: Cup width over disc width, 0..1.
        area_cdr: Cup area over disc area, 0..1.
        disc_area: Pixels, the cup included.
        cup_area: Pixels.
        disc_height: Rows between the first and the last of the disc, both counted.
        disc_width: Columns, likewise.
        cup_height: Rows of the cup.
        cup_width: Columns of the cup.
        reason: Why a value is undefined or 0; empty when all is well.
    """

    vertical_cdr: float = _NAN
    horizontal_cdr: float = _NAN
    area_cdr: float = _NAN
    disc_area: float = _NAN
    cup_area: float = _NAN
    disc_height: float = _NAN
    disc_width: float = _NAN
    cup_height: float = _NAN
    cup_width: float = _NAN
    reason: str = ""


def measure(label_map: npt.NDArray[np.uint8], regions: Sequence[Region] = (DISC, CUP)) -> Measures:
    """Cup/disc ratios of one label map.

    The vertical ratio is ``(last cup row - first cup row + 1) / (last disc row - first disc row + 1)``, the
    horizontal one the same over columns, the area ratio ``|cup| / |disc|``, where the disc includes its cup.
    Vertical is the photograph's own upright.

    Each extent is known to one pixel, so a linear ratio r of a disc of d pixels is known to ``(1 + r) / d``.

    The ratio is Armaly's, of the 1960s; for its use on outlines see Tsutsumi et al., Investigative Ophthalmology &
    Visual Science 53(3), 2012, doi 10.1167/iovs.11-8533.

    Args:
        label_map: H x W uint8; 0 background, 1 rim, 2 cup.
        regions: What the map's maker looked for. A model that knows no cup has not found a cup of 0.

    Returns:
        Ratios and sizes in pixels. No disc: everything is NaN. A disc without cup: ratios and cup sizes are
        0, or NaN when no cup was looked for. ``reason`` says so.
    """
    if DISC not in regions:
        return Measures(reason="no disc looked for")
    disc_height, disc_width, disc_area = _size(region_mask(label_map, DISC))
    if disc_area == 0:
        return Measures(reason="no disc found")
    if CUP not in regions:
        return Measures(disc_area=disc_area, disc_height=disc_height, disc_width=disc_width, reason="no cup looked for")
    cup_height, cup_width, cup_area = _size(region_mask(label_map, CUP))
    return Measures(
        vertical_cdr=cup_height / disc_height,
        horizontal_cdr=cup_width / disc_width,
        area_cdr=cup_area / disc_area,
        disc_area=disc_area,
        cup_area=cup_area,
        disc_height=disc_height,
        disc_width=disc_width,
        cup_height=cup_height,
        cup_width=cup_width,
        reason="" if cup_area else "no cup found: ratio 0",
    )


def _size(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Height, width and area in pixels; zeros for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return 0.0, 0.0, 0.0
    return float(rows[-1] - rows[0] + 1), float(columns[-1] - columns[0] + 1), float(np.count_nonzero(mask))
