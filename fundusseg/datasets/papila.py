"""PAPILA: 488 photographs, both eyes of 244 patients, with the disc and cup of two experts."""

import re
from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._contour_files import rasterise, read_contour
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._tables import column, line_of, meaning, read_sheet
from fundusseg.datasets.base import FundusDataset
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Eye, Record

_DIAGNOSES: dict[str, Diagnosis] = {"0": "healthy", "1": "glaucoma", "2": "suspect"}


class Papila(FundusDataset):
    """PAPILA.

    - Images: 488 photographs, JPEG, 2576 x 1934, both eyes of 244 patients.
    - Masks: contours "x y" in pixels, one file for each photograph, region and expert.
    - Experts: 2, ``expert1`` and ``expert2``.
    - Names: RET, the patient's number (with gaps), OD or OS.
    - Diagnosis: of each eye, from ``ClinicalData/patient_data_{od,os}.xlsx``, 0 healthy, 1 glaucoma, 2 suspect; without
      the table not known.
    - Split: none. Both eyes of a patient belong on one side: split by patient, never by eye.

    Raises:
        DatasetError: On reading, a photograph without a contour, a contour without its photograph, or a table that
            does not fit the photographs.
    """

    source = "papila"
    regions = (DISC, CUP)
    url = "https://doi.org/10.6084/m9.figshare.14798004"
    published: ClassVar = {"all": 488}
    licence = "CC BY 4.0"
    citation = (
        "Kovalyk, Morales-Sanchez, Verdu-Monedero, Selles-Navarro, Palazon-Cabanes, Sancho-Gomez: PAPILA: dataset with "
        "fundus images and clinical data of both eyes of the same patient for glaucoma assessment, Scientific Data 9, "
        "2022, doi 10.1038/s41597-022-01388-1"
    )
    layout = (
        "FundusImages/RETNNN{OD,OS}.jpg, ExpertsSegmentations/Contours/RETNNN{OD,OS}_{disc,cup}_{exp1,exp2}.txt and "
        "ClinicalData/patient_data_{od,os}.xlsx"
    )

    def index(self) -> list[Record]:
        """Pair photographs and contours by name; the tables say the diagnosis."""
        images = self.match(r"FundusImages/(RET(\d+)(OD|OS))\.jpe?g")
        pictures = keyed("photograph", ((hit[1].upper(), path) for path, hit in images.items()))
        contours = {
            f"{region} expert{expert}": (
                f"{region} contour of expert {expert}",
                self.find(rf"Contours/(RET\d+(?:OD|OS))_{region}_exp{expert}\.txt", str.upper),
            )
            for region in self.regions
            for expert in (1, 2)
        }
        files = self.pair(pictures, contours)
        tables = {hit[1].upper(): path for path, hit in self.match(r"patient_data_(od|os)\.xlsx").items()}
        diagnoses = {eye: _read_diagnoses(path) for eye, path in tables.items()}
        records = []
        for path, hit in images.items():
            name, number, side = hit[1].upper(), hit[2], hit[3].upper()
            eye: Eye = "OD" if side == "OD" else "OS"
            # Without zeros in front: file names and sheets need not have as many.
            diagnosis = line_of(str(int(number)), diagnoses[eye], path, tables[eye]) if eye in tables else None
            patient = f"RET{number}"
            records.append(Record(self.source, name, path, patient, self.regions, eye, diagnosis, files=files[name]))
        return records

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Fill the contours."""
        return [
            Annotation(region, expert, rasterise(read_contour(path), shape, name=str(path)))
            for region in self.regions
            for expert in ("expert1", "expert2")
            for path in [record.files[f"{region} {expert}"]]
        ]


def _read_diagnoses(path: Path) -> dict[str, Diagnosis]:
    """Diagnosis by patient number: the sheet has two lines of headings and a line "ID" above the patients "#002"."""
    rows = read_sheet(path)
    diagnosis = column(rows, "Diagnosis", path)
    diagnoses: dict[str, Diagnosis] = {}
    for row in rows:
        patient = re.fullmatch(r"#?(\d+)", row[0])
        if patient:
            # A sheet's whole numbers are floats: 1 reads as 1.0.
            value = re.sub(r"\.0$", "", row[diagnosis])
            diagnoses[str(int(patient[1]))] = meaning(value, _DIAGNOSES, f"Diagnosis of {row[0]}", path)
    return diagnoses
