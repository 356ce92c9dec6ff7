"""Whatever is done to a package's folders: a reader finds every picture, or names what it did not take."""

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fundusseg.datasets._listing import is_picture
from fundusseg.errors import DatasetError
from tests.miniatures.readers import READERS
from tests.miniatures.shapes import photograph, save

KINDS = ("rename", "double", "upper", "lower", "nest", "hide", "move", "stray", "rename picture", "second copy")


def folders(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_dir())


def change(root: Path, kind: str, chance: random.Random) -> None:
    """Do one thing to a tree that people and file managers do."""
    folder = chance.choice(folders(root))
    pictures = sorted(path for path in root.rglob("*") if path.is_file() and is_picture(path))
    picture = chance.choice(pictures)
    if kind == "rename":
        folder.rename(folder.with_name(f"{folder.name}{chance.choice(['_old', ' (2)', '-GT', '_Cropped'])}"))
    elif kind in ("upper", "lower"):
        other = folder.with_name(getattr(folder.name, kind)())
        if not other.exists():
            folder.rename(other)
    elif kind in ("double", "nest"):
        inner = folder.with_name("between")
        folder.rename(inner)
        folder.mkdir()
        inner.rename(folder / (folder.name if kind == "double" else "more"))
    elif kind == "hide":
        folder.rename(folder.with_name(f".{folder.name}"))
    elif kind == "move":
        shutil.move(picture, root / f"elsewhere{picture.suffix}")
    elif kind == "stray":
        save(folder / f"stray{chance.randrange(99)}.jpg", photograph(1))
    elif kind == "rename picture":
        picture.rename(picture.with_name(f"{picture.stem}{chance.choice(['_x', ' copy', ''])}{picture.suffix.upper()}"))
    elif kind == "second copy":
        shutil.copy(picture, picture.with_name(f"{picture.stem} 2{picture.suffix}"))


def accounted(reader, root: Path) -> None:
    """Every picture file is read, left out with a reason, known, or passed over by name; or the reader refuses."""
    on_disk = {path for path in root.rglob("*") if path.is_file() and is_picture(path)}
    dataset = reader(root)
    try:
        records = dataset.records
    except DatasetError as error:
        assert error.got and error.do
        return
    taken = {file for record in records for file in (record.image, *record.files.values())}
    groups = [*dataset.left_out.values(), *dataset.not_read.values(), dataset.passed_over]
    said = "; ".join(dataset.remarks())
    told = {file for files in groups for file in files}
    assert on_disk <= taken | told, sorted(on_disk - taken - told)
    # What is not read is said with its number, whatever the reason is.
    for files in groups:
        assert not files or str(len(files)) in said


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp("trees")
    for reader, data in READERS.items():
        data.build(root / reader.__name__)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), st.integers(0, 2**16))
@example(["double"], 0)
@example(["hide"], 3)
def test_nothing_is_lost_in_silence(trees, reader, kinds, seed):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=trees) as place:
        root = Path(place) / "data"
        # Links: files are moved, renamed and added, and none is written to.
        shutil.copytree(trees / reader.__name__, root, copy_function=os.link)
        for kind in kinds:
            change(root, kind, chance)
        accounted(reader, root)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.slow
def test_doubled_and_nested_and_recased_folders_give_all(trees, reader, tmp_path):
    """What copies do by themselves costs no picture."""
    whole = len(reader(trees / reader.__name__))
    shutil.copytree(trees / reader.__name__, tmp_path / "a" / "a")
    for folder in sorted(folders(tmp_path / "a" / "a"), key=lambda path: -len(path.parts)):
        inner = folder.with_name("between")
        folder.rename(inner)
        upper = folder.with_name(folder.name.upper())
        upper.mkdir()
        inner.rename(upper / upper.name)
    dataset = reader(tmp_path)
    assert len(dataset) == whole and dataset.passed_over == ()
