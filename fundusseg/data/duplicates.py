"""Near-identical pictures: found by perceptual hash, confirmed by correlation.

The same photograph stands in several public datasets (RIM-ONE DL holds pictures of r2 and r3), saved, scaled and
cropped anew. What is compared is a view centred on the labelled disc, whatever it was cut from, and of that the middle,
which holds no border of a crop. Where no disc is labelled it is the square that the network sees.
"""

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
import numpy.typing as npt

from fundusseg.data.hash_neighbours import near_pairs
from fundusseg.data.identity import Identity
from fundusseg.data.seen_patients import PERCEPTUAL_DISTANCE, hash_bits
from fundusseg.imaging.image_files import as_pillow
from fundusseg.imaging.roi import Box, crop
from fundusseg.sample import Image

HASH_DISTANCE = 8
"""Bits of 64 in which the nearest hashes of one photograph differ after it was saved and cropped anew.

On real photographs cropped anew by up to 6 % in scale and 3 % in place, 95 of 100 were within; of pairs of different
ones 3 in 1,000.
"""

CORRELATION = 0.93
"""Correlation after alignment from which two pictures show one eye.

Of 669 real photographs all pairs above 0.921 were one eye taken twice; 99 of 100 photographs cropped and saved anew
came to at least 0.937.
"""

VIEW = 128
"""Side of the pictures that are compared, whatever size the network sees."""

VIEW_SCALE = 2.4
"""Side of the view in disc diameters, where a disc is labelled."""

_SIDE = 64
_OFFSETS = tuple(itertools.product((0.0, -0.025, 0.025), (0.0, -0.025, 0.025), (1.0, 0.94, 1.06)))
"""Shifts (of the side, right and down) and scales under which a picture is hashed; the first is none."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two pictures that show the same photograph.

    Attributes:
        first: Position of one.
        second: Position of the other, larger than the first.
        correlation: After alignment, up to 1.
    """

    first: int
    second: int
    correlation: float


def perceptual_hashes(image: Image) -> npt.NDArray[np.uint64]:
    """64 bits (discrete cosine transform) of the picture's middle, and of the middle slightly shifted and scaled.

    Args:
        image: `VIEW` x `VIEW` x 3 uint8.

    Returns:
        H uint64, the first of the unmoved middle.
    """
    middles = (_middle(image, *offset) for offset in _OFFSETS)
    bits = [np.packbits(imagehash.phash(as_pillow(middle)).hash.ravel()) for middle in middles]
    return np.stack(bits).view(np.uint64)[:, 0]


def find_duplicates(
    hashes: npt.NDArray[np.uint64], image: Callable[[int], Image], apart: Callable[[int, int], bool]
) -> list[Duplicate]:
    """All pairs of near-identical pictures that should not be together.

    Args:
        hashes: N x H, as `perceptual_hashes` gives them.
        image: Gives the picture at a position, `VIEW` x `VIEW` x 3 uint8; asked only where hashes are near.
        apart: Whether a pair matters: of different sources or subsets.
    """
    near = [pair for pair in _near(hashes) if apart(*pair)]
    # Alignment takes milliseconds, and the interpreter is released meanwhile.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        values = pool.map(lambda pair: correlation(image(pair[0]), image(pair[1])), near)
        return [Duplicate(*pair, value) for pair, value in zip(near, values, strict=True) if value >= CORRELATION]


def same_pictures(identities: Sequence[Identity], apart: Callable[[int, int], bool]) -> list[Duplicate]:
    """All pairs of one photograph, saved or scaled anew at most, that should not be together, whatever their masks.

    Args:
        identities: Of each picture.
        apart: Whether a pair matters: of different sources or subsets.
    """
    hashes = hash_bits([identity.perceptual_hash for identity in identities])
    near = near_pairs(hashes, hashes, PERCEPTUAL_DISTANCE)
    return [Duplicate(int(i), int(j), 1.0) for i, j in near if i < j and apart(int(i), int(j))]


def correlation(one: Image, two: Image) -> float:
    """Correlation of two pictures' structure after the best small affine alignment, -1..1.

    Alignment maximises the enhanced correlation coefficient (Evangelidis and Psarakis 2008,
    doi 10.1109/TPAMI.2008.113), first of the coarse structure. Structure is what a wide blur takes away: any two
    photographs share the rest, a bright disc on a darker ground.

    Returns:
        -1 where no small alignment is found.
    """
    value, warp = -1.0, np.eye(2, 3, dtype=np.float32)
    for fineness in (4.0, 2.0):
        try:
            value, moved = cv2.findTransformECC(
                _structure(one, fineness), _structure(two, fineness), warp, cv2.MOTION_AFFINE, _STOP, _ALL, 1
            )
        except cv2.error:  # it raises where it does not converge
            return -1.0
        warp = np.asarray(moved, np.float32)
        if not 0.8 < np.linalg.det(warp[:, :2]) < 1.25 or np.abs(warp[:, 2]).max() > 0.25 * _SIDE:
            return -1.0
    return float(value)


_ALL = np.full((_SIDE, _SIDE), 255, np.uint8)
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 80, 1e-5)


def _structure(image: Image, fineness: float) -> npt.NDArray[np.float32]:
    grey = _middle(image)[..., 1].astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), fineness * _SIDE / 96) - cv2.GaussianBlur(grey, (0, 0), _SIDE / 7))


def _middle(image: Image, right: float = 0.0, down: float = 0.0, scale: float = 1.0) -> Image:
    """The middle half of the side, moved by shares of the side: 64 x 64 x 3."""
    side = image.shape[0]
    part = max(2, round(side * scale / 2))
    return crop(
        image, Box((side - part) // 2 + round(side * down), (side - part) // 2 + round(side * right), part, part), _SIDE
    )


def _near(hashes: npt.NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Pairs of positions of which one's moved hash is near the other's unmoved one."""
    # One side moved against the other unmoved, both ways: moved against moved brings strangers near.
    found = near_pairs(hashes[:, :1], hashes.reshape(-1, 1), HASH_DISTANCE)
    unmoved, moved = found[:, 0], found[:, 1] // hashes.shape[1]
    pairs = np.sort(np.stack([unmoved, moved], axis=1)[unmoved != moved], axis=1)
    return [(int(first), int(second)) for first, second in np.unique(pairs, axis=0)]


def drop_or_refuse(
    duplicates: Sequence[Duplicate], source: Callable[[int], str], drop_from: Sequence[str]
) -> tuple[list[int], list[Duplicate]]:
    """Decide each pair by the sources that the user gave up.

    Args:
        duplicates: Pairs.
        source: Source of a position.
        drop_from: Sources whose picture of a pair is left out; earlier ones first.

    Returns:
        Positions to leave out, and the pairs that nobody decided.
    """
    dropped: list[int] = []
    undecided: list[Duplicate] = []
    for pair in duplicates:
        sides = [side for name in drop_from for side in (pair.second, pair.first) if source(side) == name]
        if pair.first in dropped or pair.second in dropped:
            continue
        if sides:
            dropped.append(sides[0])
        else:
            undecided.append(pair)
    return dropped, undecided
