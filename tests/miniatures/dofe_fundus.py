"""DoFE's Fundus in miniature: four domains, masks whose resizing left values between the codes."""

from pathlib import Path

import cv2

from tests.miniatures.shapes import labels, photograph, save

CROPS = (
    "Domain1/train/gdrishtiGS_002",
    "Domain1/test/ndrishtiGS_001",
    "Domain2/train/N-12-L",
    "Domain2/train/N-12-R",
    "Domain2/test/G-1-R",
    "Domain2/test/S-4-L",
    "Domain3/train/g0001",
    "Domain3/test/n0003",
    "Domain4/train/V0001",
    "Domain4/test/V0002",
)


def build(root: Path) -> None:
    """Write ten crops and their masks, 255 background, 128 rim, 0 cup, edges softened."""
    for seed, crop in enumerate(CROPS):
        folder, _, name = crop.rpartition("/")
        base = root / "Fundus" / folder / "ROIs"
        save(base / "image" / f"{name}.png", photograph(seed))
        save(base / "mask" / f"{name}.png", cv2.GaussianBlur(labels(255, 128, 0), (3, 3), 0))
