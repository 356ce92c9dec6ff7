"""MASD in miniature and, where there are any, the real photographs."""

import numpy as np
import pytest

from fundusseg.datasets import Sclera
from tests.miniatures import sclera
from tests.miniatures.shapes import ellipse


@pytest.fixture
def tree(tmp_path):
    sclera.build(tmp_path)
    return tmp_path


def test_blanks_do_not_count_and_the_folder_is_the_person(tree):
    records = Sclera(tree).records
    assert [(r.name, r.patient) for r in records] == [
        ("0001_1(1)", "0001"),
        ("0001_1(11)", "0001"),
        ("0002_1(1)", "0002"),
    ]
    assert {(r.regions, r.eye, r.diagnosis, r.subset) for r in records} == {(("sclera",), None, None, None)}
    assert all(r.image.parent.name == r.files["sclera"].parent.name for r in records)


def test_a_mask_of_1_bit(tree):
    for sample in Sclera(tree):
        (annotation,) = sample.annotations
        assert (annotation.region, annotation.expert) == ("sclera", "expert1")
        assert np.array_equal(annotation.mask, ellipse())


def test_the_index_decodes_nothing(tree):
    for path in [*tree.rglob("*.jpg"), *tree.rglob("*.png")]:
        path.write_bytes(b"")
    assert len(Sclera(tree)) == 3


@pytest.mark.realdata
def test_real_photographs(realdata):
    dataset = Sclera(realdata / "sclera-MASD")
    assert [record.patient for record in dataset.records] == ["0001"] * 5 + ["0002"] * 4
    for sample in dataset:
        mask = sample.annotations[0].mask
        assert 0.1 < mask.mean() < 0.5
        assert sample.image[mask].mean() > sample.image[~mask].mean()  # the sclera is bright
