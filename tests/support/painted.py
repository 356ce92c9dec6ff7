"""Photographs in which red is what a network finds as disc and green what it finds as cup, and masks beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from fundusseg.data.preparation import Preparation
from fundusseg.data.splits import Split
from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.imaging.image_files import write_png
from fundusseg.models.checkpoint import KEY, Description

SIDE = 256
DISC = Ellipse(x=128.0, y=120.0, a=50.0, b=60.0, angle=0.0)
CUP = Ellipse(x=128.0, y=120.0, a=25.0, b=30.0, angle=0.0)


def mask(ellipse: Ellipse, right: int = 0, down: int = 0) -> np.ndarray:
    """The ellipse's pixels, moved."""
    return np.roll(ellipse.mask((SIDE, SIDE)), (down, right), (0, 1))


def picture(disc: np.ndarray, cup: np.ndarray) -> np.ndarray:
    """What a `Painter` finds; without a disc it is black."""
    return np.stack([disc * np.uint8(255), cup * np.uint8(255), np.zeros_like(disc, np.uint8)], axis=2)


def folder(root: Path, found: Mapping[str, tuple[np.ndarray, np.ndarray]], lines: Sequence[str] = ()) -> Path:
    """A folder of pictures with what is found in each, all with the masks of `DISC` and `CUP`; its table's lines."""
    for name, (disc, cup) in found.items():
        for place, pixels in (("images", picture(disc, cup)), ("masks", mask(DISC).astype(np.uint8) + mask(CUP))):
            (root / place).mkdir(parents=True, exist_ok=True)
            write_png(root / place / f"{name}.png", pixels)
    if lines:
        (root / "table.csv").write_text("\n".join(["image,patient,eye,diagnosis,split", *lines]) + "\n")
    return root


def data(root: Path, name: str = "folder", **settings) -> dict:
    """A data section of one such folder."""
    reader = {"root": str(root), "name": name, **settings}
    return {"datasets": [{"class_path": "fundusseg.datasets.Folder", "init_args": reader}]}


def checkpoint(
    path: Path,
    split: Split | None = None,
    section: dict | None = None,
    regions: Sequence[str] = ("disc", "cup"),
    thresholds: float = 0.5,
    **preparation,
) -> str:
    """A network that reads its answer off the picture."""
    network = {"class_path": "tests.support.painter.Painter", "init_args": {"regions": len(regions)}}
    how = Preparation(tuple(regions), **{"image_size": SIDE, "roi": "picture", **preparation})
    text = yaml.safe_dump({"data": section}) if section else ""
    description = Description("0.1", network, how, dict.fromkeys(regions, thresholds), {"made": "free"}, text, split)
    torch.save({KEY: description.as_dict(), "state_dict": {}}, path)
    return str(path)
