"""DRISHTI-GS1 in miniature and, where there are any, the real photographs."""

import shutil

import numpy as np
import pytest
from openpyxl import Workbook

from fundusseg.data.expert_fusion import fuse
from fundusseg.data.splits import draw_split
from fundusseg.datasets import DrishtiGS
from fundusseg.errors import DatasetError
from fundusseg.measures.cup_disc import measure
from tests.miniatures import drishti_gs
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, photograph, save, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    drishti_gs.build(tmp_path)
    return tmp_path


def soft_map(tree, number="001", kind="OD"):
    return next(tree.rglob(f"drishtiGS_{number}_{kind}segSoftmap.png"))


@pytest.mark.parametrize("truth", ["Test_GT", "GT"])
def test_records(tmp_path, truth):
    drishti_gs.build(tmp_path, test_truth=truth)
    records = DrishtiGS(tmp_path).records
    assert [record.name for record in records] == [f"drishtiGS_{number:03d}" for number in range(1, 9)]
    assert [record.subset for record in records] == ["train"] * 4 + ["test"] * 4
    assert [record.diagnosis for record in records] == ["glaucoma", "healthy"] * 2 + [None] * 4
    assert {record.eye for record in records} == {None}
    assert {record.regions for record in records} == {("disc", "cup")}
    assert records[0].key == "drishti_gs/drishtiGS_001"


def test_the_index_decodes_nothing(tree):
    for path in tree.rglob("*.png"):
        path.write_bytes(b"")
    assert len(DrishtiGS(tree)) == 8


def test_soft_maps_are_four_nested_annotations(tree):
    sample = DrishtiGS(tree)[0]
    assert np.array_equal(sample.image, photograph(1))
    for region, axes in (("disc", DISC), ("cup", CUP)):
        drawn = sample.of(region)
        assert [annotation.expert for annotation in drawn] == ["agree1", "agree2", "agree3", "agree4"]
        for annotation, scale in zip(drawn, drishti_gs.SCALES, strict=True):
            assert np.array_equal(annotation.mask, ellipse(axes, scale))
        agreeing = sum(annotation.mask.astype(int) for annotation in drawn)
        assert np.array_equal(fuse(drawn, "mean"), drishti_gs.LEVELS[agreeing])
        assert np.array_equal(fuse(drawn, "majority") > 0, agreeing >= 2)


def test_the_majority_has_the_drawn_ratio(tree):
    sample = DrishtiGS(tree)[5]
    cup, disc = (fuse(sample.of(region), "majority") for region in ("cup", "disc"))
    assert vertical_ratio(cup, disc) == pytest.approx(RATIO, abs=1 / extent(disc))


def test_cdr_values(tree):
    dataset = DrishtiGS(tree)
    assert dataset.cdr_values(dataset.records[0]) == (0.58, 0.60, 0.62, 0.61)


@pytest.mark.parametrize("text", ["0.5 0.6 0.7", "0.5 0.6 0.7 x", "0.5 0.6 0.7 60", "nan 0.6 0.7 0.6", ""])
def test_broken_cdr_values_are_named(tree, text):
    dataset = DrishtiGS(tree)
    next(tree.rglob("drishtiGS_001_cdrValues.txt")).write_text(text)
    with pytest.raises(DatasetError, match=r"drishtiGS_001_cdrValues\.txt"):
        dataset.cdr_values(dataset.records[0])


def test_missing_cdr_values_are_named(tree):
    next(tree.rglob("drishtiGS_001_cdrValues.txt")).unlink()
    dataset = DrishtiGS(tree)
    with pytest.raises(DatasetError, match=r"no cdrValues.txt for .*drishtiGS_001\.png"):
        dataset.cdr_values(dataset.records[0])


@pytest.mark.parametrize("value", [32, 100, 160, 220])
def test_a_value_between_the_levels_is_named(tree, value):
    codes = np.zeros((96, 112), np.uint8)
    codes[30:60, 30:60] = value
    save(soft_map(tree), codes)
    with pytest.raises(DatasetError, match=rf"the value {value} in .*drishtiGS_001_ODsegSoftmap\.png"):
        _ = DrishtiGS(tree)[0]


def test_levels_off_by_rounding_are_taken(tree):
    codes = np.array([0, 63, 127, 191, 255], np.uint8)[sum(ellipse(DISC, s).astype(int) for s in drishti_gs.SCALES)]
    save(soft_map(tree), codes)
    assert np.array_equal(DrishtiGS(tree)[0].of("disc")[1].mask, ellipse(DISC, drishti_gs.SCALES[1]))


