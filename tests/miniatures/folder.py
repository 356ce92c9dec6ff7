"""A user's own folder in miniature, with every code."""

from pathlib import Path

import numpy as np

from tests.miniatures.shapes import CUP, DISC, ellipse, photograph, save

CODES = {"0/1/2": (0, 1, 2), "0/128/255": (0, 128, 255), "255/128/0": (255, 128, 0)}
BINARY = ("folders", "suffix")
NAMES = ("a_left", "a_right", "b_left")
TABLE = (
    "image,patient,eye,diagnosis,split\na_left.jpg,a,OS,glaucoma,train\na_right,a,OD,,train\nb_left,b,OS,healthy,test\n"
)


def build(root: Path, code: str = "0/1/2", first_seed: int = 0) -> None:
    """Write three photographs with masks in a code, or binary in ``folders`` or with a ``suffix``."""
    masks = {"disc": ellipse(DISC), "cup": ellipse(CUP)}
    for seed, name in enumerate(NAMES, first_seed):
        save(root / "images" / f"{name}.jpg", photograph(seed))
        if code in CODES:
            table = np.array(CODES[code], dtype=np.uint8)
            whole = table[masks["disc"].astype(int) + masks["cup"]]
            save(root / "masks" / f"{name}.png", whole)
        for region, mask in masks.items() if code in BINARY else ():
            place = f"{region}/{name}.png" if code == "folders" else f"{name}_{region}.png"
            save(root / "masks" / place, mask.astype(np.uint8) * 255)
    (root / "table.csv").write_text(TABLE)


def build_discs(root: Path, first_seed: int = 0) -> None:
    """Write three photographs whose masks are of the disc alone."""
    for seed, name in enumerate(NAMES, first_seed):
        save(root / "images" / f"{name}.jpg", photograph(seed))
        save(root / "masks" / f"{name}.png", ellipse(DISC).astype(np.uint8) * 255)
    (root / "table.csv").write_text(TABLE)
