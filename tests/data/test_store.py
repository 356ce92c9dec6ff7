import os
import pickle
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from fundusseg.data import store as store_module
from fundusseg.data.duplicates import perceptual_hashes
from fundusseg.data.preparation import Preparation
from fundusseg.data.static_variants import Variants
from fundusseg.data.store import PreparedStore
from fundusseg.datasets import DrionsDB, Phantom
from fundusseg.errors import ConfigurationError, DatasetError, ImageError
from tests.miniatures import drions_db

SMALL = Preparation(image_size=32)


def test_store_holds_what_preparation_gives(tmp_path):
    dataset = Phantom(count=5, size=96)
    store = PreparedStore.build(dataset, SMALL, tmp_path)
    assert len(store) == 5 and store.images.shape == (5, 1, 32, 32, 3)
    for position in range(5):
        expected = SMALL(dataset[position])
        assert np.array_equal(store.images[position, 0], expected.image)
        assert np.array_equal(store.targets[position], expected.target)
        assert np.array_equal(store.truths[position], expected.truth)
        assert store.valid[position].tolist() == expected.valid.tolist() == [True, True]
        assert np.array_equal(store.hashes[position], perceptual_hashes(np.array(store.views[position])))


def test_variants_are_stored_beside_the_picture(tmp_path):
    variants = Variants(copies=16, clahe=[0.04, 0.02], brightness=[0.9, 1.1])
    store = PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path, variants)
    assert store.images.shape == (3, 5, 32, 32, 3)
    assert np.array_equal(store.images[1], variants(np.array(store.images[1, 0])))
    copies_only = PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path, Variants(copies=9))
    assert copies_only.folder == PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path).folder


def test_built_once_and_again_when_anything_changes(tmp_path, monkeypatch):
    built, write = [], store_module._write
    monkeypatch.setattr(store_module, "_write", lambda *arguments: (built.append(1), write(*arguments)))
    first = PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path)
    assert PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path).folder == first.folder
    assert len(built) == 1
    others = [
        PreparedStore.build(Phantom(count=3, size=96, seed=9), SMALL, tmp_path),
        PreparedStore.build(Phantom(count=3, size=96), Preparation(image_size=32, roi_scale=2.0), tmp_path),
        PreparedStore.build(Phantom(count=3, size=96), Preparation(image_size=48), tmp_path),
    ]
    assert len({first.folder, *(other.folder for other in others)}) == 4
    assert len(built) == 4


def test_the_key_follows_every_file_that_makes_a_store():
    assert all(store_module._matches(pattern) for pattern in store_module._MAKERS)
    with pytest.raises(ConfigurationError, match=r"no file 'data/moved\.py' in the package"):
        store_module._matches("data/moved.py")


def break_files(dataset: Phantom, *broken: int) -> None:
    """Let some pictures of a dataset fail as damaged files do."""
    load = dataset.load

    def fail(record):
        if int(record.name) in broken:
            raise ImageError(f"a broken file {record.name}", "a whole one", "copy it again")
        return load(record)

    dataset.load = fail


def test_a_failed_build_names_every_bad_file_and_leaves_nothing(tmp_path):
    dataset = Phantom(count=6, size=96)
    break_files(dataset, 1, 4)
    with pytest.raises(DatasetError, match=r"2 of 6 pictures of phantom .* broken file 00001; a broken file 00004"):
        PreparedStore.build(dataset, SMALL, tmp_path)
    assert list(tmp_path.iterdir()) == []
    only = Phantom(count=6, size=96)
    break_files(only, 3)
    with pytest.raises(ImageError, match="a broken file 00003"):
        PreparedStore.build(only, SMALL, tmp_path)


def test_a_visitor_sees_every_sample_and_failure_whether_stored_or_not(tmp_path):
    seen = []
    for turn in (1, 2):
        PreparedStore.build(Phantom(count=5, size=96), SMALL, tmp_path, visit=lambda _, sample: seen.append(sample))
        assert [sample.record.name for sample in seen] == [f"{n:05}" for n in range(5)] * turn
    dataset, outcomes = Phantom(count=5, size=96, seed=2), {}
    break_files(dataset, 2)
    with pytest.raises(ImageError):
        PreparedStore.build(dataset, SMALL, tmp_path, visit=lambda record, found: outcomes.update({record.name: found}))
    assert [name for name, outcome in outcomes.items() if isinstance(outcome, ImageError)] == ["00002"]
    assert len(outcomes) == 5


def test_the_making_of_a_store_can_be_watched(tmp_path):
    seen = []

    @contextmanager
    def watch(source, total):
        seen.append((source, total))
        yield lambda: seen.append(1)

    for _ in range(2):
        PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path, watch=watch)
    assert seen == [("phantom", 3), 1, 1, 1], "once: then it is there"


def test_a_damaged_store_is_refused(tmp_path):
    folder = PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path).folder
    images = folder / "images.npy"
    images.write_bytes(images.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="damaged store"):
        PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path)


def test_an_emptied_file_is_a_damaged_store_and_foreign_folders_stay(tmp_path):
    mine = tmp_path / ".my-thesis-data"
    mine.mkdir()
    os.utime(mine, (1, 1))
    folder = PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path).folder
    assert mine.is_dir()
    for name in ("valid.npy", "views.npy", "truths.npy"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(b"")
        with pytest.raises(DatasetError, match="damaged store"):
            PreparedStore(folder)
        (folder / name).write_bytes(whole)
    for name in ("identities", "doubts"):
        (folder / f"{name}.json").write_text("[]")
        with pytest.raises(DatasetError, match="damaged store"):
            getattr(PreparedStore(folder), name)


@pytest.mark.slow
def test_a_killed_build_is_made_anew(tmp_path):
    code = f"""
import os
from pathlib import Path
from fundusseg.data.store import PreparedStore
from fundusseg.datasets import Phantom
from fundusseg.data.preparation import Preparation
dataset = Phantom(count=60, size=96)
load = dataset.load
dataset.load = lambda record: os._exit(9) if record.name == "00040" else load(record)
PreparedStore.build(dataset, Preparation(image_size=32), Path({str(tmp_path)!r}))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    assert len(PreparedStore.build(Phantom(count=60, size=96), SMALL, tmp_path)) == 60


def test_a_worker_opens_its_own_map(tmp_path):
    store = PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path)
    image = np.array(store.images[1])
    sent = pickle.dumps(store)
    assert len(sent) < 5000
    assert np.array_equal(pickle.loads(sent).images[1], image)


def test_maps_are_read_only(tmp_path):
    store = PreparedStore.build(Phantom(count=2, size=96), SMALL, tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        store.images[0] = 0


def test_a_changed_file_is_noticed(tmp_path):
    drions_db.build(tmp_path / "data", count=2)
    first = PreparedStore.build(DrionsDB(tmp_path / "data"), SMALL, tmp_path)
    picture: Path = DrionsDB(tmp_path / "data").records[0].image
    os.utime(picture, ns=(1, 1))
    assert PreparedStore.build(DrionsDB(tmp_path / "data"), SMALL, tmp_path).folder != first.folder
