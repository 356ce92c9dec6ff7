"""IDRiD in miniature."""

import numpy as np
import pytest

from fundusseg.datasets import IDRiD
from tests.miniatures import idrid
from tests.miniatures.shapes import ellipse, save


@pytest.fixture
def tree(tmp_path):
    idrid.build(tmp_path)
    return tmp_path


def test_records(tree):
    records = IDRiD(tree).records
    assert [(r.name, r.subset) for r in records] == [("IDRiD_01", "train"), ("IDRiD_02", "train"), ("IDRiD_55", "test")]
    assert {(r.regions, r.eye, r.diagnosis) for r in records} == {(("disc",), None, None)}


@pytest.mark.parametrize("value", [1, 76, 255])
def test_every_value_above_0_is_the_disc(tree, value):
    save(next(tree.rglob("IDRiD_01_OD.tif")), ellipse().astype(np.uint8) * value)
    (annotation,) = IDRiD(tree)[0].annotations
    assert (annotation.region, annotation.expert) == ("disc", "expert1")
    assert np.array_equal(annotation.mask, ellipse())


def test_folders_without_numbers(tree):
    for old in sorted(tree.rglob("*. *"), key=lambda path: -len(path.parts)):
        if old.is_dir():
            old.rename(old.with_name(old.name.split(". ", 1)[1]))
    assert [record.subset for record in IDRiD(tree).records] == ["train", "train", "test"]


def test_the_index_decodes_nothing(tree):
    for path in [*tree.rglob("*.jpg"), *tree.rglob("*.tif")]:
        path.write_bytes(b"")
    assert len(IDRiD(tree)) == 3


def test_parts_b_and_c_beside_are_known_and_not_read(tree):
    idrid.build_other_parts(tree)
    dataset = IDRiD(tree)
    assert [record.name for record in dataset.records] == ["IDRiD_01", "IDRiD_02", "IDRiD_55"]
    assert "4 photographs of parts B and C, which have no disc mask" in "; ".join(dataset.remarks())
    assert dataset.passed_over == ()


@pytest.mark.parametrize("name", ["A. Segmentation/A. Segmentation", "A.%20Segmentation", "x/A.%20Segmentation"])
def test_doubled_and_encoded_folders(tree, name):
    (tree / "A. Segmentation").rename(tree / "part")
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / "part").rename(tree / name)
    for path in sorted(tree.rglob("*. *"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.replace(" ", "%20")))
    assert len(IDRiD(tree)) == 3


@pytest.mark.realdata
def test_real_photographs(realdata):
    dataset = IDRiD(realdata / "IDRiD")
    assert len(dataset) == 54 and {record.subset for record in dataset.records} == {"train"}
    assert dataset.remarks()[0] == "54 pictures, 81 are published (train 54 of 54, test 0 of 27)"
