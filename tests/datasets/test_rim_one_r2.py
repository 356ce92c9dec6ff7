"""RIM-ONE r2 in miniature."""

import numpy as np
import pytest

from fundusseg.datasets import RimOneR2
from fundusseg.errors import DatasetError
from tests.miniatures import rim_one_r2
from tests.miniatures.shapes import ellipse, extent, save


@pytest.fixture
def tree(tmp_path):
    rim_one_r2.build(tmp_path)
    return tmp_path


def test_records(tree):
    records = RimOneR2(tree).records
    assert [(r.name, r.diagnosis) for r in records] == [("Im001", "healthy"), ("Im003", "healthy"), ("Im256", None)]
    assert {(r.regions, r.eye, r.subset) for r in records} == {(("disc",), None, None)}


def test_masks_of_both_kinds_are_the_drawn_disc(tree):
    for sample in RimOneR2(tree):
        (annotation,) = sample.annotations
        assert (annotation.region, annotation.expert) == ("disc", "expert1")
        blurred = (annotation.mask ^ ellipse()).sum()
        assert blurred == 0 if sample.record.name != "Im256" else blurred < 0.01 * ellipse().sum()
        assert extent(annotation.mask) == pytest.approx(extent(ellipse()), abs=1)


def test_a_grey_picture_is_no_mask(tree):
    grey = np.full((96, 112), 100, np.uint8)
    grey[:48] = 255
    save(next(tree.rglob("Im003-gs_mask.bmp")), grey)
    with pytest.raises(DatasetError, match=r"50% of the pixels between black and white in .*Im003-gs_mask\.bmp"):
        _ = RimOneR2(tree)[1]


def test_the_index_decodes_nothing(tree):
    for path in [*tree.rglob("*.jpg"), *tree.rglob("*.bmp")]:
        path.write_bytes(b"")
    assert len(RimOneR2(tree)) == 3


def test_of_both_formats_the_exact_one_is_taken(tmp_path):
    """As the package is published: every mask as BMP and as JPEG."""
    rim_one_r2.build(tmp_path, both=True)
    dataset = RimOneR2(tmp_path)
    assert {record.files["disc"].suffix for record in dataset.records} == {".bmp"}
    assert all(np.array_equal(sample.annotations[0].mask, ellipse()) for sample in dataset)
    assert "3 masks as JPEG too" in "; ".join(dataset.remarks()) and dataset.passed_over == ()
