"""DRIONS-DB in miniature and, where there are any, the real photographs."""

import numpy as np
import pytest

from fundusseg.datasets import DrionsDB
from fundusseg.errors import DatasetError
from tests.miniatures import drions_db
from tests.miniatures.shapes import DISC, ellipse, extent


@pytest.fixture
def tree(tmp_path):
    drions_db.build(tmp_path)
    return tmp_path


def contour(tree, expert=1, number="001"):
    return next(tree.rglob(f"anotExpert{expert}_{number}.txt"))


@pytest.mark.parametrize("folder", ["experts_annotation", "experts_anotation"])
def test_records(tmp_path, folder):
    drions_db.build(tmp_path, count=4, folder=folder)
    records = DrionsDB(tmp_path).records
    assert [record.name for record in records] == [f"image_00{number}" for number in (1, 2, 3, 4)]
    assert {(r.regions, r.eye, r.diagnosis, r.subset) for r in records} == {(("disc",), None, None, None)}


def test_the_index_decodes_nothing(tree):
    for path in [*tree.rglob("*.jpg"), *tree.rglob("*.txt")]:
        path.write_bytes(b"")
    assert len(DrionsDB(tree)) == 3


def test_two_experts_with_the_drawn_extent(tree):
    sample = DrionsDB(tree)[0]
    assert [(a.region, a.expert) for a in sample.annotations] == [("disc", "expert1"), ("disc", "expert2")]
    for annotation, scale in zip(sample.annotations, (1.0, 1.04), strict=True):
        drawn = ellipse(DISC, scale)
        # 36 points cut off half a per cent of the ellipse.
        assert annotation.mask.sum() == pytest.approx(drawn.sum(), rel=0.015)
        assert not (annotation.mask & ~ellipse(DISC, scale * 1.01)).any()
    ratio = extent(sample.annotations[1].mask) / extent(sample.annotations[0].mask)
    assert ratio == pytest.approx(1.04, abs=2 / extent(sample.annotations[0].mask))


@pytest.mark.parametrize("expert", [1, 2])
def test_a_missing_contour_is_named(tree, expert):
    contour(tree, expert, "002").unlink()
    with pytest.raises(DatasetError, match=rf"without its contour of expert {expert}: .*image_002\.jpg"):
        _ = DrionsDB(tree).records


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10 , 10\n20 , 20\n", "a contour of 2 points"),
        ("", "a contour of 0 points"),
        ("10 , 10\n20 , 20\n500 , 30\n", "the point x 500, y 30"),
        ("10 , 10\n20 , 20\n20 , -30\n", "the point x 20, y -30"),
        ("10 , 10\n20 , twenty\n20 , 30\n", "'20 , twenty' in line 2"),
    ],
)
def test_a_contour_that_cannot_be_is_named(tree, text, message):
    contour(tree).write_text(text)
    with pytest.raises(DatasetError, match=rf"{message}.*anotExpert1_001\.txt"):
        _ = DrionsDB(tree)[0]


@pytest.mark.realdata
def test_real_photographs(realdata):
    dataset = DrionsDB(realdata / "DRIONS-DB")
    assert len(dataset) == 5
    for sample in dataset:
        one, two = (annotation.mask for annotation in sample.annotations)
        assert 0.8 < (one & two).sum() / (one | two).sum() <= 1.0
        outside = ~(one | two)
        assert sample.image[one & two].mean() > sample.image[outside].mean()
        assert np.mean(one) < 0.15
