"""RIGA+ in miniature."""

import numpy as np
import pytest

from fundusseg.datasets import RigaPlus
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.image_files import read_mask
from tests.miniatures import riga, riga_plus
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, save, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    riga_plus.build(tmp_path)
    return tmp_path


def test_records(tree):
    assert [(r.name, r.subset) for r in RigaPlus(tree).records] == [
        ("BinRushed_binrushed1_image1", "train"),
        ("BinRushed_binrushed2_image1", "test"),
        ("MESSIDOR_Base1_labeled_image20", "test"),
        ("MESSIDOR_Base2_labeled_image20", "train"),
        ("Magrabia_magrabifemale_image7", "train"),
    ]


def test_six_experts_with_the_drawn_ratio(tree):
    for sample in RigaPlus(tree):
        for number, scale in enumerate(riga_plus.SCALES):
            disc, cup = sample.of("disc")[number], sample.of("cup")[number]
            assert disc.expert == cup.expert == f"expert{number + 1}"
            assert np.array_equal(disc.mask, ellipse(DISC, scale))
            assert np.array_equal(cup.mask, ellipse(CUP, scale))
            assert vertical_ratio(cup.mask, disc.mask) == pytest.approx(RATIO, abs=2 / extent(disc.mask))


def test_photographs_without_masks_are_left_out_and_counted(tree):
    dataset = RigaPlus(tree)
    said = "; ".join(dataset.remarks())
    assert "left out 1 messidor_base1/unlabeled pictures without truth: " in said
    assert "20051020_43808_0100_PP.tif" in said
    assert "(BinRushed 2 of 195, Magrabia 1 of 95, MESSIDOR 2 of 454)" in said
    assert dataset.passed_over == ()


def test_a_domain_may_be_a_source_of_its_own(tree):
    for domain, count in (("BinRushed", 2), ("Magrabia", 1), ("MESSIDOR_Base1", 1)):
        dataset = RigaPlus(tree, domain=domain)
        assert {record.source for record in dataset.records} == {f"riga_plus_{domain.lower()}"}
        assert len(dataset) == count
        assert dataset.passed_over == ()
    with pytest.raises(ConfigurationError, match="domain='MESSIDOR' for RigaPlus"):
        RigaPlus(tree, domain="MESSIDOR")


def test_without_lists_there_is_no_split(tmp_path):
    riga_plus.build(tmp_path, lists=False)
    assert {record.subset for record in RigaPlus(tmp_path).records} == {None}


@pytest.mark.parametrize(
    ("turned", "message"),
    [
        ({0: 0, 255: 128, 128: 255}, "128 between background and 255"),
        ({0: 255, 255: 128, 128: 0}, "255 along the border"),
        ({0: 128, 255: 255, 128: 0}, "128 along the border"),
    ],
)
def test_turned_codes_are_refused(tree, turned, message):
    path = next(tree.rglob("RIGA-mask/BinRushed/BinRushed1/image1-4.tif"))
    table = np.zeros(256, np.uint8)
    table[[*turned]] = [*turned.values()]
    save(path, table[read_mask(path)])
    with pytest.raises(DatasetError, match=rf"{message}.*image1-4\.tif"):
        _ = RigaPlus(tree)[0]


def test_a_list_that_names_no_crop_is_told(tree):
    path = next(tree.rglob("Magrabia_train.csv"))
    path.write_text(path.read_text() + "RIGA\\Magrabia\\MagrabiaMale\\image3.tif,x\n")
    with pytest.raises(DatasetError, match=r"image3\.tif' in .*Magrabia_train\.csv"):
        _ = RigaPlus(tree).records


def test_a_crop_in_two_lists_is_told(tree):
    path = next(tree.rglob("Magrabia_train.csv"))
    path.with_name("Magrabia_test.csv").write_text(path.read_text())
    with pytest.raises(
        DatasetError,
        match=r"'RIGA/Magrabia/MagrabiFemale/image7.tif' in .*Magrabia_test\.csv, a crop that stands in two lists",
    ):
        _ = RigaPlus(tree).records


def test_riga_itself_beside_it_is_not_taken(tree):
    riga.build(tree)
    assert len(RigaPlus(tree)) == 5
