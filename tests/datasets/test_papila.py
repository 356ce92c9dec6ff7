"""PAPILA in miniature."""

import pytest

from fundusseg.datasets import Papila
from fundusseg.errors import DatasetError
from tests.miniatures import papila
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, truncate, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    papila.build(tmp_path)
    return tmp_path


def test_both_eyes_belong_to_one_patient(tree):
    assert [(r.name, r.patient, r.eye, r.diagnosis) for r in Papila(tree).records] == [
        ("RET002OD", "RET002", "OD", "healthy"),
        ("RET002OS", "RET002", "OS", "suspect"),
        ("RET004OD", "RET004", "OD", "glaucoma"),
        ("RET004OS", "RET004", "OS", "glaucoma"),
    ]


def test_two_experts_with_the_drawn_ratio(tree):
    for sample in Papila(tree):
        names = [(annotation.region, annotation.expert) for annotation in sample.annotations]
        assert names == [(region, expert) for region in ("disc", "cup") for expert in ("expert1", "expert2")]
        for number, scale in enumerate((1.0, 1.04)):
            disc, cup = sample.of("disc")[number].mask, sample.of("cup")[number].mask
            assert disc.sum() == pytest.approx(ellipse(DISC, scale).sum(), rel=0.015)
            assert cup.sum() == pytest.approx(ellipse(CUP, scale).sum(), rel=0.03)
            assert vertical_ratio(cup, disc) == pytest.approx(RATIO, abs=2 / extent(disc))


def test_without_tables_the_diagnosis_is_not_told(tmp_path):
    papila.build(tmp_path, tables=False)
    assert [(r.eye, r.diagnosis) for r in Papila(tmp_path).records] == [("OD", None), ("OS", None)] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10 10\n20 20\n", "a contour of 2 points"),
        ("", "a contour of 0 points"),
        ("10 10\n20 20\n500 30\n", "the point x 500, y 30"),
        ("10 10\n20 twenty\n20 30\n", "'20 twenty' in line 2"),
    ],
)
def test_a_contour_that_cannot_be_is_named(tree, text, message):
    next(tree.rglob("RET002OD_cup_exp1.txt")).write_text(text)
    with pytest.raises(DatasetError, match=rf"{message}.*RET002OD_cup_exp1\.txt"):
        _ = Papila(tree)[0]


def sheet(tree):
    return next(tree.rglob("patient_data_od.xlsx"))


@pytest.mark.parametrize(
    ("diagnoses", "message"),
    [({"#002": 0}, r"no line for .*RET004OD\.jpg"), ({"#002": 3, "#004": 1}, "'3' as Diagnosis of #002")],
)
def test_a_table_that_does_not_fit_is_named(tree, diagnoses, message):
    papila.write_sheet(sheet(tree), diagnoses)
    with pytest.raises(DatasetError, match=rf"{message}.*patient_data_od\.xlsx"):
        _ = Papila(tree).records


def test_a_truncated_table_is_named(tree):
    truncate(sheet(tree))
    with pytest.raises(DatasetError, match=r"a table that cannot be read .*patient_data_od\.xlsx"):
        _ = Papila(tree).records


def test_another_sheet_is_named(tree):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["patient", "age"])
    book.save(sheet(tree))
    with pytest.raises(DatasetError, match=r"no column Diagnosis in .*patient_data_od\.xlsx"):
        _ = Papila(tree).records


def test_the_index_decodes_no_picture_and_no_contour(tree):
    for path in [*tree.rglob("*.jpg"), *tree.rglob("*.txt")]:
        path.write_bytes(b"")
    assert len(Papila(tree)) == 4


def test_contours_in_the_published_number_form(tree):
    path = next(tree.rglob("RET002OD_disc_exp1.txt"))
    points = [line.split() for line in path.read_text().splitlines()]
    before = Papila(tree)[0].of("disc")[0].mask
    path.write_text("".join(f"   {float(x):.7e}   {float(y):.7e}\r\n" for x, y in points))
    assert (Papila(tree)[0].of("disc")[0].mask ^ before).sum() <= 1
