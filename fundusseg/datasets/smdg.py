"""SMDG-19: 19 public sets at 512 x 512, 3103 photographs of them with masks; its table decides."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._label_codes import check_border
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._settings import check_choice
from fundusseg.datasets._tables import meaning, read_csv
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import OrphanError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Eye, Record, Region

ORIGINS = {
    "G1020": {"g1020"},
    "ORIGA": {"origa"},
    "REFUGE": {"refuge", "dofe_fundus", "dofe_domain3", "dofe_domain4"},
    "PAPILA": {"papila"},
    "DRISHTI": {"drishti_gs", "dofe_fundus", "dofe_domain1"},
}
"""How the names of an original set begin, and the sources that show the same eyes."""

_EXPERTS = {"DRISHTI": 4, "PAPILA": 2}
"""Experts of the sets whose masks are soft maps: white is where all of them agree."""

_FOLDERS: dict[Region, str] = {DISC: "optic-disc", CUP: "optic-cup"}
_CELLS: dict[Region, str] = {DISC: "fundus_od_seg", CUP: "fundus_oc_seg"}
_NO_MASK = {"", "not visible", "nan"}
_EYES: dict[str, Eye | None] = {"OD": "OD", "OS": "OS", "": None}
_DIAGNOSES: dict[str, Diagnosis | None] = {"1": "glaucoma", "0": "healthy", "-1": "suspect", "": None}


class Smdg(FundusDataset):
    """SMDG-19, a standardized collection of 19 public glaucoma sets.

    - Images: 12,449 photographs, PNG, cut to the field of view, padded and resized to 512 x 512, so no pixel of them is
      a camera's. 3103 have a mask of the disc; the others are not taken.
    - Table: ``metadata - standardized.csv`` decides which photograph has which mask. A cup that is ``Not Visible`` or
      an empty cell is not labelled.
    - Masks: white is inside. Those of several experts are soft maps, resized with the photograph: four experts of
      DRISHTI, two of PAPILA. As in the reader of DRISHTI-GS they become nested annotations ``agree1`` to ``agreeN``,
      cut midway between the levels; the masks of one expert are cut at half, ``agree1``.
    - Diagnosis: types 1 glaucoma, 0 healthy (which is "not glaucoma"), -1 suspect. Eye: where the table says it.
    - Patients: where the table has a ``patient_id``, as for PAPILA; otherwise each photograph counts as its own.
    - Split: none.
    - Provenance: by the beginning of each name, see ``origin``. It holds eyes of G1020, ORIGA, REFUGE (training and
      validation), PAPILA and DRISHTI-GS1, whose own packages have them at original size. Never merge both.

    Args:
        root: The folder that holds the table, or a parent.
        origins: Take photographs of these sets alone, of ``ORIGINS``; empty for all.

    Raises:
        ConfigurationError: There is no such origin.
        DatasetError: On reading, a table without its columns or that names a file that is not there.
    """

    source = "smdg"
    nested_experts = True
    regions = (DISC, CUP)
    published: ClassVar = {"all": 3103}
    same_eyes_as = frozenset().union(*ORIGINS.values())
    derived = True
    url = "https://www.kaggle.com/datasets/deathtrooper/multichannel-glaucoma-benchmark-dataset"
    licence = "not stated; the terms of each original set hold"
    citation = (
        "Kiefer, Abid, Ardali, Steen, Amjadian: A catalog of public glaucoma datasets for machine learning "
        "applications, ICISDM 2023, doi 10.1145/3603765.3603779; the set: doi 10.34740/KAGGLE/DS/2329670"
    )
    known: ClassVar = {
        "maps of vessels and of OCT": r"(?:blood-vessel|vessel-\w+|artery|vein|spectral-oct[\w-]*)/[^/]+",
    }
    layout = (
        "metadata - standardized.csv and [full-fundus/]full-fundus/NAME.png, [optic-disc/]optic-disc/NAME.png, "
        "[optic-cup/]optic-cup/NAME.png"
    )

    def __init__(self, root: str | Path, origins: Sequence[str] = ()) -> None:
        super().__init__(root)
        for name in origins:
            check_choice("Smdg", "origins", name, ORIGINS)
        self.origins = tuple(origins)
        if origins:
            self.same_eyes_as = frozenset().union(*(ORIGINS[name] for name in origins))

    def index(self) -> list[Record]:
        """Take the rows of the table that name a mask."""
        tables = self.find(r"(metadata[ _-]*standardized)\.csv")
        # Without its table these are folders of PNG files that could be anybody's.
        if not tables:
            return []
        table = keyed("table", tables).popitem()[1]
        rows = read_csv(table, "names", ("types", "eye", "patient_id", "fundus", *_CELLS.values()))
        photographs = keyed("photograph", self.find(r"full-fundus/([^/]+)\.png"))
        masks = {
            region: keyed(f"{region} mask", self.find(rf"{folder}/([^/]+)\.png")) for region, folder in _FOLDERS.items()
        }
        records, without, others = [], [], []
        for name, row in rows.items():
            if not _labelled(row):
                without.append(name)
            elif self.origins and _origin(name) not in self.origins:
                others.append(name)
            else:
                records.append(self._record(name, row, _files(name, row, photographs, masks, table), table))
        self.leave_out("photographs without a mask", (photographs[name] for name in without if name in photographs))
        files = (found[name] for found in (photographs, *masks.values()) for name in others if name in found)
        self.leave_out("files of other origins", files)
        return records

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Cut each soft map midway between its levels."""
        experts = _EXPERTS.get(self.origin(record), 1)
        annotations = []
        for region in record.regions:
            path = record.files[region]
            # 0 where none of the experts marked the pixel, 2 * experts where all did; levels lie at even numbers.
            agreeing = read_mask(path) * (2 * experts / 255)
            check_border(agreeing >= 1, False, path)
            annotations += [
                Annotation(region, f"agree{least}", agreeing >= 2 * least - 1) for least in range(1, experts + 1)
            ]
        return annotations

    def remark(self) -> str:
        """How many photographs come from which set."""
        counts = Counter(self.origin(record) for record in self.records)
        return "photographs of " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

    def counts(self) -> Mapping[str, int]:
        """Published number of photographs with masks; how many each origin has is not stated."""
        return {} if self.origins else self.published

    def origin(self, record: Record) -> str:
        """The set that a photograph comes from: one of ``ORIGINS``, or the name without its number."""
        return _origin(record.name)

    def _record(self, name: str, row: dict[str, str], files: dict[str, Path], table: Path) -> Record:
        image = files.pop("photograph")
        kind = re.sub(r"\.0$", "", row["types"])
        return Record(
            self.source,
            name,
            image,
            row["patient_id"] or name,
            tuple(files),
            eye=meaning(row["eye"], _EYES, f"eye of {name}", table),
            diagnosis=meaning(kind, _DIAGNOSES, f"types of {name}", table),
            files=files,
        )


def _origin(name: str) -> str:
    return next((origin for origin in ORIGINS if name.upper().startswith(origin)), re.sub(r"-?\d+$", "", name))


def _labelled(row: dict[str, str]) -> tuple[Region, ...]:
    """Regions for which the table names a mask."""
    return tuple(region for region, column in _CELLS.items() if row[column].lower() not in _NO_MASK)


def _files(
    name: str, row: dict[str, str], photographs: dict[str, Path], masks: dict[Region, dict[str, Path]], table: Path
) -> dict[str, Path]:
    """The photograph and the masks that a row names; the folders above are other ones than in the table."""
    wanted = [("photograph", row["fundus"], photographs)]
    wanted += [(region, row[_CELLS[region]], masks[region]) for region in _labelled(row)]
    missing = [cell for _, cell, found in wanted if Path(cell).stem not in found]
    if missing:
        raise OrphanError(
            f"no file {missing[0]}, which {table} names for {name}",
            "every photograph that the table gives a mask, and the mask",
            "restore the file from the dataset's package, or empty its cell in the table",
        )
    return {kind: found[Path(cell).stem] for kind, cell, found in wanted}
