import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from fundusseg import cache as cache_module
from fundusseg.cache import Cache
from fundusseg.datasets import DrionsDB, Phantom
from fundusseg.errors import ImageError
from fundusseg.preparation import Preparation
from tests.data import drions_db

SMALL = Preparation(image_size=32)


def test_store_holds_what_preparation_gives(tmp_path):
    dataset = Phantom(count=5, size=96)
    cache = Cache.build(dataset, SMALL, tmp_path)
    assert len(cache) == 5
    for position in range(5):
        expected, stored = SMALL(dataset[position]), cache[position]
        assert np.array_equal(stored.image, expected.image)
        assert np.array_equal(stored.target, expected.target)
        assert stored.valid.tolist() == expected.valid.tolist() == [True, True]
        assert stored.box == expected.box


def test_built_once_and_again_when_anything_changes(tmp_path, monkeypatch):
    built, write = [], cache_module._write
    monkeypatch.setattr(cache_module, "_write", lambda *arguments: (built.append(1), write(*arguments)))
    first = Cache.build(Phantom(count=3, size=96), SMALL, tmp_path)
    assert Cache.build(Phantom(count=3, size=96), SMALL, tmp_path).folder == first.folder
    assert len(built) == 1
    others = [
        Cache.build(Phantom(count=3, size=96, seed=9), SMALL, tmp_path),
        Cache.build(Phantom(count=3, size=96), Preparation(image_size=32, roi_scale=2.0), tmp_path),
        Cache.build(Phantom(count=3, size=96), Preparation(image_size=48), tmp_path),
    ]
    assert len({first.folder, *(other.folder for other in others)}) == 4
    assert len(built) == 4


def test_a_failed_build_leaves_nothing(tmp_path):
    dataset = Phantom(count=3, size=96)

    def fail(record):
        raise ImageError("a broken file", "a whole one", "copy it again")

    dataset.load = fail
    with pytest.raises(ImageError, match="a broken file"):
        Cache.build(dataset, SMALL, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_opens_its_own_map(tmp_path):
    cache = Cache.build(Phantom(count=3, size=96), SMALL, tmp_path)
    image = np.array(cache[1].image)
    sent = pickle.dumps(cache)
    assert len(sent) < image.nbytes
    assert np.array_equal(pickle.loads(sent)[1].image, image)


def test_maps_are_read_only(tmp_path):
    cache = Cache.build(Phantom(count=2, size=96), SMALL, tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        cache.images[0] = 0


def test_a_changed_file_is_noticed(tmp_path):
    drions_db.build(tmp_path / "data", count=2)
    first = Cache.build(DrionsDB(tmp_path / "data"), SMALL, tmp_path)
    picture: Path = DrionsDB(tmp_path / "data").records[0].image
    os.utime(picture, ns=(1, 1))
    assert Cache.build(DrionsDB(tmp_path / "data"), SMALL, tmp_path).folder != first.folder