@pytest.mark.realdata
def test_real_photographs(realdata):
    dataset = DrishtiGS(realdata / "Drishti-GS1_files")
    assert len(dataset) == 50
    assert {record.subset for record in dataset.records} == {"train"}


@pytest.mark.realdata
@pytest.mark.slow
def test_the_measured_ratio_lies_within_the_experts_spread(realdata):
    dataset = DrishtiGS(realdata / "Drishti-GS1_files")
    measured, experts = [], []
    for sample in dataset:
        disc, cup = (fuse(sample.of(region), "majority") > 127 for region in ("disc", "cup"))
        assert not (cup & ~disc).any()
        measured.append(measure(np.where(cup, 2, disc).astype(np.uint8)).vertical_cdr)
        experts.append(dataset.cdr_values(sample.record))
    # The fused outline's ratio is not the mean of the four experts' own ratios, but as near as they are to each other.
    difference = np.array(measured) - np.mean(experts, axis=1)
    assert np.mean(np.abs(difference)) <= np.mean(np.ptp(experts, axis=1))
    assert abs(np.mean(difference)) < 0.03
    assert np.max(np.abs(difference)) < 0.12


SHEET = {
    1: (11, "Glaucomatous"),
    2: (11, "Normal"),
    3: (12, "Normal"),
    4: (13, "Glaucomatous"),
    5: (13, "Normal"),
    6: (14, "Normal"),
    7: (15, "Glaucomatous"),
    8: (15, "Glaucomatous"),
}


def test_the_sheet_tells_patient_and_diagnosis(tree):
    drishti_gs.write_sheet(tree, SHEET)
    dataset = DrishtiGS(tree)
    assert [(r.name[-1], r.patient, r.diagnosis, r.subset) for r in dataset.records] == [
        ("1", "11", "glaucoma", "train"),
        ("2", "11", "healthy", "train"),
        ("3", "12", "healthy", "train"),
        ("5", "13", "healthy", "test"),
        ("6", "14", "healthy", "test"),
        ("7", "15", "glaucoma", "test"),
        ("8", "15", "glaucoma", "test"),
    ]
    said = "; ".join(dataset.remarks())
    assert "left out 1 training pictures of patients who are tested: " in said and "drishtiGS_004.png" in said
    assert dataset.passed_over == () and "not read: 2 soft maps of pictures that are left out" in said
    draw_split(dataset.records)  # refuses a patient on both sides


def test_without_the_publishers_split_every_eye_is_kept(tree):
    drishti_gs.write_sheet(tree, SHEET)
    records = DrishtiGS(tree, published_split=False).records
    assert len(records) == 8 and {record.subset for record in records} == {None}


@pytest.mark.parametrize(
    ("old", "message"), [("Total", "no column Total in"), ("Patient ID", "no column PatientID in")]
)
def test_another_sheet_is_named(tree, old, message):
    book = Workbook()
    book.active.append([cell for cell in ("Drishti-GS File", "Patient ID", "Total") if cell != old])
    book.save(tree / "Drishti-GS1_diagnosis.xlsx")
    with pytest.raises(DatasetError, match=rf"no column {old.replace(' ', '')} in .*Drishti-GS1_diagnosis\.xlsx"):
        _ = DrishtiGS(tree).records


def test_a_copy_without_the_folders_of_the_parts(tmp_path):
    drishti_gs.build_flat(tmp_path)
    dataset = DrishtiGS(tmp_path)
    assert [(r.name[-1], r.diagnosis, r.subset) for r in dataset.records] == [
        ("5", "glaucoma", "test"),
        ("6", "healthy", "test"),
        ("7", "glaucoma", "test"),
        ("8", "healthy", "test"),
    ]
    assert dataset.passed_over == ()


def test_doubled_folders_and_a_drives_zip_names(tmp_path):
    drishti_gs.build(tmp_path / "Training-20211018T055246Z-001")
    base = tmp_path / "Training-20211018T055246Z-001" / "Drishti-GS1_files"
    base.rename(base.with_name("x"))
    base.mkdir()
    (base.with_name("x")).rename(base / "Drishti-GS1_files")
    images = base / "Drishti-GS1_files" / "Training" / "Images"
    images.rename(images.with_name("y"))
    images.mkdir()
    (images.with_name("y")).rename(images / "Images")
    assert len(DrishtiGS(tmp_path)) == 8


def test_without_the_tests_truth_all_training_photographs_stay(tree):
    """As most people have it: nobody of the test is read, so nobody stands on both sides."""
    drishti_gs.write_sheet(tree, SHEET)
    shutil.rmtree(next(tree.rglob("Test_GT")))
    dataset = DrishtiGS(tree)
    assert len(dataset) == 4 and "left out 4 test pictures without truth" in "; ".join(dataset.remarks())
