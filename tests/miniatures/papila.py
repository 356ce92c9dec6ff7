"""PAPILA in miniature: both eyes of two patients, contours of two experts, and sheets with three odd lines on top."""

from pathlib import Path

from openpyxl import Workbook

from tests.miniatures.shapes import CUP, DISC, outline, photograph, save, write_contour

DIAGNOSES = {"OD": {"#002": 0, "#004": 1}, "OS": {"#002": 2, "#004": 1}}


def build(root: Path, tables: bool = True) -> None:
    """Write four photographs with two experts' contours, the second's 4% larger."""
    base = root / "PapilaDB"
    for eye, diagnoses in DIAGNOSES.items():
        for number, patient in enumerate(diagnoses):
            name = f"RET{patient[1:]}{eye}"
            save(base / "FundusImages" / f"{name}.jpg", photograph(number + 10 * len(eye)))
            for region, axes in (("disc", DISC), ("cup", CUP)):
                for expert, scale in ((1, 1.0), (2, 1.04)):
                    path = base / "ExpertsSegmentations" / "Contours" / f"{name}_{region}_exp{expert}.txt"
                    write_contour(path, outline(axes, scale, points=60))
        if tables:
            write_sheet(base / "ClinicalData" / f"patient_data_{eye.lower()}.xlsx", diagnoses)


def write_sheet(path: Path, diagnoses: dict) -> None:
    """Write a sheet as it was published: headings, merged headings, a line "ID", then the patients."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    book.active.append([None, "Age", "Gender", "Diagnosis", "Refractive Defect", None, None])
    book.active.append([None, "Age", "Gender", "Diagnosis", "dioptre_1", "dioptre_2", "astigmatism"])
    book.active.append(["ID", None, None, None, None, None, None])
    for patient, diagnosis in diagnoses.items():
        book.active.append([patient, 47, 0, diagnosis, 0.75, -1.75, 90])
    book.save(path)
