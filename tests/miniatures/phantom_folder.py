"""Phantoms as a user's own folder of pictures and masks."""

from pathlib import Path

import numpy as np

from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import write_png


def write_folder(root: Path, count: int, seed: int = 0, changed: frozenset[str] = frozenset()) -> Path:
    """Phantoms as files; those that are ``changed`` show another eye, inverted, with masks to match."""
    others = Phantom(count=count, size=96, seed=seed + 1000)
    for number, sample in enumerate(Phantom(count=count, size=96, seed=seed)):
        name, image = sample.record.name, sample.image
        if name in changed:
            sample = others[number]
            image = 255 - sample.image
        disc, cup = (sample.of(region)[0].mask for region in ("disc", "cup"))
        for place, pixels in (("images", image), ("masks", disc.astype(np.uint8) + (disc & cup))):
            (root / place).mkdir(parents=True, exist_ok=True)
            write_png(root / place / f"{name}.png", pixels)
    return root
