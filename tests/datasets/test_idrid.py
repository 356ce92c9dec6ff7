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
