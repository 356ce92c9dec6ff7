"""REFUGE in miniature and, where there are any, the real crops."""

from collections import Counter

import numpy as np
import pytest

from fundusseg.datasets import Refuge
from fundusseg.errors import DatasetError
from tests.miniatures import refuge
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, labels, save, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    refuge.build(tmp_path)
    return tmp_path


@pytest.mark.parametrize("mirror", [False, True])
def test_records(tmp_path, mirror):
    refuge.build(tmp_path, mirror)
    records = Refuge(tmp_path).records
    told = (None, None) if mirror else ("glaucoma", "healthy")
    assert [(r.name, r.subset, r.diagnosis) for r in records] == [
        ("T0001", "test", told[0]),
        ("T0002", "test", told[1]),
        ("V0001", "val", None),
        ("g0001", "train", "glaucoma"),
        ("n0003", "train", "healthy"),
    ]
    assert {(r.regions, r.eye) for r in records} == {(("disc", "cup"), None)}


def test_dark_is_inside(tree):
    for sample in Refuge(tree):
        disc, cup = (annotation.mask for annotation in sample.annotations)
        assert np.array_equal(disc, ellipse(DISC))
        assert np.array_equal(cup, ellipse(CUP))
        assert vertical_ratio(cup, disc) == pytest.approx(RATIO, abs=1 / extent(disc))


def test_a_mask_without_a_cup_is_named(tree):
    save(next(tree.rglob("g0001.bmp")), np.maximum(labels(255, 128, 0), 128))
    with pytest.raises(DatasetError, match=r"no cup pixel marked for .*g0001\.jpg"):
        _ = Refuge(tree)[3]


def test_the_index_decodes_nothing(tree):
    for path in [*tree.rglob("*.jpg"), *tree.rglob("*.bmp")]:
        path.write_bytes(b"")
    assert len(Refuge(tree)) == 5


@pytest.mark.realdata
def test_real_crops(realdata):
    dataset = Refuge(realdata / "REFUGE-crops")
    assert Counter(record.diagnosis for record in dataset.records) == {"glaucoma": 24, "healthy": 217}
    assert {record.subset for record in dataset.records} == {"train"}
    for record in dataset.records[::24]:
        disc, cup = (annotation.mask for annotation in dataset.load(record).annotations)
        assert not (cup & ~disc).any()
        assert 0.2 < vertical_ratio(cup, disc) < 0.95
