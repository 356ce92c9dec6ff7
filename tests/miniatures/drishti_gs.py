"""DRISHTI-GS1 in miniature: training with folders GLAUCOMA and NORMAL, test without, as both are found."""

import shutil
from pathlib import Path

import numpy as np
from openpyxl import Workbook

from tests.miniatures.shapes import CUP, DISC, ellipse, photograph, save

LEVELS = np.array([0, 64, 128, 191, 255], dtype=np.uint8)
SCALES = (1.05, 1.0, 0.95, 0.90)  # of at least 1, 2, 3 and 4 experts: two agree on the ellipse itself


def build(root: Path, count: int = 4, test_truth: str = "Test_GT") -> None:
    """Write ``count`` training and ``count`` test photographs below Drishti-GS1_files."""
    for part, truth, first in (("Training", "GT", 1), ("Test", test_truth, 1 + count)):
        for number in range(first, first + count):
            name = f"drishtiGS_{number:03d}"
            base = root / "Drishti-GS1_files" / part
            folder = ("GLAUCOMA/" if number % 2 else "NORMAL/") if part == "Training" else ""
            save(base / "Images" / f"{folder}{name}.png", photograph(number))
            for axes, kind in ((DISC, "OD"), (CUP, "cup")):
                agreeing = sum(ellipse(axes, scale).astype(np.uint8) for scale in SCALES)
                save(base / truth / name / "SoftMap" / f"{name}_{kind}segSoftmap.png", LEVELS[agreeing])
            (base / truth / name / f"{name}_cdrValues.txt").write_text("0.58 0.60 0.62 0.61")


def build_flat(root: Path, count: int = 4) -> None:
    """Write a copy without Training and Test: Images/{glaucoma,normal} and Test_GT."""
    build(root / "whole", count)
    base = root / "Drishti-GS1_files"
    (root / "whole" / "Drishti-GS1_files" / "Test" / "Test_GT").rename(_made(base / "Test_GT"))
    for number in range(1 + count, 1 + 2 * count):
        name = f"drishtiGS_{number:03d}.png"
        folder = "glaucoma" if number % 2 else "normal"
        (root / "whole" / "Drishti-GS1_files" / "Test" / "Images" / name).rename(_made(base / "Images" / folder / name))
    shutil.rmtree(root / "whole")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_sheet(root: Path, rows: dict[int, tuple[int, str]]) -> None:
    """Write the package's sheet, patient and diagnosis by number: three lines of heading, apostrophes after names."""
    book = Workbook()
    book.active.append(["Drishti-GS1 diagnosis", None, None, None])
    book.active.append([None, None, "Expert markings", None])
    book.active.append(["Drishti-GS File", "Patient ID", "Marking 1", "Total"])
    for number, (patient, total) in rows.items():
        book.active.append([f"drishtiGS_{number:03d}'", patient, "Normal", total])
    book.save(root / "Drishti-GS1_diagnosis.xlsx")
