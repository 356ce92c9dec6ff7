"""Which eye a photograph shows: right (OD, oculus dexter) or left (OS, oculus sinister)."""

import re

import numpy as np
import numpy.typing as npt

from fundusseg.imaging.roi import Box, bounds
from fundusseg.sample import Eye

_WORDS: dict[str, Eye] = {"od": "OD", "right": "OD", "os": "OS", "left": "OS"}

_WORD = re.compile(r"(?<![a-z])(od|os|right|left)(?![a-z])", re.IGNORECASE)
"""A word may touch a number (RET012OD), never another letter (ODseg, leftover)."""

_LETTER = re.compile(r"(?<=[_\-. ])[RL](?![A-Za-z0-9])")
"""R or L alone counts as a capital behind a separator only."""

_LARGEST_DISC = 0.25
"""Disc diameter over the field's width above which the picture is a crop around the disc."""

_OFF_CENTRE = 0.15
"""Distance of disc and field centres over the field's width that is clear: photographs centred on the disc miss it by
less, those centred on the macula by a quarter to a third."""


def infer_eye(
    name: str, label_map: npt.NDArray[np.uint8] | None = None, field: Box | None = None
) -> tuple[Eye | None, str]:
    """Tell the eye by the photograph's name, or else by the disc's place.

    Args:
        name: The photograph's file name.
        label_map: H x W, where it is known where the disc is; any code above 0 counts as disc.
        field: The photograph's field of view.

    Returns:
        The eye or None, and how it was told: ``"name"``, ``"place of the disc"`` or ``"not told"``.
    """
    if eye := eye_from_name(name):
        return eye, "name"
    if label_map is not None and field is not None and (eye := eye_from_place(label_map, field)):
        return eye, "place of the disc"
    return None, "not told"


def eye_from_name(name: str) -> Eye | None:
    """Read the eye from a file's name: OD, OS, right or left as a word, or R or L behind a separator.

    Args:
        name: ``"P12_OD.jpg"``; of a path the last part alone counts.

    Returns:
        The eye; None where nothing is said, or both.

    >>> eye_from_name("RET012OD.jpg"), eye_from_name("P3_L.png"), eye_from_name("leftover.jpg")
    ('OD', 'OS', None)
    """
    # Windows paths too, on any system; a folder named "left" says nothing of a file in it.
    last = re.split(r"[\\/]", name)[-1]
    found = {_WORDS[word.lower()] for word in _WORD.findall(last)}
    found |= {"OD" if letter == "R" else "OS" for letter in _LETTER.findall(last)}
    # "left_right_pair.jpg" says both, which is nothing.
    return found.pop() if len(found) == 1 else None


def without_eye(name: str) -> str:
    """A name without the words that tell the eye: what a patient's photographs may have in common.

    >>> without_eye("P12_OD"), without_eye("left-7"), without_eye("P3_L"), without_eye("leftover")
    ('P12', '7', 'P3', 'leftover')
    """
    return _LETTER.sub("", _WORD.sub("", name)).strip("_-. ")


def eye_from_place(label_map: npt.NDArray[np.uint8], field: Box) -> Eye | None:
    """Tell the eye by the side of the field on which the disc lies.

    In a photograph taken upright and not mirrored, the disc lies to the nasal side of the macula: on the right in a
    right eye. That tells the eye where the macula is near the field's centre, not where the disc is.

    Args:
        label_map: H x W; any code above 0 counts as disc.
        field: The photograph's field of view.

    Returns:
        The eye; None without a disc, near the centre, or where the disc is so large that the picture is a crop.
    """
    disc = bounds(label_map)
    if disc is None or disc.width > _LARGEST_DISC * field.width:
        return None
    off = (disc.left + disc.width / 2 - field.left) / field.width - 0.5
    if abs(off) < _OFF_CENTRE:
        return None
    return "OD" if off > 0 else "OS"
