"""G1020 in miniature: LabelMe polygons or masks, the last photograph without a cup."""

import json
from pathlib import Path

import numpy as np

from tests.miniatures.shapes import CUP, DISC, HEIGHT, WIDTH, labels, outline, photograph, save

TABLE = "imageID,binaryLabels\nimage_0.jpg,0\nimage_1.jpg,1\nimage_12.jpg,0\n"
NUMBERS = (0, 1, 12)
WITHOUT_CUP = 12


def polygons(cup: bool = True) -> dict:
    """A LabelMe file's content."""
    shapes = [
        {"label": "disc", "shape_type": "polygon", "points": outline(DISC, points=200).tolist()},
        {"label": "discLoc", "shape_type": "rectangle", "points": [[30.0, 10.0], [90.0, 80.0]]},
    ]
    if cup:
        shapes.append({"label": "cup", "shape_type": "polygon", "points": outline(CUP, points=200).tolist()})
    return {"version": "3.6.16", "shapes": shapes, "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}


def build(root: Path, drawn: str = "json", table: bool = True) -> None:
    """Write three photographs with ``json`` polygons, ``png`` masks or ``both``."""
    base = root / "G1020"
    for number in NUMBERS:
        cup = number != WITHOUT_CUP
        save(base / "Images" / f"image_{number}.jpg", photograph(number))
        if drawn in ("json", "both"):
            (base / "Images" / f"image_{number}.json").write_text(json.dumps(polygons(cup)))
        if drawn in ("png", "both"):
            save(base / "Masks" / f"image_{number}.png", np.minimum(labels(0, 1, 2), 2 if cup else 1))
    if table:
        (base / "G1020.csv").write_text(TABLE)
