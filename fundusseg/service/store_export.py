"""A store as a dataset that `fundusseg.datasets.Folder` reads, every grader an expert; and its gradings as a table."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fundusseg.imaging.image_files import SUFFIXES, encode_png
from fundusseg.measures.contours import filled
from fundusseg.measures.label_map import region_mask
from fundusseg.reports.files import csv_text
from fundusseg.sample import CUP, DISC
from fundusseg.service.grading import Grading, latest
from fundusseg.service.store import Store

ADJUDICATED = "adjudicated"
"""The expert whose masks settle between graders."""

_NAME = 16
"""Digits of a photograph's digest that name its files: patients' names are in the table alone."""

_RATIOS = ("vertical_cdr", "horizontal_cdr", "area_cdr")

README = """This folder is read by fundusseg.datasets.Folder: `root` is this folder, `csv: photographs.csv`; give
`empty_cup: true` where a grader found discs without a cup. masks/EXPERT/REGION/NAME.png are 0 outside and 255 inside.
Photographs without an outline by anybody are left out. gradings.csv holds every decision, repeats and rejections too.
"""


def grading_rows(store: Store) -> list[dict[str, Any]]:
    """A row for each grading: who, when, what, before and after."""
    photographs = {one["id"]: one for one in store.predicted()}
    rows = []
    for grading in store.gradings():
        photograph = photographs[grading.photograph]
        before = store.prediction(grading.photograph, grading.predicted)["measures"]
        row = {name: photograph[name] for name in ("id", "file", "patient")}
        row |= {"name": grading.photograph[:_NAME], "grading": grading.id}
        said = ("grader", "round", "decision", "adjudication", "masked", "eye", "reason", "comment", "at")
        row |= {name: getattr(grading, name) for name in said}
        row |= {f"before_{name}": before.get(name) for name in _RATIOS}
        row |= {"bundle": grading.bundle, "version": grading.version, "chosen": grading.chosen}
        rows.append(row | {f"after_{name}": value for name, value in (grading.measures or {}).items()})
    return rows


def outlines_by_expert(gradings: Iterable[Grading]) -> dict[str, dict[str, Grading]]:
    """Of each photograph what stands of each grader's first round, and what was adjudicated, by the expert's name."""
    gradings = list(gradings)
    names = _expert_names({grading.grader for grading in gradings})
    found: dict[str, dict[str, Grading]] = {}
    for (identity, grader, round), grading in latest(gradings).items():
        if round == 1 and grading.after is not None:
            found.setdefault(identity, {})[names[grader]] = grading
    for grading in gradings:
        if grading.adjudication and grading.after is not None:
            found.setdefault(grading.photograph, {})[ADJUDICATED] = grading
    return found


def dataset(store: Store) -> Iterator[bytes]:
    """The dataset as a ZIP file, piece by piece: no more than a photograph is in memory, and nothing on the disk."""
    sink = _Sink()
    experts = outlines_by_expert(store.gradings())
    photographs = [one for one in store.predicted() if one["id"] in experts]
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("README.txt", README)
        table = [
            {"image": one["id"][:_NAME], "patient": one["patient"], "eye": one["eye"], "file": one["file"]}
            for one in photographs
        ]
        archive.writestr("photographs.csv", csv_text(table))
        archive.writestr("gradings.csv", csv_text(grading_rows(store)))
        yield sink.taken()
        for one in photographs:
            name = one["id"][:_NAME]
            archive.writestr(f"images/{name}{_suffix(one['file'])}", store.content(one["id"]))
            for expert, grading in experts[one["id"]].items():
                labels = filled(grading.after or {}, (one["height"], one["width"]))
                for region in (DISC, CUP):
                    mask = region_mask(labels, region).view(np.uint8) * np.uint8(255)
                    archive.writestr(f"masks/{expert}/{region}/{name}.png", encode_png(mask))
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Where the ZIP goes, taken away piece by piece; it cannot seek, which the format allows for."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What came since the last time."""
        content = b"".join(self.parts)
        self.parts.clear()
        return content


def _expert_names(graders: Iterable[str]) -> dict[str, str]:
    """Names that every file system takes, no two alike, none that a region or the adjudicated has."""
    names: dict[str, str] = {}
    taken = {ADJUDICATED, DISC, CUP}
    for grader in sorted(graders):
        name = plain = re.sub(r"[^a-z0-9-]+", "-", grader.lower()).strip("-") or "grader"
        number = 1
        while name in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name)
        names[grader] = name
    return names


def _suffix(file: str) -> str:
    """A picture's ending; files are read by their content, whatever it says."""
    suffix = Path(file).suffix.lower()
    return suffix if suffix in SUFFIXES else ".png"
