"""One eye's visits laid over each other: the pictures of the page, and the rim by clock hour on one clock."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.errors import FundusSegError
from fundusseg.imaging.image_files import encode_jpeg, read_mask
from fundusseg.imaging.roi import crop
from fundusseg.inference.result_paths import contours_path, label_map_path
from fundusseg.measures.contours import Points
from fundusseg.measures.rim import clock_hours, rim_profile
from fundusseg.patients.alignment import SIDE, Alignment, Disc, align, into_crop
from fundusseg.patients.eyes import EyePhotograph, PatientEye, Visit
from fundusseg.patients.run_files import RunFiles
from fundusseg.sample import Eye, Image, Region

PICTURE = 320
"""Side of a visit's picture in pixels."""

SHOWN = 2.2
"""Side of it in disc diameters."""


@dataclass(frozen=True, eq=False, slots=True)
class VisitView:
    """One visit, as it lies on the eye's first one.

    Attributes:
        visit: Which.
        hours: (12,) mean rim/disc ratio by clock hour, 1 to 12 o'clock, turned as the first visit is.
        alignment: On the first visit's photograph; None of that itself, or where a photograph cannot be read again.
        picture: A JPEG file of PICTURE x PICTURE pixels around the first visit's disc; empty likewise.
        outlines: Of disc and cup, in the picture's pixels.
        problem: Why there is no picture.
    """

    visit: Visit
    hours: npt.NDArray[np.float64]
    alignment: Alignment | None = None
    picture: bytes = b""
    outlines: Mapping[Region, Points] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class _Read:
    """A photograph read again, with its disc."""

    image: Image
    disc: Disc


def eye_views(eye: PatientEye, files: RunFiles) -> list[VisitView]:
    """Lay the measured visits of an eye over the first of them that can be read.

    Args:
        eye: With two measured visits or more.
        files: Photographs, label maps and outlines.
    """
    reference: _Read | None = None
    views = []
    for visit in eye.measured:
        labels = _label_map(visit.best, files)
        if labels is None:
            nothing = np.full(12, math.nan)
            views.append(VisitView(visit, nothing, problem=f"{visit.best.row['file']}: its label map is no more there"))
            continue
        try:
            read = _Read(files.photograph(visit.best.entry), Disc.of(labels))
        except FundusSegError as error:
            hours = turned_hours(labels, eye.eye, 0.0)
            views.append(
                VisitView(visit, hours, problem=f"{visit.best.row['file']}: not laid over the others ({error})")
            )
            continue
        alignment = None
        if reference is not None:
            alignment = align(reference.image, reference.disc, read.image, read.disc)
        reference = reference or read
        hours = turned_hours(labels, eye.eye, alignment.turn if alignment else 0.0)
        matrix = _into_picture(reference.disc, read.disc, alignment)
        picture = encode_jpeg(_picture(read, matrix), quality=85)
        home = into_crop(read.disc.square(), SIDE)
        outlines = _outlines(visit.best, files, matrix @ home)
        views.append(VisitView(visit, hours, alignment, picture, outlines))
    return views


def turned_hours(label_map: npt.NDArray[np.uint8], eye: Eye, turn: float) -> npt.NDArray[np.float64]:
    """Rim/disc ratio by clock hour, 1 to 12, of a photograph that is turned by so many degrees to lie on another."""
    profile = rim_profile(label_map, eye).share
    # A left eye's clock runs the other way round on the photograph.
    hours = clock_hours(np.roll(profile, round(turn if eye == "OD" else -turn)))
    return np.roll(hours, -1)  # 12 o'clock stands first


def _label_map(photograph: EyePhotograph, files: RunFiles) -> npt.NDArray[np.uint8] | None:
    try:
        return read_mask(files.local(label_map_path(Path(), photograph.entry.name)))
    except FundusSegError:
        return None


def _into_picture(reference: Disc, disc: Disc, alignment: Alignment | None) -> npt.NDArray[np.float64]:
    """3 x 3: the moved photograph's crop to the picture of the reference's."""
    there, home = into_crop(reference.square(SHOWN), PICTURE), into_crop(disc.square(), SIDE)
    matrix = alignment.matrix if alignment else np.eye(3)
    return there @ matrix @ np.linalg.inv(home)


def _picture(read: _Read, matrix: npt.NDArray[np.float64]) -> Image:
    around = crop(read.image, read.disc.square(), SIDE)
    return np.asarray(cv2.warpAffine(around, matrix[:2], (PICTURE, PICTURE), flags=cv2.INTER_LINEAR), np.uint8)


def _outlines(photograph: EyePhotograph, files: RunFiles, matrix: npt.NDArray[np.float64]) -> dict[Region, Points]:
    """The outlines that predict wrote, in the picture's pixels; none where the file is gone."""
    try:
        content = json.loads(files.local(contours_path(Path(), photograph.entry.name)).read_text())["contours"]
    except (OSError, ValueError, KeyError):
        return {}
    found = {}
    for region, points in content.items():
        if len(points):
            places = np.asarray(points, np.float64) @ matrix[:2, :2].T + matrix[:2, 2]
            found[region] = places[:: max(1, len(places) // 120)]
    return found
