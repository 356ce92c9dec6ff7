"""ORIGA in miniature and, where there are any, the real crops."""

import numpy as np
import pytest
from scipy.io import savemat

from fundusseg.datasets import Origa
from fundusseg.errors import DatasetError
from tests.miniatures import origa
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, labels, truncate, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    origa.build(tmp_path)
    return tmp_path


def test_records(tree):
    assert [(r.name, r.eye, r.subset, r.diagnosis) for r in Origa(tree).records] == [
        ("001", "OD", "train", "healthy"),
        ("002", "OS", "test", "glaucoma"),
        ("004", "OD", "test", "healthy"),
    ]


def test_without_the_table_nothing_is_told(tmp_path):
    origa.build(tmp_path, table=False)
    assert {(r.eye, r.subset, r.diagnosis) for r in Origa(tmp_path).records} == {(None, None, None)}


@pytest.mark.parametrize("masks", ["png", "mat", "both"])
def test_the_masks_have_the_drawn_ratio(tmp_path, masks):
    origa.build(tmp_path, masks)
    for sample in Origa(tmp_path):
        assert sample.record.files["mask"].suffix == (".mat" if masks == "mat" else ".png")
        disc, cup = (annotation.mask for annotation in sample.annotations)
        assert np.array_equal(disc, ellipse(DISC))
        assert np.array_equal(cup, ellipse(CUP))
        assert vertical_ratio(cup, disc) == pytest.approx(RATIO, abs=1 / extent(disc))


def matlab(tmp_path, content=None):
    """A tree whose first MATLAB file holds something else, or is cut in half."""
    origa.build(tmp_path, "mat")
    path = next(tmp_path.rglob("001.mat"))
    truncate(path) if content is None else savemat(path, content)
    return Origa(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ({"other": labels(0, 1, 2)}, "no matrix mask"),
        ({"mask": labels(0, 1, 3)}, "the value 3"),
        ({"mask": labels(0, 1, 2)[:80]}, "disc mask of 112 x 80 pixels"),
        ({"mask": labels(0, 0, 0)}, "no disc pixel marked"),
    ],
)
def test_a_broken_matlab_file_is_named(tmp_path, content, message):
    with pytest.raises(DatasetError, match=rf"{message}.*001\.mat"):
        _ = matlab(tmp_path, content)[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Set,", "Part,", "no column Set"),
        ("OS,002", "LE,002", "'LE' as Eye of 002"),
        (",B,1", ",C,1", "'C' as Set of 002"),
        (",B,1", ",B,2", "'2' as Glaucoma of 002"),
        ("OS,002.jpg,0.6,B,1\n", "", r"no line for .*002\.jpg"),
        ("004.jpg", "002.jpg", "'002' twice, in line 4"),
    ],
)
def test_a_table_that_does_not_fit_is_named(tree, old, new, message):
    assert old in origa.TABLE
    next(tree.rglob("OrigaList.csv")).write_text(origa.TABLE.replace(old, new))
    with pytest.raises(DatasetError, match=rf"{message}.*OrigaList\.csv"):
        _ = Origa(tree).records


def test_the_index_decodes_nothing(tree):
    for path in [*tree.rglob("*.jpg"), *tree.rglob("*.png")]:
        path.write_bytes(b"")
    assert len(Origa(tree)) == 3


@pytest.mark.realdata
def test_real_crops(realdata):
    dataset = Origa(realdata / "ORIGA-crops")
    assert len(dataset) == 30
    for record in dataset.records[::6]:
        disc, cup = (annotation.mask for annotation in dataset.load(record).annotations)
        assert not (cup & ~disc).any()
        assert 0.2 < vertical_ratio(cup, disc) < 0.95
