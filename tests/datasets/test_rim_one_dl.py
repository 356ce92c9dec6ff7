"""RIM-ONE DL in miniature."""

import numpy as np
import pytest

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


def test_the_index_decodes_nothing(tree):
    for path in tree.rglob("*.png"):
        path.write_bytes(b"")
    assert len(RimOneDL(tree)) == 3


def test_a_partition_in_capitals_is_the_partition(tree):
    folder = next(tree.rglob("partitioned_randomly"))
    folder.rename(folder.with_name("PARTITIONED_RANDOMLY"))
    assert len(RimOneDL(tree)) == len(RimOneDL(tree, partition="by_hospital"))
