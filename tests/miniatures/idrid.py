"""IDRiD in miniature: numbered folders, masks of 0 and 76, and a lesion's mask that is passed over."""

from pathlib import Path

import numpy as np

from tests.miniatures.shapes import ellipse, photograph, save

PARTS = {"a. Training Set": ("01", "02"), "b. Testing Set": ("55",)}


def build(root: Path, first_seed: int = 0) -> None:
    """Write three photographs and their disc masks."""
    base = root / "A. Segmentation"
    truth = base / "2. All Segmentation Groundtruths"
    for part, numbers in PARTS.items():
        for number in numbers:
            save(base / "1. Original Images" / part / f"IDRiD_{number}.jpg", photograph(first_seed + int(number)))
            save(truth / part / "5. Optic Disc" / f"IDRiD_{number}_OD.tif", ellipse().astype(np.uint8) * 76)
            save(truth / part / "1. Microaneurysms" / f"IDRiD_{number}_MA.tif", ellipse().astype(np.uint8))


def build_other_parts(root: Path) -> None:
    """Write parts B and C beside A: numbers of three digits, and no mask of the disc."""
    for part in ("B. Disease Grading", "C. Localization"):
        for folder, number in (("a. Training Set", "001"), ("b. Testing Set", "001")):
            save(root / part / "1. Original Images" / folder / f"IDRiD_{number}.jpg", photograph(int(number)))
    table = root / "C. Localization" / "2. Groundtruths" / "1. Optic Disc Center Location"
    table.mkdir(parents=True)
    (table / "a. IDRiD_OD_Center_Training Set_Markups.csv").write_text(
        "Image No,X- Coordinate,Y - Coordinate\nIDRiD_001,60,46\n"
    )
