"""RIM-ONE r2 in miniature: masks as BMP in one folder and as JPEG, with blurred outlines, in the other, or in both."""

from pathlib import Path

import numpy as np

from tests.miniatures.shapes import ellipse, photograph, save

NUMBERS = {"Normal": ("001", "003"), "Glaucoma and glaucoma suspicious": ("256",)}


def build(root: Path, both: bool = False) -> None:
    """Write three images, their outlines as text and their masks."""
    for folder, numbers in NUMBERS.items():
        base = root / "RIM-ONE r2"
        endings = ("bmp", "jpg") if both else ("bmp",) if folder == "Normal" else ("jpg",)
        for number in numbers:
            save(base / folder / f"Im{number}.jpg", photograph(int(number)))
            (base / folder / f"Im{number}-gs.txt").write_text("60\n46\n80\n50\nEllipse parameters\n60\n46\n52\n60\n0\n")
            for ending in endings:
                save(base / f"{folder} segmentation" / f"Im{number}-gs_mask.{ending}", ellipse().astype(np.uint8) * 255)
