"""The ISBI 2012 membranes in miniature: PNG files, or two TIFF stacks; 255 is not membrane."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.miniatures.shapes import ellipse, photograph, save

COUNT = 11  # two digits, so that names must sort by number


def membrane(number: int):
    """A ring, another for each section."""
    return ellipse(scale=1.0 + number / 50) & ~ellipse(scale=0.8)


def build(root: Path, stack: bool = False) -> None:
    """Write eleven grey sections and their masks."""
    sections = [photograph(number)[..., 0] for number in range(COUNT)]
    masks = [np.where(membrane(number), 0, 255).astype(np.uint8) for number in range(COUNT)]
    base = root / "ISBI"
    base.mkdir(parents=True, exist_ok=True)
    if stack:
        for name, pages in (("train-volume", sections), ("train-labels", masks)):
            first, *rest = (Image.fromarray(page) for page in pages)
            first.save(base / f"{name}.tif", save_all=True, append_images=rest)
        return
    for number, (section, mask) in enumerate(zip(sections, masks, strict=True)):
        save(base / "image" / f"{number}.png", section)
        save(base / "label" / f"{number}.png", mask)
