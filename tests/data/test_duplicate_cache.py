"""The search for near-identical pictures is done once for a division of the same pictures."""

import pytest

from fundusseg.data import duplicate_cache
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.duplicate_cache import known_duplicates
from fundusseg.data.duplicates import find_duplicates
from fundusseg.data.preparation import Preparation
from fundusseg.data.store import PreparedStore
from fundusseg.data.torch_datasets import MergedStore
from fundusseg.datasets import Phantom


@pytest.fixture
def searches(monkeypatch) -> list[int]:
    """Grows by one with each search."""
    done: list[int] = []
    monkeypatch.setattr(duplicate_cache, "find_duplicates", lambda *what: done.append(1) or find_duplicates(*what))
    return done


@pytest.mark.slow
def test_a_second_training_does_not_look_again(tmp_path, searches):
    def set_up(seed: int, count: int = 12) -> None:
        data = FundusDataModule([Phantom(count=count, size=96)], image_size=32, cache_dir=str(tmp_path), seed=seed)
        data.setup()

    set_up(0)
    set_up(0)
    assert len(searches) == 1
    set_up(1)
    assert len(searches) == 2, "other subsets are another question"
    set_up(0, count=13)
    assert len(searches) == 3, "other pictures too"


def test_what_is_kept_is_what_was_found(tmp_path, searches):
    phantoms = [Phantom(count=4, size=96, name=name) for name in ("one", "two")]  # the same eyes under two names
    store = MergedStore([PreparedStore.build(one, Preparation(image_size=32), tmp_path) for one in phantoms])
    labels = ["one"] * 4 + ["two"] * 4

    def apart(first: int, second: int) -> bool:
        return labels[first] != labels[second]

    found = known_duplicates(store, labels, apart)
    assert [(pair.first, pair.second) for pair in found] == [(n, n + 4) for n in range(4)]
    assert known_duplicates(store, labels, apart) == found and len(searches) == 1
    (kept,) = tmp_path.glob("duplicates-*.json")
    kept.write_text("[[1,")
    assert known_duplicates(store, labels, apart) == found and len(searches) == 2, "a damaged file is made anew"
