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


@pytest.mark.parametrize("form", refuge.FORMS)
def test_records(tmp_path, form):
    refuge.build(tmp_path, form)
    dataset = Refuge(tmp_path)
    told = (None, None) if form == "mirror" else ("glaucoma", "healthy")
    assert [(r.name, r.subset, r.diagnosis) for r in dataset.records] == [
        ("T0001", "test", told[0]),
        ("T0002", "test", told[1]),
        ("V0001", "val", None),
        ("g0001", "train", "glaucoma"),
        ("n0003", "train", "healthy"),
    ]
    assert {(r.regions, r.eye) for r in dataset.records} == {(("disc", "cup"), None)}
    assert dataset.passed_over == ()
    assert all(np.array_equal(sample.of("cup")[0].mask, ellipse(CUP)) for sample in dataset)


@pytest.mark.parametrize("code", [(0, 1, 2), (0, 128, 255), (255, 128, 0)])
@pytest.mark.parametrize("gts", [True, False])
def test_kaggles_bundle_in_every_code(tmp_path, code, gts):
    refuge.build_bundle(tmp_path, code, gts)
    dataset = Refuge(tmp_path)
    assert [(r.name, r.diagnosis) for r in dataset.records] == [
        ("V0001", "glaucoma"),
        ("g0001", "glaucoma"),
        ("n0003", "healthy"),
    ]
    assert {record.files["mask"].parent.name for record in dataset.records} == {"gts" if gts else "Masks"}
    for sample in dataset:
        disc, cup = (annotation.mask for annotation in sample.annotations)
        assert np.array_equal(disc, ellipse(DISC)) and np.array_equal(cup, ellipse(CUP))
    said = "; ".join(dataset.remarks())
    assert "left out 2 test pictures without truth" in said and "cropped, squared" in said
    assert ("3 masks in another code too" in said) == gts and dataset.passed_over == ()


def test_a_border_that_is_no_background_is_refused(tree):
    mask = labels(255, 128, 0)
    mask[0, :40] = 128
    save(next(tree.rglob("g0001.bmp")), mask)
    with pytest.raises(DatasetError, match=r"the values 128, 255 along the border of .*g0001\.bmp"):
        _ = Refuge(tree)[3]


def test_the_form_names_the_masks_folder_and_not_the_diagnosis(tree):
    assert Refuge(tree).form() == "masks in Disc_Cup_Masks"


def test_multi_rater_gives_seven_experts(tmp_path):
    refuge.build_multi_rater(tmp_path)
    dataset = Refuge(tmp_path)
    assert [(r.name, r.subset) for r in dataset.records] == [
        ("test_0001", "test"),
        ("train_0001", "train"),
        ("train_0002", "train"),
    ]
    for sample in dataset:
        assert [a.expert for a in sample.of("cup")] == [f"expert{number}" for number in range(1, 8)]
        for number, annotation in enumerate(sample.of("disc"), 1):
            assert np.array_equal(annotation.mask, ellipse(DISC, 1 + number / 100))
    assert dataset.passed_over == () and dataset.form() == "REFUGE-MultiRater, 7 experts"


def test_multi_rater_beside_the_challenge_is_left_out(tree):
    refuge.build_multi_rater(tree)
    dataset = Refuge(tree)
    assert len(dataset) == 5 and dataset.passed_over == ()
    assert "left out 3 photographs of REFUGE-MultiRater, which are the same eyes" in "; ".join(dataset.remarks())


def test_the_sheet_of_the_tests_labels(tmp_path):
    refuge.build(tmp_path, "mirror")
    refuge.write_sheet(tmp_path, {"T0001": 0, "T0002": 1})
    assert [r.diagnosis for r in Refuge(tmp_path).records[:3]] == ["healthy", "glaucoma", None]
    refuge.write_sheet(tmp_path, {"T0001": 0, "T0002": 3})
    with pytest.raises(DatasetError, match=r"'3' as the label of t0002 in .*Glaucoma_label_and_Fovea_location\.xlsx"):
        _ = Refuge(tmp_path).records


def test_a_broken_index_is_named(tmp_path):
    refuge.build_bundle(tmp_path)
    next(tmp_path.rglob("train/index.json")).write_text("[1, 2")
    with pytest.raises(DatasetError, match=r"an index that cannot be read .*train.index\.json"):
        _ = Refuge(tmp_path).records


def test_another_challenge_of_the_same_names_is_not_taken(tree):
    save(tree / "ADAM" / "Training400" / "Non-AMD" / "N0003.jpg", np.zeros((9, 9, 3)))
    dataset = Refuge(tree)
    assert len(dataset) == 5 and [path.name for path in dataset.passed_over] == ["N0003.jpg"]


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
