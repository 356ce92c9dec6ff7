"""Stored numbers as 8 bits: of deep pictures, of palettes, and of masks that are kept in colour."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ImageError


def palette_codes(
    indices: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8], path: str | Path
) -> npt.NDArray[np.uint8]:
    """Greys of a grey palette, indices of a coloured one.

    Args:
        indices: H x W uint8.
        colours: (up to 256, 3) uint8, the palette.
        path: The mask's file, for the message.

    Returns:
        H x W uint8.

    Raises:
        ImageError: A coloured palette whose index 0 is not the background.
    """
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    grey = (palette == palette[:, :1]).all(axis=1)
    if grey[used].all():
        # A palette that shows two codes alike (all black, as some tools write it) says nothing about them.
        told_apart = np.unique(palette[used, 0]).size == used.size
        return palette[indices, 0] if told_apart else indices
    others = used[used > 0]
    darker = palette[others].max(axis=1) < palette[0].max()
    if used[0] == 0 and (grey[others].any() if not grey[0] else (grey[others] & darker).any()):
        raise ImageError(
            f"a palette mask whose background is not index 0, which is the colour {tuple(palette[0].tolist())}: {path}",
            "black at index 0, or a palette of greys",
            "save the mask in grey, one value for each region",
        )
    return indices


def grey_plane(pixels: npt.NDArray[np.generic], path: str | Path) -> npt.NDArray[np.generic]:
    """The one plane of a mask whose colours are all grey.

    Args:
        pixels: H x W x 3 RGB or H x W x 4 RGBA.
        path: The mask's file, for the message.

    Returns:
        H x W.

    Raises:
        ImageError: Its channels differ, or only its transparency tells anything.
    """
    plane = pixels[..., 0]
    if any((pixels[..., channel] != plane).any() for channel in (1, 2)):
        raise ImageError(
            f"a mask in colour, whose channels differ: {path}",
            "one grey value for each region",
            "save each region as a mask of its own, or disc and cup together as grey values",
        )
    if pixels.shape[2] == 4 and np.ptp(plane) == 0 < np.ptp(pixels[..., 3]):
        raise ImageError(f"a mask drawn by transparency alone: {path}", "grey values", "save it without transparency")
    return plane


def eight_bits(
    pixels: npt.NDArray[np.generic], path: str | Path, depth: int = 16
) -> tuple[npt.NDArray[np.uint8], float]:
    """Scale deep numbers to 0..255 by the range of the smallest of the usual depths that holds them.

    Cameras of 12 bits save theirs unscaled in files of 16.

    Args:
        pixels: Whole numbers of any shape.
        path: Their file, for the message.
        depth: Bits that the file's numbers may fill.

    Returns:
        The scaled numbers, and the number that became 255 over the largest of ``depth`` bits.

    Raises:
        ImageError: They are no whole numbers.

    >>> pixels, light = eight_bits(np.array([0, 2048, 4095]), "12_bits_in_16.tif")
    >>> pixels.tolist(), round(light, 4)
    ([0, 127, 255], 0.0625)
    """
    if not np.issubdtype(pixels.dtype, np.integer):
        raise ImageError(
            f"a picture of {pixels.dtype} numbers: {path}", "whole numbers of 8 or 16 bits", "save it as one of these"
        )
    deep = np.clip(pixels, 0, 65535).astype(np.uint16)
    bits = max((int(deep.max(initial=0)).bit_length() + 1) // 2 * 2, 8)
    # A table of every value: a photograph of 60 megapixels is not blown up to wider numbers.
    table: npt.NDArray[np.uint8] = (np.arange(65536) * 255 // (2**bits - 1)).clip(0, 255).astype(np.uint8)
    return np.asarray(table[deep]), min(1.0, (2**bits - 1) / (2**depth - 1))
