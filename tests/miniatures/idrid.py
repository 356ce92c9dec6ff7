"""IDRiD in miniature: numbered folders, masks of 0 and 76, and a lesion's mask that is passed over."""

from pathlib import Path

import numpy as np

from tests.miniatures.shapes import ellipse, photograph, save

PARTS = {"a. Training Set": ("01", "02"), "b. Testing Set": ("55",)}


def build(root: Path) -> None:
    """Write three photographs and their disc masks."""
    base = root / "A. Segmentation"
    truth = base / "2. All Segmentation Groundtruths"
    for part, numbers in PARTS.items():
        for number in numbers:
            save(base / "1. Original Images" / part / f"IDRiD_{number}.jpg", photograph(int(number)))
            save(truth / part / "5. Optic Disc" / f"IDRiD_{number}_OD.tif", ellipse().astype(np.uint8) * 76)
            save(truth / part / "1. Microaneurysms" / f"IDRiD_{number}_MA.tif", ellipse().astype(np.uint8))
