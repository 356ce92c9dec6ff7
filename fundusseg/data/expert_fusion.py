"""What experts drew: contour files to masks, and several masks of one region to one target.

A contour's coordinates are x to the right and y down in pixels, and whole numbers are pixel centres: the
pixel in row r and column c has its centre at x = c, y = r, and the picture reaches from -0.5 to width - 0.5.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError
from fundusseg.sample import Annotation, Image

METHODS = ("majority", "mean", "intersection", "union", "staple")
"""Ways to fuse several experts; an expert's own name is another."""

NESTED = re.compile(r"agree\d+")
"""Names of masks "at least k experts agree", cut from a published soft map: they are no experts of their own."""


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
        return _white(experts[method])
    if method == "staple":
        return staple(annotations)
    total = len(annotations)
    if total == 1:
        return _white(annotations[0].mask)
    count = np.sum([annotation.mask for annotation in annotations], axis=0, dtype=np.uint16)
    if method == "mean":
        # 255 count / total with halves rounded up, in whole numbers that leave uint16 in time.
        share: Image = np.floor_divide(count * np.uint32(510) + np.uint32(total), 2 * total).astype(np.uint8)
        return share
    least = {"majority": (total + 1) // 2, "intersection": total, "union": 1}[method]
    return _white(np.asarray(count >= least))


def _white(mask: npt.NDArray[np.bool_]) -> Image:
    """255 where a mask is set."""
    return np.multiply(mask, np.uint8(255), dtype=np.uint8)


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
        return _white(first)
    # SimpleITK takes long to import and nothing else needs it.
    import SimpleITK

    masks = [SimpleITK.GetImageFromArray(annotation.mask.astype(np.uint8)) for annotation in annotations]
    probability = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(masks))  # type: ignore[no-untyped-call]
    # The tolerance keeps a certain pixel certain where the estimate ends a rounding error below 1.
    target: Image = np.floor(probability * 255.0 + 1e-6).astype(np.uint8)
    return target
