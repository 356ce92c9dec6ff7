"""Pixel codes of mask files: each value has one meaning, and any other is refused."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Region


def read_binary(path: Path) -> npt.NDArray[np.bool_]:
    """Read a mask of one region, 0 outside and 1 or 255 inside: H x W bool.

    Raises:
        ImageError: The file cannot be decoded.
        DatasetError: It holds another value.
    """
    codes = read_mask(path)
    # A mask of zeros passes here: whether it may be empty is the dataset's to say, see `FundusDataset.load`.
    inside = 1 if codes.max(initial=0) <= 1 else 255
    check_codes(codes, (0, inside), path)
    mask: npt.NDArray[np.bool_] = codes == inside
    return mask


CODES: tuple[tuple[int, int, int], ...] = ((0, 1, 2), (0, 128, 255), (255, 128, 0))
"""Values of background, rim and cup in the forms that copies of a public set take."""


def code_of(codes: npt.NDArray[np.generic], path: Path) -> tuple[int, int, int]:
    """Which of ``CODES`` a mask has: the one that holds its values and has its border for background.

    A mask turned round (0/128/255 for 255/128/0) has the same values; what lies along the border tells them apart, for
    no disc fills a photograph.

    Raises:
        DatasetError: The border is not of one value, is no background, the mask holds a value of no code, or a cup
            without rim: that is another kind of mask.
    """
    border = np.unique(np.concatenate([codes[[0, -1]].ravel(), codes[:, [0, -1]].ravel()]))
    if len(border) > 1 or int(border[0]) not in (0, 255):
        raise DatasetError(
            f"the values {', '.join(map(str, border[:4]))} along the border of {path}",
            "background alone, 0 or 255: the disc lies inside the photograph",
            "restore the mask from the dataset's package",
        )
    fitting = [code for code in CODES if code[0] == border[0]]
    values = set(np.unique(codes).tolist())
    # A border of 0 leaves two codes; where neither holds all values, `check_codes` names what does not fit.
    code = next((code for code in fitting if values <= set(code)), fitting[0])
    check_codes(codes, code, path)
    # 0 and 255 alone are a binary disc, most likely: read as a cup it would be learnt as a ratio of 1.
    if code[2] in values and code[1] not in values:
        raise DatasetError(
            f"the values {', '.join(map(str, sorted(values)))} in {path}, a cup without any rim around it",
            f"background, rim and cup: {', '.join(map(str, code))}",
            "restore the mask; a binary mask of the disc is read by Folder",
        )
    return code


def nested(
    codes: npt.NDArray[np.generic],
    values: tuple[int, int, int],
    path: Path,
    regions: Sequence[Region] = (DISC, CUP),
    expert: str = "expert1",
) -> list[Annotation]:
    """Split one mask of disc and cup: the cup belongs to the disc.

    Args:
        codes: H x W of codes.
        values: Background, rim (disc without cup) and cup.
        path: The mask's file, for the message.
        regions: What to take of the two.
        expert: Who drew them.

    Returns:
        These regions of the expert.

    Raises:
        DatasetError: The mask holds another value.
    """
    check_codes(codes, values, path)
    areas = {DISC: codes != values[0], CUP: codes == values[2]}
    return [Annotation(region, expert, areas[region]) for region in regions]


def check_order(codes: npt.NDArray[np.generic], values: tuple[int, int, int], path: Path) -> None:
    """Refuse a mask whose codes are turned round: copies of the datasets come so, and hold only known values.

    Background must fill most of the picture's border, and rim most of the border between disc and background.

    Args:
        codes: H x W of codes.
        values: Background, rim (disc without cup) and cup.
        path: The mask's file, for the message.

    Raises:
        DatasetError: It is otherwise.
    """
    background, rim, cup = values
    check_border(codes, background, path)
    disc = codes != background
    # The disc's outermost pixels; border_value=1, as where the picture cuts a disc its edge is not seen.
    edge = codes[disc & ~ndimage.binary_erosion(disc, border_value=1)]
    if np.count_nonzero(edge == cup) > np.count_nonzero(edge == rim):
        raise DatasetError(
            f"{cup} between background and {rim} in {path}",
            f"{background} for background, {rim} for the rim around the cup, {cup} for the cup",
            "restore the mask from the dataset's package: a copy has other codes",
        )


def check_border(codes: npt.NDArray[np.generic], background: int, path: Path) -> None:
    """Refuse a mask most of whose border is no background: its codes are turned round.

    Raises:
        DatasetError: It is so.
    """
    border = np.concatenate([codes[0], codes[-1], codes[:, 0], codes[:, -1]])
    # Most of it, not all: in a crop the disc itself may reach the border.
    if 2 * np.count_nonzero(border == background) < border.size:
        values, counts = np.unique(border, return_counts=True)
        raise DatasetError(
            f"{values[counts.argmax()]} along the border of {path}",
            f"{background} there, the background",
            "restore the mask from the dataset's package: a copy has other codes",
        )


def check_codes(codes: npt.NDArray[np.generic], known: tuple[int, ...], path: Path) -> None:
    """Refuse a mask with a value that the dataset does not define."""
    # Of whole pictures of bytes, counting takes a tenth of the time of sorting.
    counted = codes.dtype == np.uint8 and codes.size
    found = np.flatnonzero(cv2.calcHist([codes.view(np.uint8)], [0], None, [256], [0, 256])) if counted else codes
    unknown = np.setdiff1d(found, known)
    if unknown.size:
        raise DatasetError(
            f"the value {unknown[0]} in {path}",
            f"a mask of the values {', '.join(map(str, sorted(known)))}",
            "correct or restore the mask; never interpolate it, nor save it as JPEG",
        )
