"""Folders doubled, nested, re-cased and renamed at random: a reader finds all, or says what it did not take."""

import random
import shutil

import pytest

from fundusseg.datasets import Folder
from fundusseg.errors import DatasetError
from tests.miniatures.readers import READERS

PUBLIC = [reader for reader in READERS if reader is not Folder]  # a folder of one's own has the names that one gives it


@pytest.fixture(scope="module", params=PUBLIC, ids=lambda reader: reader.__name__)
def whole(request, tmp_path_factory):
    """A reader, its miniature and how many pictures it holds."""
    root = tmp_path_factory.mktemp(request.param.__name__)
    READERS[request.param].build(root)
    return request.param, root, len(request.param(root))


def folders(root):
    return sorted(path for path in root.rglob("*") if path.is_dir())


def double(root, draw):
    folder = draw.choice(folders(root))
    moved = folder.rename(folder.with_name("being moved"))
    folder.mkdir()
    moved.rename(folder / folder.name)


def nest(root, draw):
    inside = list(root.iterdir())
    above = root / f"download ({draw.randint(100, 999)})" / "unpacked"
    above.mkdir(parents=True)
    for path in inside:
        path.rename(above / path.name)


def recase(root, draw):
    folder = draw.choice(folders(root))
    folder.rename(folder.with_name(draw.choice((folder.name.upper(), folder.name.lower(), folder.name.swapcase()))))


def rename(root, draw):
    folder = draw.choice(folders(root))
    folder.rename(folder.with_name(f"x{draw.randint(100, 999)}"))


@pytest.mark.parametrize("seed", range(3))
def test_doubled_nested_and_re_cased_folders_hide_nothing(whole, seed, tmp_path):
    reader, root, count = whole
    moved, draw = shutil.copytree(root, tmp_path / "moved"), random.Random(seed)
    for change in draw.choices((double, nest, recase), k=3):
        change(moved, draw)
    assert len(reader(moved)) == count


@pytest.mark.parametrize("seed", range(4))
def test_a_renamed_folder_is_never_passed_over_in_silence(whole, seed, tmp_path):
    reader, root, count = whole
    moved, draw = shutil.copytree(root, tmp_path / "moved"), random.Random(seed)
    for change in draw.sample((rename, double, nest, recase), k=2):
        change(moved, draw)
    rename(moved, draw)
    dataset = reader(moved)
    try:
        found = len(dataset)
    except DatasetError as error:
        assert error.do  # refused by name, as an orphan or as no package of this set
    else:
        assert found == count or dataset.left_out or dataset.passed_over
