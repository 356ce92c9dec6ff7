"""Poisoned outlines are set aside with their cause; honest ones never are for a style of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fundusseg.imaging.image_files import read_with_light
from fundusseg.learning.corrections import Correction, standing
from fundusseg.learning.graders import disagreeing, implausible, mismatched, repeat_weights
from fundusseg.sample import Record
from fundusseg.service.store import Store
from tests.support import store_site


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = tmp_path_factory.mktemp("graders")
    champion = store_site.write_champion(place / "first.bundle")
    store = Store(place)
    store_site.fill(store, champion, range(12))
    yield store
    store.close()


@pytest.fixture(scope="module")
def honest(store) -> list[Correction]:
    return standing(store)


def reason(store: Store, correction: Correction) -> str:
    image = read_with_light(store.content(correction.photograph))[0]
    record = Record("site", "x", Path("x.png"), correction.patient, ("disc", "cup"))
    return implausible(correction, image, record)


def shuffled(corrections: list[Correction], seed: int) -> list[Correction]:
    order = np.random.default_rng(seed).permutation(len(corrections))
    return [replace(one, after=corrections[at].after) for one, at in zip(corrections, order, strict=True)]


def careless(corrections: list[Correction], seed: int) -> list[Correction]:
    """Moved by a third of a disc, at random."""
    chance = np.random.default_rng(seed)
    found = []
    for one in corrections:
        step = chance.normal(0, 25, 2)
        after = {region: (np.array(points).reshape(-1, 2) + step).tolist() for region, points in one.after.items()}
        found.append(replace(one, after=after, grader="careless", vertical_cdr=chance.uniform(0.1, 0.9)))
    return found


def test_honest_outlines_are_learnt_from(store, honest):
    assert [reason(store, one) for one in honest] == [""] * len(honest)
    others = [replace(one, grader="berta") for one in honest]
    assert mismatched(honest) == [] and disagreeing([*honest, *others]) == []


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_outlines_are_named(honest, seed):
    (found,) = mismatched(shuffled(honest, seed))
    assert "no better than each other's" in found.reason and "anna" in found.sentence
    assert set(found.photographs) == {one.photograph for one in honest}


def test_discs_given_as_cups_are_named(store, honest):
    for one in honest:
        assert "the cup of anna is 100.0% of its disc" in reason(
            store, replace(one, after={"disc": one.after["disc"], "cup": one.after["disc"]})
        )


def test_a_scribble_is_named(store, honest):
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radii = np.where(np.arange(40) % 2, 60, 15)
    middle = np.mean(honest[0].after["disc"], axis=0)
    star = middle + np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    assert "a line, not an area" in reason(store, replace(honest[0], after={"disc": star.tolist(), "cup": []}))


@pytest.mark.parametrize("seed", range(20))
def test_one_careless_grader_of_three_is_named(honest, seed):
    others = [replace(one, grader="berta") for one in honest]
    found = disagreeing([*honest, *others, *careless(honest, seed)])
    assert [one.grader for one in found] == ["careless"]


def test_a_style_is_no_disagreement(honest):
    larger = [replace(one, grader="clara", vertical_cdr=(one.vertical_cdr or 0) + 0.15) for one in honest]
    assert disagreeing([*honest, *larger]) == []


def test_graders_weigh_by_their_repeats(tmp_path):
    champion = store_site.write_champion(tmp_path / "first.bundle")
    store = Store(tmp_path)
    chance = np.random.default_rng(0)
    for number in range(8):
        photograph = store_site.add(store, champion, number)
        for grader, noise in (("steady", 0.0), ("erratic", 3.0)):
            for round in (1, 2):
                labels = store_site.outline(number, store_site.READER + chance.normal(0, noise))
                store_site.correct(store, photograph, labels, grader, round)
        store_site.correct(store, photograph, store_site.outline(number), "once")
    weights = repeat_weights(store)
    store.close()
    assert weights["steady"] > 0.99 and weights["once"] == 1 and weights["erratic"] < 0.8
