"""What a store's graders say of its photographs, each patient in one part for ever: to learn, to choose, or frozen."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fundusseg.measures.contours import filled
from fundusseg.sample import Image
from fundusseg.service.grading import Grading, latest
from fundusseg.service.store import Store

Part = Literal["train", "val", "frozen"]

FROZEN, CHOSEN = 0.3, 0.15
"""Shares of patients who are compared on and never learnt from, and on whom a training's weights are chosen."""

SIZE = 64
"""Pixels of the grid on which outlines of different photographs are laid over each other."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One grader's standing outline of one photograph.

    Attributes:
        photograph: SHA-256 of its bytes.
        patient: As the store has it.
        grader: Who drew or accepted it; of an adjudication, who settled.
        adjudicated: Whether it settles between graders.
        after: Outlines of disc and cup.
        before: Outlines that the network found when the photograph came in.
        size: Height and width of the photograph.
        vertical_cdr: Of ``after``; None where there is none.
        found_cdr: Of ``before``.
    """

    photograph: str
    patient: str
    grader: str
    adjudicated: bool
    after: dict[str, Any]
    before: dict[str, Any]
    size: tuple[int, int]
    vertical_cdr: float | None
    found_cdr: float | None

    @property
    def part(self) -> Part:
        """Of its patient."""
        return part_of(self.patient)

    def label_map(self) -> Image:
        """H x W uint8: 0 background, 1 rim, 2 cup."""
        return filled(self.after, self.size)


def pseudonym(patient: str) -> str:
    """What stands for a patient outside the store: 16 digits of a digest."""
    return hashlib.sha256(f"fundusseg patient {patient}".encode()).hexdigest()[:16]


def part_of(patient: str) -> Part:
    """A patient's part, by name alone: nothing has to be remembered, and no later patient moves an earlier one.

    >>> part_of("P1") == part_of("P1")
    True
    """
    place = int(pseudonym(patient), 16) / 2**64
    return "frozen" if place < FROZEN else "val" if place < FROZEN + CHOSEN else "train"


def standing(store: Store, last: int | None = None) -> list[Correction]:
    """First-round outlines that stand, accepted ones too, and adjudicated ones, in the order of the photographs.

    Args:
        store: Where they are.
        last: Number of the last grading that counts, see `last_grading`; None takes all.
    """
    gradings = gradings_until(store, last)
    kept = [
        (grading, False)
        for (_, _, round), grading in latest(gradings).items()
        if round == 1 and grading.after is not None and grading.after.get("disc")
    ]
    settled = {one.photograph: one for one in gradings if one.adjudication}
    kept += [(one, True) for one in settled.values() if one.after is not None and one.after.get("disc")]
    photographs = {one["id"]: one for one in store.predicted()}
    order = {identity: position for position, identity in enumerate(photographs)}
    kept.sort(key=lambda pair: (order[pair[0].photograph], pair[1], pair[0].grader))
    return [_correction(store, photographs[grading.photograph], grading, settles) for grading, settles in kept]


def _correction(store: Store, photograph: dict[str, Any], grading: Grading, settles: bool) -> Correction:
    found = store.prediction(grading.photograph, grading.predicted)
    return Correction(
        grading.photograph,
        photograph["patient"],
        grading.grader,
        settles,
        grading.after or {},
        found["contours"],
        (photograph["height"], photograph["width"]),
        grading.vertical_cdr,
        found["measures"].get("vertical_cdr"),
    )


def last_grading(store: Store) -> int:
    """Number of the last grading; 0 where there is none."""
    return int(store.rows("SELECT coalesce(max(number), 0) AS number FROM gradings")[0]["number"])


def gradings_until(store: Store, last: int | None) -> list[Grading]:
    """Gradings in their order up to one, so that a round that is taken up again learns from the same."""
    gradings = store.gradings()
    if last is None:
        return gradings
    ids = {row["id"] for row in store.rows("SELECT id FROM gradings WHERE number <= ?", last)}
    return [grading for grading in gradings if grading.id in ids]


def of_part(corrections: Iterable[Correction], *parts: Part) -> list[Correction]:
    """Those of patients of some parts."""
    return [one for one in corrections if one.part in parts]


def patients(corrections: Iterable[Correction]) -> int:
    """How many there are."""
    return len({one.patient for one in corrections})


def by_photograph(corrections: Iterable[Correction]) -> dict[str, list[Correction]]:
    """Outlines of each photograph."""
    found: dict[str, list[Correction]] = {}
    for one in corrections:
        found.setdefault(one.photograph, []).append(one)
    return found


def on_grid(outlines: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The label map of outlines on `SIZE` x `SIZE` pixels, whatever the photograph's size."""
    height, width = size
    scaled = {
        region: np.asarray(points, np.float64).reshape(-1, 2) * [SIZE / width, SIZE / height]
        for region, points in outlines.items()
    }
    return filled({region: points for region, points in scaled.items() if len(points) != 1}, (SIZE, SIZE))


def consensus(corrections: Sequence[Correction], weights: dict[str, float]) -> npt.NDArray[np.float64]:
    """What several graders' outlines of one photograph say together.

    Args:
        corrections: Of one photograph; an adjudicated one stands alone.
        weights: Of each grader.

    Returns:
        (2, H, W) share of the weight that marks disc and cup, 0..1.
    """
    settled = [one for one in corrections if one.adjudicated]
    counted = settled[-1:] or list(corrections)
    total = sum(weights.get(one.grader, 1.0) for one in counted)
    shares = np.zeros((2, *counted[0].size))
    for one in counted:
        labels = one.label_map()
        shares += weights.get(one.grader, 1.0) / total * np.stack([labels > 0, labels > 1])
    return shares
