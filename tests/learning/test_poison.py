"""Poisoned rounds through `improve` itself: nothing is promoted, and the cause is named.

FUNDUSSEG_POISONED is the number of rounds of each kind; CI takes one. By hand 20.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fundusseg import fit, improve
from fundusseg.datasets import Phantom
from fundusseg.inference import model_bundle
from fundusseg.learning.champions import Champions
from fundusseg.measures.contours import filled
from fundusseg.service.store import Store
from tests.support import store_site
from tests.support.tiny import TINY

pytestmark = pytest.mark.slow

POISONED = int(os.environ.get("FUNDUSSEG_POISONED", "1"))

PATIENTS = 40

Truth = dict[str, np.ndarray]
"""Label map of each photograph by its digest, in the order in which they came."""


@pytest.fixture(scope="module")
def champion(tmp_path_factory) -> Path:
    """A network that has learnt what a disc is."""
    place = tmp_path_factory.mktemp("champion")
    options = ["--data.roi=picture", "--trainer.max_epochs=60", "--model.optimizer.lr=0.02"]
    assert fit.main([*TINY, *options, f"--trainer.default_root_dir={place}", f"--data.cache_dir={place}/c"]) == 0
    model_bundle.save(place / "first.bundle", [next(place.rglob("best.ckpt"))], None, None)
    return place / "first.bundle"


@pytest.fixture(scope="module")
def uncorrected(champion, tmp_path_factory) -> tuple[Path, Truth]:
    """A store of predicted photographs, and what is true of each."""
    place, truth = tmp_path_factory.mktemp("uncorrected"), {}
    store = Store(place)
    for number, sample in enumerate(Phantom(count=PATIENTS, size=96, seed=7)):
        photograph = store_site.add_image(store, champion, sample.image, f"F{number}")
        masks = {one.region: one.mask for one in sample.annotations}
        truth[photograph] = masks["disc"].astype(np.uint8) + (masks["disc"] & masks["cup"])
    store.close()
    return place, truth


def shuffle(store: Store, truth: Truth, chance: np.random.Generator) -> None:
    """Each photograph has another one's outlines."""
    others = [*truth.values()]
    for photograph, other in zip(truth, chance.permutation(PATIENTS), strict=True):
        store_site.correct(store, photograph, others[other])


def discs_as_cups(store: Store, truth: Truth, chance: np.random.Generator) -> None:
    """The disc's outline is drawn twice, in most photographs."""
    for photograph, labels in truth.items():
        store_site.correct(store, photograph, (labels > 0) * np.uint8(2) if chance.random() < 0.9 else labels)


def careless(store: Store, truth: Truth, chance: np.random.Generator) -> None:
    """Two accept what was found, so that nothing is to be learnt from them; the third draws anywhere near it."""
    for photograph, labels in truth.items():
        found = filled(store.prediction(photograph)["contours"], labels.shape)
        if found.any():
            for grader in ("anna", "berta"):
                store_site.correct(store, photograph, found, grader)
        moved = np.roll(labels, chance.integers(6, 16, 2) * chance.choice((-1, 1), 2), (0, 1))
        store_site.correct(store, photograph, moved, "careless")


@pytest.mark.parametrize("seed", range(POISONED))
@pytest.mark.parametrize(
    ("poison", "cause"),
    [
        (
            shuffle,
            "outlines of anna: (they fit their own pictures no better than each other's|disc of a picture that is)",
        ),
        (discs_as_cups, "outlines of anna: cup of an odd size: the cup of anna is 100.0% of its disc"),
        (careless, "outlines of careless: they disagree with everything known"),
    ],
    ids=["shuffled", "discs as cups", "careless"],
)
def test_poison_is_not_promoted_and_named(
    champion, uncorrected, tmp_path, capsys, poison: Callable[..., None], cause, seed
):
    place, truth = uncorrected
    shutil.copytree(place, tmp_path / "store")
    store = Store(tmp_path / "store")
    poison(store, truth, np.random.default_rng(seed))
    store.close()
    options = ["--epochs=1", "--minutes=0.2", f"--bundle={champion}"]
    assert improve.main([f"--store={tmp_path / 'store'}", *options]) == 0
    champions = Champions(tmp_path / "store" / "champions")
    assert champions.current == (champions.folder / "champion-0000.bundle").resolve()
    told = capsys.readouterr().out
    print(told)
    assert "Nothing promoted" in told and re.search(cause, told)
    assert re.search(cause, (champions.folder / "rounds/0001/report.md").read_text())
