"""RIM-ONE r3 in miniature."""

import numpy as np
import pytest

from fundusseg.data.expert_fusion import fuse
from fundusseg.datasets import RimOneR3
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.image_files import read_mask, read_photograph
from tests.miniatures import rim_one_r3
from tests.miniatures.shapes import CUP, DISC, HEIGHT, RATIO, WIDTH, ellipse, extent, save, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    rim_one_r3.build(tmp_path)
    return tmp_path


def test_records(tree):
    records = RimOneR3(tree).records
    assert [(r.name, r.eye, r.diagnosis) for r in records] == [
        ("G-1-R", "OD", "glaucoma"),
        ("N-1-L", "OS", "healthy"),
        ("N-2-R", "OD", "healthy"),
        ("S-4-L", "OS", "suspect"),
    ]
    assert {(r.regions, r.subset) for r in records} == {(("disc", "cup"), None)}


def test_the_left_view_with_two_experts_masks(tree):
    dataset = RimOneR3(tree)
    for sample in dataset:
        assert np.array_equal(sample.image, read_photograph(sample.record.image)[:, :WIDTH])
        for region, axes in (("disc", DISC), ("cup", CUP)):
            drawn = sample.of(region)
            assert [annotation.expert for annotation in drawn] == ["expert1", "expert2"]
            for annotation, scale in zip(drawn, (1.0, 1.08), strict=True):
                assert np.array_equal(annotation.mask, ellipse(axes, scale))


def test_experts_and_average_have_the_drawn_ratio_and_are_never_mixed(tree):
    for masks, experts in (("experts", ["expert1", "expert2"]), ("average", ["average"])):
        sample = RimOneR3(tree, masks=masks)[0]
        assert [annotation.expert for annotation in sample.of("disc")] == experts
        cup, disc = (fuse(sample.of(region), "union") for region in ("cup", "disc"))
        assert vertical_ratio(cup, disc) == pytest.approx(RATIO, abs=1 / extent(disc))


def test_without_the_average_masks_the_experts_are_read(tree):
    for path in tree.rglob("*-Avg.png"):
        path.unlink()
    assert len(RimOneR3(tree)) == 4
    with pytest.raises(DatasetError, match=r"without its disc mask of average: .*G-1-R\.jpg"):
        _ = RimOneR3(tree, masks="average").records


@pytest.mark.parametrize("shift", [30, WIDTH])
def test_a_mask_on_the_other_view_is_refused(tree, shift):
    path = next(tree.rglob("N-1-L-1-Disc-exp1.png"))
    mask = np.zeros((HEIGHT, 2 * WIDTH), np.uint8)
    mask[:, shift : shift + WIDTH] = ellipse() * 255
    save(path, mask)
    dataset = RimOneR3(tree)
    with pytest.raises(DatasetError, match=r"disc mask that reaches the right view .*N-1-L-1-Disc-exp1\.png"):
        _ = dataset[1]


def test_masks_of_one_view_are_refused(tree):
    save(next(tree.rglob("N-1-L-1-Disc-exp1.png")), ellipse() * 255)
    with pytest.raises(DatasetError, match=rf"disc mask of {WIDTH} x {HEIGHT} pixels for .*N-1-L\.jpg.*{2 * WIDTH} x"):
        _ = RimOneR3(tree)[1]


def test_the_index_decodes_nothing(tree):
    for path in tree.rglob("*.*g"):
        path.write_bytes(b"")
    assert len(RimOneR3(tree)) == 4


def test_other_masks_are_refused_at_once(tmp_path):
    with pytest.raises(ConfigurationError, match="masks='expert1' for RimOneR3"):
        RimOneR3(tmp_path, masks="expert1")


def test_one_experts_empty_mask_is_no_opinion(tmp_path):
    rim_one_r3.build(tmp_path)
    mask = next(path for path in sorted(tmp_path.rglob("*exp2*.png")) if "Disc" in path.name or "Cup" in path.name)
    save(mask, 0 * read_mask(mask))
    name = mask.name.split("-1-")[0]
    dataset = RimOneR3(tmp_path)
    record = next(record for record in dataset.records if record.files and mask in record.files.values())
    with pytest.raises(DatasetError, match=name):
        dataset.load(record)
