"""MASD in miniature: a folder for each person, and blanks in the photographs' names that the masks' lack."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tests.miniatures.shapes import ellipse, photograph, save

NAMES = (("0001", 1), ("0001", 11), ("0002", 1))


def build(root: Path, names: Sequence[tuple[str, int]] = NAMES) -> None:
    """Write photographs, three of two people by default, and their masks of 1 bit."""
    for seed, (person, number) in enumerate(names):
        save(root / "sclera" / "image" / person / f"1  ({number}).jpg", photograph(seed))
        path = root / "sclera" / "label" / person / f"1({number}).png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ellipse()).save(path)
