"""RIM-ONE DL in miniature."""

import shutil

import numpy as np
import pytest

from fundusseg.data.splits import draw_split
from fundusseg.datasets import RimOneDL
from fundusseg.errors import ConfigurationError, DatasetError
from tests.miniatures import rim_one_dl
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    rim_one_dl.build(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("partition", "subsets"), [("randomly", ["train", "test", "test"]), ("by_hospital", ["train", "train", "test"])]
)
def test_each_partition_gives_every_image_once(tree, partition, subsets):
    records = RimOneDL(tree, partition).records
    assert [record.name for record in records] == ["r1_Im001", "r2_Im256", "r3_Im002"]
    assert [record.subset for record in records] == subsets
    assert [record.diagnosis for record in records] == ["healthy", "glaucoma", "healthy"]
    assert {(r.regions, r.eye) for r in records} == {(("disc", "cup"), None)}
    assert all(f"partitioned_{partition}" in str(record.image) for record in records)


def test_the_masks_have_the_drawn_ratio(tree):
    for sample in RimOneDL(tree):
        disc, cup = (annotation.mask for annotation in sample.annotations)
        assert np.array_equal(disc, ellipse(DISC))
        assert np.array_equal(cup, ellipse(CUP))
        assert vertical_ratio(cup, disc) == pytest.approx(RATIO, abs=1 / extent(disc))


def test_the_variant_without_partition(tmp_path):
    rim_one_dl.build_flat(tmp_path)
    records = RimOneDL(tmp_path).records
    assert [(r.name, r.subset, r.diagnosis) for r in records] == [
        ("r1_Im001", "train", None),
        ("r2_Im256", "test", None),
    ]


def test_images_without_the_other_package_are_named(tree):
    with pytest.raises(DatasetError, match=r"without its disc mask: .*r1_Im001\.png"):
        _ = RimOneDL(tree / "RIM-ONE_DL_images").records


def test_another_partition_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigurationError, match=r"partition='by_camera' for RimOneDL.*randomly, by_hospital"):
        RimOneDL(tmp_path, "by_camera")


def test_the_partition_that_lies_there_alone_is_named(tree):
    shutil.rmtree(next(tree.rglob("partitioned_randomly")))
    with pytest.raises(DatasetError, match=r"no picture of the partition 'randomly'.*set partition to by_hospital"):
        _ = RimOneDL(tree).records
    assert len(RimOneDL(tree, "by_hospital")) == 3


def test_the_index_decodes_nothing(tree):
    for path in tree.rglob("*.png"):
        path.write_bytes(b"")
    assert len(RimOneDL(tree)) == 3


def test_a_partition_in_capitals_is_the_partition(tree):
    folder = next(tree.rglob("partitioned_randomly"))
    folder.rename(folder.with_name("PARTITIONED_RANDOMLY"))
    assert len(RimOneDL(tree)) == len(RimOneDL(tree, partition="by_hospital"))


def test_names_of_r3_tell_patient_and_eye(tmp_path):
    rim_one_dl.build(tmp_path, rim_one_dl.IMAGES | rim_one_dl.OF_R3)
    dataset = RimOneDL(tmp_path)
    assert [(r.name, r.patient, r.eye, r.diagnosis, r.subset) for r in dataset.records][2:] == [
        ("r3_G-3-R_left_half", "r3_G-3", "OD", "glaucoma", "test"),
        ("r3_Im002", "r3_Im002", None, "healthy", "test"),
        ("r3_N-12-L_left_half", "r3_N-12", "OS", "healthy", "train"),
        ("r3_N-12-R_left_half", "r3_N-12", "OD", "healthy", "train"),
        ("r3_S-10-L_left_half", "r3_S-10", "OS", "glaucoma", "train"),
    ]
    assert dataset.passed_over == ()
    assert all(np.array_equal(sample.of("cup")[0].mask, ellipse(CUP)) for sample in dataset)


def test_both_eyes_of_a_patient_stay_together(tmp_path):
    rim_one_dl.build(tmp_path, rim_one_dl.IMAGES | rim_one_dl.OF_R3)
    records = RimOneDL(tmp_path).records
    for seed in range(6):
        split = draw_split(records, folds=3, fold=seed % 3, seed=seed)
        eyes = [f"rim_one_dl/r3_N-12-{eye}_left_half" for eye in "LR"]
        assert any(set(eyes) <= set(split.keys(subset)) for subset in ("train", "val", "test"))


@pytest.mark.realdata
def test_all_real_images_of_the_training_part_are_read(realdata):
    dataset = RimOneDL(realdata / "RIM-ONE-DL")
    assert len(dataset) == 339 and dataset.passed_over == ()
    of_r3 = [record for record in dataset.records if record.eye]
    assert len(of_r3) == 92 and all(record.patient == record.name[: len(record.patient)] for record in of_r3)
    assert {record.patient for record in of_r3} & {
        record.patient for record in dataset.records if not record.eye
    } == set()
    assert {record.diagnosis for record in dataset.records} == {"healthy", "glaucoma"}
