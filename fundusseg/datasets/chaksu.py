"""Chaksu: 1345 photographs of three cameras with the disc and cup of five experts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._label_codes import check_border, read_binary
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._settings import check_choice
from fundusseg.datasets._tables import meaning, read_csv, without_ending
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Record, Subset

CAMERAS = {"bosch": 145, "forus": 126, "remidio": 1074}
"""Photographs of each camera."""

BROKEN = {
    ("train/bosch/image145", f"{DISC} expert2"),
    ("train/bosch/image162", f"{DISC} expert3"),
    ("test/bosch/p28_image1", f"{DISC} expert3"),
}
"""Published masks that are pieces of an outline and no area: a fifteenth or less of what the other experts marked."""

_CAMERA = "(bosch|forus|rem[ie]dio)"
_ENDING = r"\.(?:jpe?g|png|tiff?|bmp)"
_SUBSETS: dict[str, Subset] = {"train": "train", "test": "test"}
_VERDICTS = ("Majority Decision", "Glaucoma Decision")
_DIAGNOSES: dict[str, Diagnosis | None] = {
    "NORMAL": "healthy",
    "GLAUCOMA SUSPECT": "suspect",
    "GLAUCOMA SUSUPECT": "suspect",  # as two of the experts spell it
    "": None,
}


class Chaksu(FundusDataset):
    """Chaksu IMAGE.

    - Images: 1345 photographs, JPEG and PNG: 1074 of a Remidio, 2448 x 3264 and so higher than wide; 126 of a Forus
      3Nethra Classic, 2048 x 1536; 145 of a handheld Bosch, 1920 x 1440. India.
    - Masks: binary TIFF, 0 and 255, one file for each photograph, region and expert, matched by name without letter
      case and ending. The outlines drawn on photographs and the four fused masks beside them are not read.
    - Experts: 5, ``expert1`` to ``expert5``. Three disc masks are broken as published (see ``BROKEN``): these are left
      out, the photograph and the other experts' discs stay.
    - Diagnosis: the majority of the five, healthy or suspect, from the tables in ``6.0_Glaucoma_Decision``; where a
      photograph has no line there, not known. Eye: not told.
    - Patients: where a name begins with P and a number, that camera's patient of this number; this is read from the
      names and not stated. Otherwise each photograph counts as a patient of its own.
    - Split: 1009 training, 336 test.

    Args:
        root: The folder that holds ``Train`` and ``Test``, one of these, or a parent.
        camera: ``bosch``, ``forus`` or ``remidio``, which is then a source of its own, ``chaksu_bosch``; None for all.

    Raises:
        ConfigurationError: There is no such camera.
        DatasetError: On reading, a photograph without a mask, a mask without its photograph, or an unknown verdict.
    """

    source = "chaksu"
    regions = (DISC, CUP)
    published: ClassVar = {"train": 1009, "test": 336}
    url = "https://doi.org/10.6084/m9.figshare.20123135"
    licence = "CC BY 4.0"
    citation = (
        "Kumar, Seelamantula, Gagan, Kamath, Kuzhuppilly, Vivekanand, Gupta, Patil: Chaksu: a glaucoma specific fundus "
        "image database, Scientific Data 10, 70, 2023, doi 10.1038/s41597-023-01943-4"
    )
    layout = (
        "{Train,Test}/1.0_Original_Fundus_Images/{Bosch,Forus,Remidio}/NAME.jpg and "
        "{Train,Test}/3.0_Doctors_Annotations_Binary_OD_OC/Expert {1..5}/{Bosch,Forus,Remidio}/{Disc,Cup}/NAME.tif"
    )
    known: ClassVar = {
        "outlines drawn on photographs": r"2\.0_doctors_annotations/.*",
        "fused masks": r"(?:4\.0_od_[^/]*|5\.0_od_[^/]*)/.*",
    }

    def __init__(self, root: str | Path, camera: str | None = None) -> None:
        super().__init__(root)
        check_choice("Chaksu", "camera", camera, CAMERAS)
        self.camera = camera
        if camera is not None:
            self.source, self.same_eyes_as = f"chaksu_{camera}", frozenset({"chaksu"})

    def index(self) -> list[Record]:
        """Pair photographs and masks by name; the tables say the diagnosis."""
        pictures = keyed("photograph", self._find(rf"1\.0_original_fundus_images/{_CAMERA}/([^/]+){_ENDING}"))
        masks = {
            f"{region} expert{expert}": (
                f"{region} mask of expert {expert}",
                self._find(
                    rf"3\.0_doctors_annotations_binary_od_oc/expert[ _]?{expert}/{_CAMERA}/{region}/([^/]+){_ENDING}"
                ),
            )
            for region in self.regions
            for expert in range(1, 6)
        }
        files = self.pair(pictures, masks, part=lambda key: key.split("/")[0])
        broken = [files[key].pop(kind) for key, kind in sorted(BROKEN) if kind in files.get(key, {})]
        self.leave_out("masks that are broken outlines as published", broken)
        diagnoses = self._diagnoses()
        return [self._record(key, pictures[key], found, diagnoses.get(key)) for key, found in files.items()]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the masks."""
        annotations = []
        for kind, path in record.files.items():
            region, expert = kind.split()
            mask = read_binary(path)
            check_border(mask, False, path)
            annotations.append(Annotation(region, expert, mask))
        return annotations

    def remark(self) -> str:
        """How many photographs have no verdict."""
        missing = sum(record.diagnosis is None for record in self.records)
        return (
            f"{missing} of {len(self.records)} pictures without a verdict in 6.0_Glaucoma_Decision" if missing else ""
        )

    def counts(self) -> Mapping[str, int]:
        """Published number of photographs of this camera, or of the two parts."""
        return {"all": CAMERAS[self.camera]} if self.camera else self.published

    def _find(self, pattern: str) -> list[tuple[str, Path]]:
        """Key ``part/camera/name`` in lower case, and file, of the camera that was asked for."""
        found, others = [], []
        for path, hit in self.match(rf"(?:(train|test)/)?{pattern}").items():
            part = (hit[1] or self.root.name).lower()
            # Some of the folders are spelt Remedio.
            camera = "remidio" if hit[2][0] in "Rr" else hit[2].lower()
            if self.camera in (None, camera):
                found.append((f"{part}/{camera}/{hit[3].lower()}", path))
            else:
                others.append(path)
        self.leave_out("files of other cameras", others)
        return found

    def _diagnoses(self) -> dict[str, Diagnosis | None]:
        """Majority's verdict by key; each table tells one part and camera."""
        # The last group stands where `_find` takes a photograph's name from.
        tables = self._find(rf"6\.0_glaucoma_decision/(?:[^/]*_)?{_CAMERA}(_majority)\.csv")
        diagnoses = {}
        for table, path in tables:
            for name, row in read_csv(path, "Images", fold=_picture).items():
                cells = [row[column] for column in _VERDICTS if column in row]
                if not cells:
                    raise DatasetError(
                        f"no column {' or '.join(_VERDICTS)} in {path}",
                        "the dataset's table of decisions",
                        "restore the table from the dataset's package, or remove it to go without diagnoses",
                    )
                verdict = " ".join(cells[0].upper().split())
                key = f"{table.rpartition('/')[0]}/{name}"
                diagnoses[key] = meaning(verdict, _DIAGNOSES, f"decision on {name}", path)
        return diagnoses

    def _record(self, key: str, image: Path, files: dict[str, Path], diagnosis: Diagnosis | None) -> Record:
        part, camera, stem = key.split("/")
        name = f"{part}_{camera}_{image.stem}"
        number = re.match(r"p(\d+)", stem)
        patient = f"{camera}_P{number[1]}" if number else name
        return Record(
            self.source,
            name,
            image,
            patient,
            self.regions,
            diagnosis=diagnosis,
            subset=_SUBSETS.get(part),
            files=files,
        )


def _picture(cell: str) -> str:
    """The photograph that a table calls ``Image101.jpg-Image101-1.jpg``: ``image101``."""
    first = re.match(rf"(.+?){_ENDING}-", cell, re.IGNORECASE)
    return (first[1] if first else without_ending(cell)).lower()
