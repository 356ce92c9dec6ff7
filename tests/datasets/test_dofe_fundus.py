"""DoFE's Fundus in miniature."""

import shutil

import numpy as np
import pytest

from fundusseg.datasets import DofeFundus
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.image_files import read_mask
from tests.miniatures import dofe_fundus
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, save, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    dofe_fundus.build(tmp_path)
    return tmp_path


def test_records(tree):
    dataset = DofeFundus(tree)
    assert [(r.name, r.patient, r.eye, r.diagnosis, r.subset) for r in dataset.records] == [
        ("domain1_gdrishtiGS_002", "domain1_gdrishtiGS_002", None, "glaucoma", "train"),
        ("domain1_ndrishtiGS_001", "domain1_ndrishtiGS_001", None, "healthy", "test"),
        ("domain2_G-1-R", "domain2_G-1", "OD", "glaucoma", "test"),
        ("domain2_N-12-L", "domain2_N-12", "OS", "healthy", "train"),
        ("domain2_N-12-R", "domain2_N-12", "OD", "healthy", "train"),
        ("domain2_S-4-L", "domain2_S-4", "OS", "suspect", "test"),
        ("domain3_g0001", "domain3_g0001", None, "glaucoma", "train"),
        ("domain3_n0003", "domain3_n0003", None, "healthy", "test"),
        ("domain4_V0001", "domain4_V0001", None, None, "train"),
        ("domain4_V0002", "domain4_V0002", None, None, "test"),
    ]
    assert dataset.passed_over == ()
    assert "10 pictures, 1060 are published (train 5 of 789, test 5 of 271)" in "; ".join(dataset.remarks())


def test_values_between_the_codes_are_cut(tree):
    values = np.unique(read_mask(next(tree.rglob("mask/g0001.png"))))
    assert len(values) > 3  # the miniature has what is to be cut
    for sample in DofeFundus(tree):
        disc, cup = (annotation.mask for annotation in sample.annotations)
        for mask, axes in ((disc, DISC), (cup, CUP)):
            assert mask.sum() == pytest.approx(ellipse(axes).sum(), rel=0.04)
        assert vertical_ratio(cup, disc) == pytest.approx(RATIO, abs=2 / extent(disc))


@pytest.mark.parametrize(("value", "inside"), [(0, "cup"), (50, "cup"), (51, "disc"), (200, "disc"), (201, None)])
def test_where_the_values_are_cut(tree, value, inside):
    path = next(tree.rglob("mask/g0001.png"))
    codes = read_mask(path).copy()
    codes[46, 60] = value
    save(path, codes)
    dataset = DofeFundus(tree, domain=3)
    disc, cup = (annotation.mask for annotation in dataset[0].annotations)
    assert (disc[46, 60], cup[46, 60]) == (inside is not None, inside == "cup")


def test_a_domain_may_be_a_source_of_its_own(tree):
    eyes = {1: "drishti_gs", 2: "rim_one_r3", 3: "refuge", "4": "refuge"}
    for domain, source in eyes.items():
        dataset = DofeFundus(tree, domain=domain)
        assert {record.source for record in dataset.records} == {f"dofe_domain{domain}"}
        assert dataset.same_eyes_as & {*eyes.values()} == {source}
        assert dataset.passed_over == ()
        assert {*eyes.values()} <= DofeFundus(tree).same_eyes_as
    with pytest.raises(ConfigurationError, match="domain='5' for DofeFundus"):
        DofeFundus(tree, domain=5)


def test_turned_codes_are_refused(tree):
    path = next(tree.rglob("mask/g0001.png"))
    save(path, 255 - read_mask(path))
    with pytest.raises(DatasetError, match=r"0 along the border of .*g0001\.png"):
        _ = DofeFundus(tree, domain=3)[0]


def test_whole_photographs_beside_the_crops_are_not_read(tree):
    for crops in [path for path in tree.rglob("ROIs") if path.is_dir()]:
        shutil.copytree(crops, crops.parent, dirs_exist_ok=True)
    dataset = DofeFundus(tree)
    assert len(dataset) == 10 and all("ROIs" in record.image.parts for record in dataset.records)
    assert "20 whole photographs and their masks" in "; ".join(dataset.remarks())
    assert dataset.passed_over == ()


def test_crops_without_a_folder_of_their_own_are_taken(tree):
    for crops in [path for path in tree.rglob("ROIs") if path.is_dir()]:
        shutil.copytree(crops, crops.parent, dirs_exist_ok=True)
        shutil.rmtree(crops)
    dataset = DofeFundus(tree)
    assert len(dataset) == 10
    assert "whole photographs" not in "; ".join(dataset.remarks())
