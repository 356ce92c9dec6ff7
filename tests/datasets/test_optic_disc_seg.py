"""OpticDiscSeg in miniature and, where there are any, the real photographs."""

from collections import Counter

import numpy as np
import pytest

from fundusseg.datasets import OpticDiscSeg
from fundusseg.errors import DatasetError
from tests.miniatures import optic_disc_seg
from tests.miniatures.shapes import ellipse


@pytest.fixture
def tree(tmp_path):
    optic_disc_seg.build(tmp_path)
    return tmp_path


def test_records(tree):
    records = OpticDiscSeg(tree).records
    assert [(record.name, record.subset, record.diagnosis) for record in records] == [
        ("H0002", "train", None),
        ("N0003", "train", "healthy"),
        ("N0004", "val", "healthy"),
        ("P0005", "train", None),
        ("P0008", "test", None),
    ]
    assert {(record.regions, record.eye) for record in records} == {(("disc",), None)}


def test_the_palette_index_is_the_mask(tree):
    sample = OpticDiscSeg(tree)[0]
    assert [(a.region, a.expert) for a in sample.annotations] == [("disc", "expert1")]
    assert np.array_equal(sample.annotations[0].mask, ellipse())


def test_the_index_decodes_nothing(tree):
    for path in [*tree.rglob("*.jpg"), *tree.rglob("*.png")]:
        path.write_bytes(b"")
    assert len(OpticDiscSeg(tree)) == 5


def test_without_lists_there_is_no_subset(tree):
    for path in tree.rglob("*_list.txt"):
        path.unlink()
    assert {record.subset for record in OpticDiscSeg(tree).records} == {None}


def test_lists_written_on_windows_are_read(tree):
    before = [record.subset for record in OpticDiscSeg(tree).records]
    for path in tree.rglob("*_list.txt"):
        path.write_text(path.read_text().replace("/", "\\"))
    assert [record.subset for record in OpticDiscSeg(tree).records] == before != [None] * len(before)


def test_a_listed_file_that_is_missing_is_named(tree):
    for path in [*tree.rglob("N0004.*")]:
        path.unlink()
    with pytest.raises(DatasetError, match=r"no file JPEGImages/N0004\.jpg, which .*val_list\.txt names"):
        _ = OpticDiscSeg(tree).records


def test_a_photograph_in_two_lists_is_named(tree):
    with next(tree.rglob("test_list.txt")).open("a") as file:
        file.write("JPEGImages/H0002.jpg Annotations/H0002.png\n")
    with pytest.raises(DatasetError, match=r"H0002\.jpg in the lists of both train and test"):
        _ = OpticDiscSeg(tree).records


@pytest.mark.realdata
def test_real_photographs(realdata):
    dataset = OpticDiscSeg(realdata / "optic_disc_seg")
    assert Counter(record.subset for record in dataset.records) == {"train": 267, "val": 76}
    assert Counter(record.name[0] for record in dataset.records) == {"H": 19, "N": 142, "P": 182}
    for record in dataset.records[::40]:
        sample = dataset.load(record)
        assert 0.001 < sample.annotations[0].mask.mean() < 0.1
