"""RIGA in miniature: phantoms, and copies with lines drawn on them; misspelt folders, copies without photograph."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fundusseg.datasets import Phantom

SIZE = 384
PENS = ((0, 255, 0), (0, 0, 0), (30, 60, 200), (0, 0, 0), (0, 255, 0), (255, 255, 0))
PRIMES = {  # the photograph, and the endings of the six copies
    "BinRushedcorrected/BinRushed/BinRushed1-Corrected/image1prime.jpg": ("jpg", "jpg", "tif", "jpg", "jpg", "jpg"),
    "BinRushedcorrected/BinRushed/BinRushed2/image1prime.tif": ("jpg",) * 6,
    "Magrabia/Magrabia/MagrabiaMale/image7prime.tif": ("tif",) * 6,
    "Magrabia/Magrabia/MagrabiFemale/image7prime.tif": ("tif",) * 6,
    "MESSIDOR/MESSIDOR/image1prime.tif": ("tif",) * 6,
}
ALONE = (
    "BinRushedcorrected/BinRushed/BinRushed1/image1-1.jpg",
    "BinRushedcorrected/BinRushed/BinRushed1/image1-2.jpg",
    "Magrabia/Magrabia/MagrabiFemale/image48-1.tif",
    "Magrabia/Magrabia/MagrabiFemale/Image48-1.tif",
)
PHANTOM = Phantom(count=len(PRIMES) + 1, size=SIZE, seed=13)


def truth(name: str):
    """The ellipses of one photograph, by the place of its record's name in the order of `PRIMES`."""
    folders = [Path(place).parent.name.lower() for place in PRIMES]
    return PHANTOM.truth(PHANTOM.records[folders.index(name.rpartition("_")[0])])


def build(root: Path) -> None:
    """Write five photographs with six drawn copies each, and four copies without a photograph."""
    for number, (place, endings) in enumerate(PRIMES.items()):
        record = PHANTOM.records[number]
        plain, shapes = PHANTOM.load(record).image, PHANTOM.truth(record)
        prime = root / "RIGA" / place
        write(prime, plain)
        for expert, ending in enumerate(endings, 1):
            copy = plain.copy()
            for shape in (shapes.disc, shapes.cup):
                draw(copy, shape, PENS[expert - 1], width=1 + expert % 3)
            stem = prime.name.split("prime")[0]
            stem = stem.replace("image", "Image") if "Male" in place and expert == 1 else stem
            write(prime.with_name(f"{stem}-{expert}.{ending}"), copy)
    for place in ALONE:
        write(root / "RIGA" / place, PHANTOM[len(PRIMES)].image)


def draw(picture, shape, colour, width: int = 1, part: float = 1.0) -> None:
    """Draw an ellipse's line in place, or a part of it."""
    turn = np.linspace(0, 2 * np.pi * part, 400, endpoint=part < 1)
    along, across = shape.a * np.cos(turn), shape.b * np.sin(turn)
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    points = np.stack([shape.x + along * cos - across * sin, shape.y + along * sin + across * cos], axis=1)
    line = np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(picture, [line], part == 1, colour, width, cv2.LINE_AA, shift=4)


def write(path: Path, pixels) -> None:
    """Write a picture in the format of its name; JPEG as cameras do, with every second colour left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 85} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(path, **options)
