"""ORIGA in miniature and, where there are any, the real crops."""

import numpy as np
import pytest
from openpyxl import Workbook
from scipy.io import savemat

from fundusseg.datasets import Origa
from fundusseg.errors import DatasetError
from tests.miniatures import origa
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, labels, save, truncate, vertical_ratio


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


@pytest.mark.parametrize(
    "folder", ["Semi-automatic-annotations", "Semi-automatic-annotations-done-by-doctors-eg-ground-truth"]
)
def test_both_annotation_folders_and_their_stray_pictures(tmp_path, folder):
    origa.build(tmp_path, "mat", matrices=folder)
    save(tmp_path / "ORIGA" / folder / "013.tif", ellipse())
    dataset = Origa(tmp_path)
    assert len(dataset) == 3 and dataset.form() == "MATLAB masks" and dataset.passed_over == ()
    assert "1 pictures among the matrices" in "; ".join(dataset.remarks())


@pytest.mark.parametrize("code", [(0, 1, 2), (0, 128, 255), (255, 128, 0)])
def test_the_border_tells_the_code(tree, code):
    for path in tree.rglob("Masks/*.png"):
        save(path, labels(*code))
    for sample in Origa(tree):
        assert np.array_equal(sample.of("cup")[0].mask, ellipse(CUP))


def with_ratio(tree, ratio):
    table = next(tree.rglob("OrigaList.csv"))
    table.write_text(origa.TABLE.replace("OD,001.jpg,0.6,", f"OD,001.jpg,{ratio},"))
    return Origa(tree)


def test_the_tables_ratio_proves_the_decoding(tree):
    found = extent(ellipse(CUP)) / extent(ellipse(DISC))
    dataset = with_ratio(tree, round(found, 4))
    _ = dataset[0]
    assert dataset.remark() == ""
    dataset = with_ratio(tree, round(found + 0.0015, 4))
    _ = dataset[0]
    assert "vertical ratios of 1 masks more than 0.001 off the table's ExpCDR, the most -0.00" in dataset.remark()
    with pytest.raises(DatasetError, match=r"a vertical cup/disc ratio of 0\.607 in .*001\.png; expected 0\.470"):
        _ = with_ratio(tree, 0.47)[0]


def test_a_mask_of_the_disc_alone_is_no_mask_of_both(tree):
    save(next(tree.rglob("Masks/001.png")), ellipse() * 255)
    with pytest.raises(DatasetError, match=r"the values 0, 255 in .*001\.png, a cup without any rim"):
        _ = Origa(tree)[0]


def test_the_form_for_classification_is_told(tmp_path):
    origa.build_classified(tmp_path)
    with pytest.raises(DatasetError, match=r"a copy of ORIGA for classification, without any mask: .*002\.jpg"):
        _ = Origa(tmp_path).records


def test_photographs_with_a_table_of_diagnoses_alone(tmp_path):
    origa.build(tmp_path, masks="none", table=False)
    (tmp_path / "ORIGA" / "glaucoma.csv").write_text("ImageName,glaucoma\n001.jpg,0\n")
    with pytest.raises(DatasetError, match="a copy of ORIGA for classification"):
        _ = Origa(tmp_path).records


def test_the_diagnosis_of_other_copies_tables(tmp_path):
    origa.build(tmp_path, masks="mat", table=False, matrices=f"{origa.MATRICES}-done-by-doctors-eg-ground-truth")
    book = Workbook()
    for row in (["Filename", "Glaucoma"], ["001.jpg", 0], ["002.jpg", 1]):
        book.active.append(row)
    book.save(tmp_path / "ORIGA" / "binary_labels.xlsx")
    assert [record.diagnosis for record in Origa(tmp_path).records] == ["healthy", "glaucoma", None]
    (tmp_path / "ORIGA" / "glaucoma.csv").write_text("ImageName,glaucoma\n004.jpg,1\n")
    assert [record.diagnosis for record in Origa(tmp_path).records] == ["healthy", "glaucoma", "glaucoma"]
