"""RIM-ONE r3 in miniature: two views side by side, masks on the left one, numbers with a gap."""

from pathlib import Path

import numpy as np

from tests.miniatures.shapes import CUP, DISC, HEIGHT, WIDTH, ellipse, photograph, save

NAMES = ("N-1-L", "N-2-R", "G-1-R", "S-4-L")
FOLDERS = {"N": "Healthy", "G": "Glaucoma and suspects", "S": "Glaucoma and suspects"}
SCALES = {"Expert1": 1.0, "Expert2": 1.08, "Average": 1.04}


def build(root: Path) -> None:
    """Write four stereo photographs with the masks of two experts and their average."""
    for number, name in enumerate(NAMES):
        base = root / "RIM-ONE r3" / FOLDERS[name[0]]
        views = [photograph(number), photograph(number + 50)]
        save(base / "Stereo Images" / f"{name}.jpg", np.concatenate(views, axis=1))
        for who, scale in SCALES.items():
            ending = "Avg" if who == "Average" else f"exp{who[-1]}"
            middle = "" if who == "Average" else "-1"
            for region, axes in (("Disc", DISC), ("Cup", CUP)):
                mask = np.zeros((HEIGHT, 2 * WIDTH), np.uint8)
                mask[:, :WIDTH] = ellipse(axes, scale) * 255
                save(base / f"{who}_masks" / f"{name}{middle}-{region}-{ending}.png", mask)
