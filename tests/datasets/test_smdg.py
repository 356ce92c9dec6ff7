"""SMDG in miniature."""

import numpy as np
import pytest

from fundusseg.data.expert_fusion import fuse
from fundusseg.datasets import Smdg
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.image_files import read_mask
from tests.miniatures import smdg
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, photograph, save, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    smdg.build(tmp_path)
    return tmp_path


@pytest.mark.parametrize("doubled", [True, False])
def test_the_table_decides(tmp_path, doubled):
    smdg.build(tmp_path, doubled)
    dataset = Smdg(tmp_path)
    assert [(r.name, r.patient, r.eye, r.diagnosis, r.regions) for r in dataset.records] == [
        ("DRISHTI-GS1-train-3", "DRISHTI-GS1-train-3", None, "healthy", ("disc", "cup")),
        ("G1020-137", "G1020-137", None, "healthy", ("disc", "cup")),
        ("G1020-949", "G1020-949", None, "glaucoma", ("disc",)),
        ("ORIGA-light-3", "ORIGA-light-3", None, "glaucoma", ("disc", "cup")),
        ("PAPILA-217", "PAPILA-264", "OD", "suspect", ("disc", "cup")),
        ("PAPILA-461", "PAPILA-264", "OS", "healthy", ("disc", "cup")),
        ("REFUGE1-val-6", "REFUGE1-val-6", None, "glaucoma", ("disc", "cup")),
    ]
    said = "; ".join(dataset.remarks())
    assert "photographs of DRISHTI 1, G1020 2, ORIGA 1, PAPILA 2, REFUGE 1" in said
    assert "left out 1 photographs without a mask: " in said and "OIA-ODIR-TRAIN-1.png" in said
    assert "1 maps of vessels and of OCT" in said
    assert dataset.passed_over == ()


def test_soft_maps_become_levels_of_agreement_with_the_drawn_ratio(tree):
    for sample in Smdg(tree):
        scales = sorted(smdg.scales(sample.record.name), reverse=True)
        for region in sample.record.regions:
            levels = sample.of(region)
            assert [level.expert for level in levels] == [f"agree{least}" for least in range(1, len(scales) + 1)]
            for level, scale in zip(levels, scales, strict=True):
                assert np.array_equal(level.mask, ellipse(DISC if region == "disc" else CUP, scale))
        if "cup" in sample.record.regions:
            cup, disc = (fuse(sample.of(region), "majority") for region in ("cup", "disc"))
            assert vertical_ratio(cup > 0, disc > 0) == pytest.approx(RATIO, abs=2 / extent(disc > 0))


def test_origins_may_be_chosen(tree):
    dataset = Smdg(tree, origins=["G1020", "PAPILA"])
    assert [record.name for record in dataset.records] == ["G1020-137", "G1020-949", "PAPILA-217", "PAPILA-461"]
    assert dataset.passed_over == ()
    assert "left out 9 files of other origins: " in "; ".join(dataset.remarks())
    assert dataset.same_eyes_as == {"g1020", "papila"}
    assert Smdg(tree, origins=["DRISHTI"]).same_eyes_as == {"drishti_gs", "dofe_fundus", "dofe_domain1"}
    assert {"g1020", "origa", "refuge", "papila", "drishti_gs"} <= Smdg(tree).same_eyes_as
    with pytest.raises(ConfigurationError, match="origins='Papila' for Smdg"):
        Smdg(tree, origins=["Papila"])


@pytest.mark.parametrize("gone", ["full-fundus", "optic-disc", "optic-cup"])
def test_a_file_that_is_not_there_is_named(tree, gone):
    next(tree.rglob(f"{gone}/PAPILA-217.png")).unlink()
    with pytest.raises(DatasetError, match=rf"no file /{gone}/PAPILA-217\.png, which .*standardized\.csv names"):
        _ = Smdg(tree).records


def test_a_photograph_that_the_table_does_not_name_is_told(tree):
    save(next(tree.rglob("PAPILA-217.png")).with_name("PAPILA-999.png"), photograph(1))
    assert "passed over 1 pictures that fit no name of the set" in "; ".join(Smdg(tree).remarks())


def test_without_the_table_nothing_is_taken(tree):
    next(tree.rglob(smdg.TABLE)).unlink()
    with pytest.raises(DatasetError, match="no picture of Smdg below"):
        _ = Smdg(tree).records


def test_an_unknown_type_is_named(tree):
    path = next(tree.rglob(smdg.TABLE))
    path.write_text(path.read_text().replace("PAPILA-217,-1", "PAPILA-217,2"))
    with pytest.raises(DatasetError, match="'2' as types of PAPILA-217"):
        _ = Smdg(tree).records


def test_another_table_is_named(tree):
    next(tree.rglob(smdg.TABLE)).write_text("image,label\n")
    with pytest.raises(DatasetError, match=r"no column names \(but image, label\)"):
        _ = Smdg(tree).records


def test_a_turned_mask_is_refused(tree):
    path = next(tree.rglob("optic-disc/G1020-137.png"))
    save(path, 255 - read_mask(path))
    with pytest.raises(DatasetError, match=r"True along the border of .*G1020-137\.png"):
        _ = Smdg(tree)[1]
