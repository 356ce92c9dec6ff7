"""A site's store of known answer: the network finds disc and cup, and readers see the cup at another level."""

import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fundusseg.data.splits import Split
from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import encode_png
from fundusseg.inference import model_bundle
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.measures.contours import as_json, contours
from fundusseg.measures.cup_disc import measure
from fundusseg.reports.files import plain
from fundusseg.service.documents import digest
from fundusseg.service.grading import Posted
from fundusseg.service.measure_routes import Drawn, measured
from fundusseg.service.store import Store
from tests.support import painted
from tests.support.painted import SIDE

READER = -3.0
"""Logit at which the site's readers draw the cup; the network's own threshold is at 0."""


def picture(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photograph, disc and the logits of its cup; each at a place and of a size of its own."""
    generator = np.random.default_rng(number)
    right, down = (int(step) for step in generator.integers(-50, 51, 2))
    disc = painted.mask(painted.DISC, right, down)
    rows, columns = np.indices((SIDE, SIDE))
    distance = np.hypot(rows - painted.DISC.y - down, columns - painted.DISC.x - right)
    logits = (generator.uniform(18, 32) - distance) / 2
    green = np.clip(127.5 + 10 * logits, 0, 255)
    return (
        np.stack([disc * 255, green * disc, np.full_like(green, number % 256)], axis=2).astype(np.uint8),
        disc,
        logits,
    )


def write_champion(path: Path, threshold: float = 0.5) -> Path:
    """A bundle whose network reads its answer off the picture."""
    checkpoint = path.with_suffix(".ckpt")
    painted.checkpoint(checkpoint, Split(("x/1",), ("x/2",), ()), thresholds=threshold)
    model_bundle.save(path, [checkpoint], None, None)
    return path


def add(store: Store, champion: Path, number: int, patient: str = "") -> str:
    """One photograph with what the champion finds in it."""
    return add_image(store, champion, picture(number)[0], patient or f"P{number}")


def add_image(store: Store, champion: Path, image: np.ndarray, patient: str) -> str:
    """Any photograph."""
    content = encode_png(image)
    found = Predictor(Bundle.load(champion))(image)
    document = {
        "file": f"{patient}.png",
        "sha256": digest(content),
        "width": image.shape[1],
        "height": image.shape[0],
        "measures": plain({"eye": "", "verdict": found.verdict, **_ratios(found.label_map)}),
        "contours": as_json(found.outlines),
    }
    maker = {"digest": "0" * 64, "version": "0.1"}
    store.add_photograph(document, content, patient, "anna", maker, "{}")
    return document["sha256"]


def outline(number: int, reader: float = READER) -> np.ndarray:
    """The label map that a reader draws."""
    _, disc, logits = picture(number)
    return disc.astype(np.uint8) + (disc & (logits > reader))


def correct(store: Store, photograph: str, labels: np.ndarray, grader: str = "anna", round: int = 1) -> None:
    """Keep a grader's outline."""
    posted = Posted(
        id=str(uuid.uuid4()),
        photograph=photograph,
        grader=grader,
        round=round,
        decision="correct",
        contours=as_json(contours(labels)),
    )
    store.grade(posted, False, _measured)


def fill(
    store: Store, champion: Path, numbers: Sequence[int], reader: float = READER, grader: str = "anna"
) -> list[str]:
    """Photographs, each of a patient of its own, and a reader's corrections."""
    added = [add(store, champion, number) for number in numbers]
    for number, photograph in zip(numbers, added, strict=True):
        correct(store, photograph, outline(number, reader), grader)
    return added


def fill_phantoms(store: Store, champion: Path, count: int, corrected: int) -> None:
    """Synthetic photographs of `Phantom`, the first ones corrected to their ground truth."""
    for number, sample in enumerate(Phantom(count=count, size=96, seed=5)):
        photograph = add_image(store, champion, sample.image, f"F{number}")
        if number < corrected:
            masks = {one.region: one.mask for one in sample.annotations}
            correct(store, photograph, masks["disc"].astype(np.uint8) + (masks["disc"] & masks["cup"]))


def _measured(outlines: dict, eye: str, photograph: dict) -> dict:
    size = {name: photograph[name] for name in ("width", "height")}
    return measured(Drawn.model_validate({**size, "contours": outlines, "eye": eye or None}))


def _ratios(labels: np.ndarray) -> dict[str, float]:
    return {"vertical_cdr": measure(labels).vertical_cdr}
