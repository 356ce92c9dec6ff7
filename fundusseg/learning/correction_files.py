"""Corrections as datasets that `fundusseg.datasets.Folder` reads, for as long as a round takes; without names."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusseg.data.plausibility import find_doubts
from fundusseg.datasets import Folder
from fundusseg.errors import ImplausibleMaskError
from fundusseg.imaging.image_files import encode_png, read_with_light
from fundusseg.inference.predictor import Predictor
from fundusseg.learning.corrections import Correction, by_photograph, consensus, part_of, pseudonym
from fundusseg.measures.label_map import label_map, region_mask
from fundusseg.reports.files import csv_text
from fundusseg.sample import CUP, DISC, Annotation, Image, Record, Sample
from fundusseg.service.store import Store

SITE, REHEARSAL = "site", "rehearsal"
"""Names of the two sources."""

LEVELS = (0.25, 0.5, 0.75)
"""A soft outline is written as nested masks, an expert each, whose mean is the training's target."""

_NAME = 16
"""Digits of a photograph's digest that name its files, as in the store's export."""


def write_corrections(
    folder: Path, store: Store, corrections: Sequence[Correction], weights: Mapping[str, float], soft: bool
) -> Folder:
    """Write photographs and their consensus.

    Args:
        folder: A new folder.
        store: Where the photographs are.
        corrections: Outlines of one or several graders each.
        weights: Of the graders.
        soft: Keep where graders differ, for training; else one mask, at half of the weight.
    """
    rows = []
    for identity, several in by_photograph(corrections).items():
        shares = consensus(several, dict(weights))
        levels = LEVELS if soft and not np.isin(shares, (0, 1)).all() else (0.5,)
        masks = {level: shares >= level for level in levels}
        if not all(mask[0].any() for mask in masks.values()):
            masks = {0.5: shares >= shares[0].max()}
        image = read_with_light(store.content(identity))[0]
        if plausible(identity, image, masks):
            rows.append(_write(folder, identity, several[0].patient, image, masks, store.photograph(identity)["eye"]))
    return _dataset(folder, SITE, rows)


def write_rehearsal(
    folder: Path, store: Store, predictor: Predictor, without: Iterable[str], count: int
) -> Folder | None:
    """Write photographs nobody has corrected with the champion's own soft outlines, of patients to learn from alone.

    None where it finds no disc in any of them.

    Args:
        folder: A new folder.
        store: Where the photographs are.
        predictor: The champion.
        without: Photographs that are corrected.
        count: At most so many, spread over the store.
    """
    corrected = set(without)
    free = [one for one in store.predicted() if one["id"] not in corrected and part_of(one["patient"]) == "train"]
    rows = []
    for one in free[:: max(1, len(free) // count)][:count]:
        image = read_with_light(store.content(one["id"]))[0]
        found = predictor(image)
        regions = predictor.description.preparation.regions
        if found.verdict == "reject" or not found.views or not {DISC, CUP} <= set(regions):
            continue
        probabilities, masks = found.probabilities, {}
        for level in LEVELS:
            labels = label_map(probabilities, regions, level)
            masks[level] = np.stack([region_mask(labels, region, regions) for region in (DISC, CUP)])
        if all(mask[0].any() for mask in masks.values()) and plausible(one["id"], image, masks):
            rows.append(_write(folder, one["id"], one["patient"], image, masks, one["eye"]))
    return _dataset(folder, REHEARSAL, rows) if rows else None


def plausible(identity: str, image: Image, masks: Mapping[float, npt.NDArray[np.bool_]]) -> bool:
    """Whether a training will take them: one that no eye can have would end it."""
    annotations = [
        Annotation(region, f"level{level:g}", mask)
        for level, both in masks.items()
        for region, mask in zip((DISC, CUP), both, strict=True)
    ]
    name = identity[:_NAME]
    try:
        find_doubts(Sample(Record(SITE, name, Path(name), name, (DISC, CUP)), image, tuple(annotations)))
    except ImplausibleMaskError:
        return False
    return True


def _write(
    folder: Path, identity: str, patient: str, image: Image, masks: Mapping[float, npt.NDArray[np.bool_]], eye: str
) -> dict[str, str]:
    """One photograph with (2, H, W) masks of each level; its row of the table."""
    name = identity[:_NAME]
    files = {folder / "images" / f"{name}.png": image}
    for level, both in masks.items():
        for region, mask in zip((DISC, CUP), both, strict=True):
            files[folder / "masks" / f"level{level:g}" / region / f"{name}.png"] = mask.astype(np.uint8) * np.uint8(255)
    for path, pixels in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(pixels))
    return {"image": name, "patient": pseudonym(patient), "eye": eye}


def _dataset(folder: Path, name: str, rows: Sequence[dict[str, str]]) -> Folder:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photographs.csv").write_text(csv_text(rows), encoding="utf-8")
    return Folder(folder, name=name, csv="photographs.csv", empty_cup=True)
