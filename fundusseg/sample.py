"""The one record that the data side speaks: a photograph, where it came from, and what experts drew on it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
"""H x W x 3 RGB (or H x W label map or mask), 0..255."""

Region: TypeAlias = str
"""A named area of the picture; regions may overlap. Any name is allowed, the ones below have meaning."""

DISC: Region = "disc"
CUP: Region = "cup"

PARENT: dict[Region, Region] = {CUP: DISC}
"""Anatomy: a region that lies inside another by definition."""

Eye: TypeAlias = Literal["OD", "OS"]
Diagnosis: TypeAlias = Literal["glaucoma", "suspect", "healthy"]
Subset: TypeAlias = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a picture before any of its files is decoded.

    Attributes:
        source: Name of the dataset, ``"drishti_gs"``.
        name: The picture's name, unique within its source.
        image: The picture's file; for a made picture, the name that stands for it.
        patient: Patient, unique within the source; the picture's own name where the dataset does not tell.
        regions: Regions that are labelled for this picture.
        eye: Right (OD) or left (OS), where the dataset says it.
        diagnosis: Where the dataset says it.
        subset: The publisher's own split, where there is one.
        files: Annotation files by a key that the dataset chooses.
    """

    source: str
    name: str
    image: Path
    patient: str
    regions: tuple[Region, ...]
    eye: Eye | None = None
    diagnosis: Diagnosis | None = None
    subset: Subset | None = None
    files: dict[str, Path] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        """``source/name``: unique over all sources."""
        return f"{self.source}/{self.name}"

    @property
    def patient_key(self) -> str:
        """``source/patient``: unique over all sources, as sources number their patients alike."""
        return f"{self.source}/{self.patient}"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One expert's mask of one region.

    Attributes:
        region: What was drawn.
        expert: Who drew it, unique within the sample and region.
        mask: H x W bool.
    """

    region: Region
    expert: str
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sample:
    """A decoded picture at native size, with every expert's annotations.

    Attributes:
        record: Where it came from.
        image: H x W x 3 uint8, RGB as the camera gave it.
        annotations: Any number of experts for each region; none for a region means not labelled, never empty.
    """

    record: Record
    image: Image
    annotations: tuple[Annotation, ...]

    def of(self, region: Region) -> tuple[Annotation, ...]:
        """The annotations of one region, in the dataset's order."""
        return tuple(annotation for annotation in self.annotations if annotation.region == region)
