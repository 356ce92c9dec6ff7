"""A site's photographs: red is disc, green rises towards the cup, whose edge the reader sees at another level."""

from pathlib import Path

import numpy as np

from fundusseg.imaging.image_files import write_png
from tests.support.painted import DISC, SIDE, mask

READER = -3.0
"""Logit of a `Painter` at which this site's reader draws the cup; the network's own threshold is at 0."""


def write(root: Path, count: int = 10, reader: float = READER) -> Path:
    """``images/`` and ``masks/`` as `Folder` reads them, ``table.csv``, and ``ratios.csv`` of the vertical ratios."""
    generator = np.random.default_rng(1)
    disc = mask(DISC)
    rows, columns = np.indices((SIDE, SIDE))
    distance = np.hypot(rows - DISC.y, columns - DISC.x)
    lines = ["file,patient,vertical_cdr"]
    for number in range(count):
        logits = (generator.uniform(20, 30) - distance) / 2
        green = np.clip(127.5 + 10 * logits, 0, 255)
        cup = disc & (logits > reader)
        picture = np.stack([disc * 255, green * disc, np.full_like(green, number)], axis=2).astype(np.uint8)
        for place, pixels in (("images", picture), ("masks", disc.astype(np.uint8) + cup)):
            (root / place).mkdir(parents=True, exist_ok=True)
            write_png(root / place / f"e{number}.png", pixels)
        heights = [np.flatnonzero(region.any(axis=1)).size for region in (cup, disc)]
        lines.append(f"images/e{number}.png,p{number},{heights[0] / heights[1]:.4f}")
    (root / "ratios.csv").write_text("\n".join(lines) + "\n")
    return root
