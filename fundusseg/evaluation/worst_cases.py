"""The worst cases of each source, as pictures: outlines of prediction and ground truth, cut out around both."""

import math
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fundusseg.atomic_file import write_whole
from fundusseg.imaging.image_files import encode_jpeg
from fundusseg.imaging.roi import Box, disc_box
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.measures.picture_scores import Mask
from fundusseg.reports.overlay import overlay
from fundusseg.sample import Image, Region

SIDE = 640
"""Pixels of a picture's longer side."""

# Old protocol names too: an evaluation before may have left them.
_OURS = re.compile(r"_(automatic_roi|ground_truth_roi|clean|seed)_\d+_.*\.jpg$")

_AROUND = 1.4
"""Side of the cut-out over that of the box around all outlines."""


class WorstCases:
    """Keeps the pictures with the lowest Dice of each protocol and source; threads may offer at once.

    Args:
        count: Pictures of each.
    """

    def __init__(self, count: int = 5) -> None:
        self.count = count
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], list[tuple[float, str, bytes]]] = {}

    def offer(
        self,
        row: Mapping[str, Any],
        image: Image,
        labels: Image,
        truth: Mapping[Region, Mask],
        regions: Sequence[Region],
    ) -> None:
        """Keep one picture if it is among the worst so far.

        Args:
            row: Its numbers; the first labelled region's Dice counts.
            image: H x W x 3 uint8.
            labels: H x W, what was found.
            truth: H x W bool of each labelled region.
            regions: What the label map was made with.
        """
        dice = row[f"{next(region for region in regions if region in truth)}_dice"]
        # An undefined Dice is no low one and comes last; the name decides ties, whichever thread is first.
        key, rank = (row["protocol"], row["source"]), (math.inf if math.isnan(dice) else dice, row["name"])
        # Drawing takes long: the lock is held to look and to keep, never to draw.
        with self._lock:
            kept = self._kept.get(key, [])
            if len(kept) == self.count and kept[-1][:2] < rank:
                return
        picture = encode_jpeg(draw_case(image, labels, truth, regions))
        with self._lock:
            kept = self._kept.get(key, [])
            self._kept[key] = sorted([*kept, (*rank, picture)])[: self.count]

    def write(self, folder: Path) -> list[dict[str, Any]]:
        """Write SOURCE_PROTOCOL_RANK_NAME.jpg, the worst first; pictures of an evaluation before are removed.

        Returns:
            Protocol, source, name, Dice and file of each.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for before in folder.glob("*.jpg"):
            if _OURS.search(before.name):
                before.unlink()
        listed = []
        for (protocol, source), kept in sorted(self._kept.items()):
            for rank, (dice, name, picture) in enumerate(kept, 1):
                file = folder / f"{_safe(source)}_{protocol}_{rank}_{_safe(name)}.jpg"
                write_whole(file, picture)
                row = {"protocol": protocol, "source": source, "name": name, "dice": dice, "file": file.name}
                listed.append(row)
        return listed


def draw_case(image: Image, labels: Image, truth: Mapping[Region, Mask], regions: Sequence[Region]) -> Image:
    """Predicted outlines in colour and true ones in white, cut out around both.

    Returns:
        H x W x 3 uint8, at most `SIDE` pixels a side.
    """
    true = label_map_of_masks(truth, regions)
    box = _place((labels > 0) | (true > 0))
    rows = slice(max(0, box.top), min(image.shape[0], box.top + box.height))
    columns = slice(max(0, box.left), min(image.shape[1], box.left + box.width))
    part = image[rows, columns]
    scale = SIDE / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    found, true = (
        np.asarray(cv2.resize(plane[rows, columns], size, interpolation=cv2.INTER_NEAREST), np.uint8)
        for plane in (labels, true)
    )
    shrunk = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return overlay(np.asarray(shrunk, np.uint8), found, true, regions)


def _place(marked: Mask) -> Box:
    """A square around all that is marked; everything where nothing is."""
    return disc_box(marked, _AROUND) if marked.any() else Box(0, 0, *marked.shape)


def _safe(name: str) -> str:
    """A name that is one file on every system."""
    return "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in name)
