"""Chaksu in miniature."""

import shutil

import numpy as np
import pytest

from fundusseg.datasets import Chaksu
from fundusseg.datasets.same_eyes import same_eyes
from fundusseg.errors import ConfigurationError, DatasetError
from tests.miniatures import chaksu
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, photograph, save, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    chaksu.build(tmp_path)
    return tmp_path


def test_records(tree):
    assert [(r.name, r.patient, r.subset, r.diagnosis) for r in Chaksu(tree).records] == [
        ("test_bosch_P28_Image2", "bosch_P28", "test", None),
        ("test_bosch_p28_image1", "bosch_P28", "test", "suspect"),
        ("test_forus_22", "test_forus_22", "test", "suspect"),
        ("test_remidio_IMG_9", "test_remidio_IMG_9", "test", "healthy"),
        ("train_bosch_Image101", "train_bosch_Image101", "train", "healthy"),
        ("train_bosch_Image145", "train_bosch_Image145", "train", "suspect"),
        ("train_forus_12", "train_forus_12", "train", "healthy"),
        ("train_remidio_IMG_7", "train_remidio_IMG_7", "train", "healthy"),
    ]


def test_five_experts_with_the_drawn_ratio(tree):
    broken = {"test_bosch_p28_image1": "expert3", "train_bosch_Image145": "expert2"}
    for sample in Chaksu(tree):
        drawn = {(one.region, one.expert): one.mask for one in sample.annotations}
        experts = {f"expert{number}": scale for number, scale in enumerate(chaksu.SCALES, 1)}
        assert {expert for region, expert in drawn if region == "cup"} == set(experts)
        assert {expert for region, expert in drawn if region == "disc"} == {*experts} - {broken.get(sample.record.name)}
        for (region, expert), mask in drawn.items():
            assert np.array_equal(mask, ellipse(DISC if region == "disc" else CUP, experts[expert]))
            if ("disc", expert) in drawn:
                disc = drawn["disc", expert]
                assert vertical_ratio(drawn["cup", expert], disc) == pytest.approx(RATIO, abs=2 / extent(disc))


def test_broken_masks_and_what_is_not_read_are_named(tree):
    dataset = Chaksu(tree)
    said = "; ".join(dataset.remarks())
    assert "left out 2 masks that are broken outlines as published: " in said
    assert "Expert 3/Bosch/Disc/p28_image1.tif" in said and "Expert 2/Bosch/Disc/IMAGE145.tif" in said
    assert "1 of 8 pictures without a verdict" in said
    assert "8 outlines drawn on photographs" in said
    assert "(train 4 of 1009, test 4 of 336)" in said
    assert dataset.passed_over == ()


@pytest.mark.parametrize(("camera", "count"), [("bosch", 4), ("forus", 2), ("remidio", 2)])
def test_a_camera_may_be_a_source_of_its_own(tree, camera, count):
    dataset = Chaksu(tree, camera=camera)
    assert {record.source for record in dataset.records} == {f"chaksu_{camera}"}
    assert len(dataset) == count
    assert dataset.passed_over == ()
    total = {"bosch": 145, "forus": 126, "remidio": 1074}[camera]
    assert f"{count} pictures, {total} are published" in "; ".join(dataset.remarks())


def test_one_part_by_itself(tree):
    records = Chaksu(tree / "Chaksu" / "Test").records
    assert {record.subset for record in records} == {"test"}
    assert len(records) == 4


def test_an_unknown_camera_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigurationError, match=r"camera='Remedio' for Chaksu.*bosch, forus, remidio"):
        Chaksu(tmp_path, camera="Remedio")


def test_an_unknown_verdict_is_named(tree):
    table = next(tree.rglob("Train/**/*Forus_majority.csv"))
    table.write_text(table.read_text().replace("NORMAL", "MAYBE"))
    with pytest.raises(DatasetError, match=r"'MAYBE' as decision on 12 in .*Forus_majority\.csv"):
        _ = Chaksu(tree).records


def test_a_table_without_verdicts_is_named(tree):
    next(tree.rglob("Train/**/*Forus_majority.csv")).write_text("Images,Expert.1\n12.png-12-1.png,NORMAL\n")
    with pytest.raises(DatasetError, match="no column Majority Decision or Glaucoma Decision"):
        _ = Chaksu(tree).records


def test_without_tables_there_is_no_diagnosis(tree):
    for folder in list(tree.rglob("6.0_Glaucoma_Decision")):
        shutil.rmtree(folder)
    assert {record.diagnosis for record in Chaksu(tree).records} == {None}


def test_the_test_part_without_masks_is_left_out(tree):
    shutil.rmtree(tree / "Chaksu" / "Test" / "3.0_Doctors_Annotations_Binary_OD_OC")
    dataset = Chaksu(tree)
    assert {record.subset for record in dataset.records} == {"train"}
    assert "left out 4 test pictures without truth" in "; ".join(dataset.remarks())


def test_the_same_stem_twice_is_named(tree):
    save(next(tree.rglob("Image101.jpg")).with_name("IMAGE101.png"), photograph(1))
    with pytest.raises(DatasetError, match="two files for the photograph of 'train/bosch/image101'"):
        _ = Chaksu(tree).records


def test_a_turned_mask_is_refused(tree):
    path = next(tree.rglob("Expert 4/Forus/Cup/12.tif"))
    save(path, ellipse(CUP) * -255 + 255)
    dataset = Chaksu(tree, camera="forus")
    with pytest.raises(DatasetError, match=r"True along the border of .*12\.tif"):
        _ = dataset[1]


def test_the_cameras_may_be_merged_but_not_with_the_whole(tree):
    cameras = [Chaksu(tree, camera=camera) for camera in ("bosch", "forus", "remidio")]
    assert not same_eyes(cameras)
    assert same_eyes([Chaksu(tree), cameras[0]])
