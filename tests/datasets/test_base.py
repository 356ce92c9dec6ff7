"""What every reader shares."""

from pathlib import Path

import pytest

from fundusseg.datasets import (
    DrionsDB,
    Folder,
    FundusDataset,
    Phantom,
)
from fundusseg.datasets._pairing import keyed, pair
from fundusseg.errors import DatasetError
from tests.miniatures import (
    drions_db,
    folder,
)
from tests.miniatures.readers import READERS


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_folder_says_what_should_be_there(reader, tmp_path):
    with pytest.raises(DatasetError, match=f"no folder at .*nowhere for {reader.__name__}") as caught:
        _ = reader(tmp_path / "nowhere").records
    assert caught.value.expected == reader.layout


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_without_pictures_says_what_should_be_there(reader, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DatasetError, match=f"no picture of {reader.__name__} below"):
        _ = reader(tmp_path).records


@pytest.mark.parametrize("reader", READERS)
def test_parents_and_relative_roots_find_the_same(reader, tmp_path):
    READERS[reader].build(tmp_path / "deep" / "er")
    records = reader(tmp_path / "deep" / "er").records
    assert reader(tmp_path).records == records
    moved = reader("deep").under(tmp_path)
    assert moved.records == records
    assert moved.under(tmp_path / "x").root == moved.root  # an absolute root stays


def test_a_moved_dataset_forgets_what_it_had_read(tmp_path):
    folder.build(tmp_path / "one" / "data", "0/1/2")
    folder.build(tmp_path / "two" / "data", "255/128/0")
    dataset = Folder("data")
    one = dataset.under(tmp_path / "one")
    assert one.code == "0/1/2"
    one.root = Path("data")
    assert one.under(tmp_path / "two").code == "255/128/0"


@pytest.mark.parametrize("reader", [*READERS, Phantom])
def test_a_reader_is_a_fact_sheet(reader):
    assert issubclass(reader, FundusDataset)
    assert len(reader.__doc__.splitlines()) > 8
    assert all(getattr(reader, name) for name in ("licence", "citation", "layout"))


def test_the_dataset_twice_is_refused(tmp_path):
    drions_db.build(tmp_path / "one")
    drions_db.build(tmp_path / "two")
    with pytest.raises(DatasetError, match=r"two files for the photograph of '001'.*one.*two"):
        _ = DrionsDB(tmp_path).records


def test_keyed_loses_no_file():
    assert keyed("mask", [("a", Path("x")), ("b", Path("y"))]) == {"a": Path("x"), "b": Path("y")}
    with pytest.raises(DatasetError, match="two files for the mask of 'a': x and y"):
        keyed("mask", [("a", Path("x")), ("a", Path("y"))])


def test_pair_names_the_first_orphans():
    pictures = {name: Path(f"{name}.jpg") for name in "abcdef"}
    with pytest.raises(DatasetError, match=r"picture without its cup mask: b.jpg, c.jpg, d.jpg and 2 more"):
        pair(pictures, {"cup": ("cup mask", [("a", Path("a.png"))])})
    with pytest.raises(DatasetError, match=r"cup mask without its picture: z.png"):
        pair({}, {"cup": ("cup mask", [("z", Path("z.png"))])})


def test_pair_gives_every_picture_its_files_of_each_kind():
    pictures = {name: Path(f"{name}.jpg") for name in "ab"}
    kinds = {kind: (kind, [(name, Path(f"{name}.{kind}")) for name in "ba"]) for kind in ("disc", "cup")}
    files = pair(pictures, kinds)
    assert files == {name: {kind: Path(f"{name}.{kind}") for kind in ("disc", "cup")} for name in "ab"}
    assert [list(found) for found in files.values()] == [["disc", "cup"]] * 2


def test_most_readers_have_nothing_to_remark(tmp_path):
    drions_db.build(tmp_path)
    assert DrionsDB(tmp_path).remark() == ""
