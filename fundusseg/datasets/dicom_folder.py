"""The user's own DICOM photographs, with segmentations (SEG) or contours (RTSTRUCT, SR) of experts as truth."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fundusseg.datasets._contour_files import rasterise
from fundusseg.datasets._listing import LEFTOVERS
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.archive_files import why_no_photograph
from fundusseg.imaging.dicom_files import is_dicom, is_installed, photograph_header
from fundusseg.imaging.image_files import read_photograph
from fundusseg.sample import CUP, DISC, Annotation, Image, Record, Region

if TYPE_CHECKING:
    from fundusseg.dicom.truth import Drawing

_Frame: TypeAlias = tuple[str, int]
"""UID of a photograph, and one of its frames."""


class DicomFolder(FundusDataset):
    """A folder of DICOM photographs and of what experts drew on them, in any order and with any names.

    In a configuration::

        data:
          datasets:
            - class_path: fundusseg.datasets.DicomFolder
              init_args: {root: export, name: clinic}

    - Images: every DICOM photograph below the root, known by its content; each frame of a file of several is a picture.
    - Masks: segmentations (SEG: binary, fractional from a half, label map), structure sets (RTSTRUCT, closed contours
      in pixels) and reports (SR of TID 1500, closed polylines) that refer to a photograph by its UID. A segment is disc
      or cup by its code (SNOMED 81016008, or that of our own segmentations) or by its label or name; a report's finding
      by its code. Of one expert's segmentation and report of the same frame the segmentation counts.
    - Experts: a report's observer, the objects' ContentCreatorName, OperatorsName or SeriesDescription; else numbered.
    - Eye and patient: from the photograph's tags; a patient's ID of another issuer is another patient.

    Photographs on which nobody drew are left out, and counted.

    Args:
        root: The folder.
        name: Name of the source in splits, metrics and tables.
        regions: Of disc and cup, what is taken.

    Raises:
        ConfigurationError: Other regions.
        DatasetError: On reading, a drawing on a photograph that is not there, or without the extra ``dicom``.
    """

    licence = "the user's own"
    citation = "none"
    strays = LEFTOVERS
    second_copies = False
    layout = "DICOM photographs, and SEG, RTSTRUCT or SR objects that refer to them"

    def __init__(self, root: str | Path, name: str = "dicom", regions: Sequence[Region] = (DISC, CUP)) -> None:
        super().__init__(root)
        if not regions or not set(regions) <= {DISC, CUP} or len(set(regions)) < len(regions):
            raise ConfigurationError(f"regions={list(regions)} for DicomFolder", f"{DISC}, {CUP} or both", "choose")
        self.source, self.regions = name, tuple(regions)

    @cached_property
    def _drawings(self) -> list["Drawing"]:
        """Every expert's object, sorted by path."""
        from fundusseg.dicom.truth import read_drawing

        found = (read_drawing(path) for path in self.files if is_dicom(path) and why_no_photograph(path))
        return [drawing for drawing in found if drawing is not None]

    @cached_property
    def _frames(self) -> dict[str, _Frame]:
        """UID and frame of each picture, by its name; filled by `index`."""
        return {}

    def index(self) -> list[Record]:
        """Read every header; no pixel is decoded."""
        if not is_installed():
            raise DatasetError("DicomFolder without the extra dicom", "it", "pip install 'fundusseg[dicom]'")
        drawn: dict[_Frame, list[Drawing]] = {}
        for drawing in self._drawings:
            for where in drawing.regions:
                drawn.setdefault(where, []).append(drawing)
        records, bare = [], []
        for path in self.files:
            if not is_dicom(path) or why_no_photograph(path):
                continue
            if (header := photograph_header(path)) is None:
                continue
            for frame in range(header.frames):
                drawings = _exact(drawn.pop((header.uid, frame), []), (header.uid, frame))
                labelled = frozenset().union(*(drawing.regions[header.uid, frame] for drawing in drawings))
                regions = tuple(region for region in self.regions if region in labelled)
                if not regions:
                    bare.append(path)
                    continue
                name = path.relative_to(self.root).as_posix().removesuffix(".dcm") + header.frame_name(frame)
                self._frames[name] = (header.uid, frame)
                files = {f"{number}": drawing.path for number, drawing in enumerate(drawings, start=1)}
                patient = " ".join(filter(None, (header.issuer, header.patient))) if header.patient else name
                records.append(Record(self.source, name, path, patient, regions, eye=header.eye, files=files))
        if drawn:
            (uid, _), (drawing, *_) = next(iter(drawn.items()))
            raise DatasetError(
                f"{drawing.path}, drawn on a photograph that is not there ({uid})", self.layout, "add the photograph"
            )
        self.leave_out("photographs without truth", bare)
        return records

    def photograph(self, record: Record) -> Image:
        """Decode one frame."""
        return read_photograph(record.image, self._frames[record.name][1])

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Decode what every expert drew on one frame."""
        from fundusseg.dicom.truth import read_contours, read_masks

        uid, frame = self._frames[record.name]
        experts = {drawing.path: drawing.expert for drawing in self._drawings}
        names = [experts[path] for path in record.files.values()]
        annotations = []
        for number, path in record.files.items():
            said = experts[path]
            expert = said if said and names.count(said) == 1 else f"expert{number}"
            masks = read_masks(path, uid, frame)
            if not masks:
                masks = {
                    region: np.any([rasterise(points, shape, str(path)) for points in outlines], axis=0)
                    for region, outlines in read_contours(path, uid, frame).items()
                }
            annotations += [Annotation(region, expert, masks[region]) for region in record.regions if region in masks]
        return annotations


def _exact(drawings: list["Drawing"], frame: _Frame) -> list["Drawing"]:
    """Without the reports whose outlines a segmentation of the same expert has as masks."""
    segmented = {(one.expert, region) for one in drawings if not one.report for region in one.regions[frame]}
    return [
        one
        for one in drawings
        if not one.report or any((one.expert, region) not in segmented for region in one.regions[frame])
    ]
