"""What may be wrong with a dataset on disk, told by name for every reader that was written to the same pattern."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest

from fundusseg.datasets import (
    G1020,
    Chaksu,
    DofeFundus,
    DrionsDB,
    DrishtiGS,
    FundusDataset,
    IDRiD,
    IsbiMembrane,
    OpticDiscSeg,
    Origa,
    Papila,
    Refuge,
    RigaPlus,
    RimOneDL,
    RimOneR2,
    RimOneR3,
    Sclera,
)
from fundusseg.errors import DatasetError, ImageError
from tests.miniatures import (
    chaksu,
    dofe_fundus,
    drions_db,
    drishti_gs,
    g1020,
    idrid,
    isbi_membrane,
    optic_disc_seg,
    origa,
    papila,
    refuge,
    riga_plus,
    rim_one_dl,
    rim_one_r2,
    rim_one_r3,
    sclera,
)
from tests.miniatures.shapes import HEIGHT, WIDTH, save, truncate


@dataclass(frozen=True)
class Case:
    """A reader, its miniature tree, and one picture with one of its annotation files.

    ``empty`` is the mask's value where nothing is marked, ``unknown`` one that means nothing; None for contours, and
    for a dataset where every value means something. ``marked`` is the value where the disc is marked.
    """

    reader: type[FundusDataset]
    data: ModuleType
    picture: str
    label: str
    region: str = "disc"
    empty: int | None = 0
    unknown: int | None = 7
    width: int = WIDTH
    marked: int = 1


CASES = [
    Case(DrishtiGS, drishti_gs, "drishtiGS_001.png", "drishtiGS_001_ODsegSoftmap.png", unknown=32),
    Case(DrionsDB, drions_db, "image_001.jpg", "anotExpert1_001.txt", empty=None, unknown=None),
    Case(OpticDiscSeg, optic_disc_seg, "H0002.jpg", "H0002.png"),
    Case(RimOneR3, rim_one_r3, "N-1-L.jpg", "N-1-L-1-Cup-exp2.png", "cup", width=2 * WIDTH),
    Case(RimOneDL, rim_one_dl, "r1_Im001.png", "r1_Im001-1-Cup-T.png", "cup"),
    Case(RimOneR2, rim_one_r2, "Im001.jpg", "Im001-gs_mask.bmp", unknown=None, marked=255),
    Case(Refuge, refuge, "g0001.jpg", "g0001.bmp", empty=255, marked=128),
    Case(Origa, origa, "001.jpg", "001.png"),
    Case(G1020, g1020, "image_0.jpg", "image_0.json", empty=None, unknown=None),
    Case(Papila, papila, "RET002OD.jpg", "RET002OD_cup_exp2.txt", empty=None, unknown=None),
    Case(IDRiD, idrid, "IDRiD_01.jpg", "IDRiD_01_OD.tif", unknown=None, marked=255),
    Case(IsbiMembrane, isbi_membrane, "0.png", "0.png", "membrane", empty=255, marked=0),
    Case(Sclera, sclera, "1  (11).jpg", "1(11).png", "sclera"),
    Case(Chaksu, chaksu, "Image101.jpg", "Image101.tif"),
    Case(RigaPlus, riga_plus, "image7.tif", "image7-1.tif", marked=255),
    Case(DofeFundus, dofe_fundus, "g0001.png", "g0001.png", empty=255, unknown=None, marked=128),
]
MASKS = [case for case in CASES if case.empty is not None]


def name(case):
    return case.reader.__name__


@pytest.fixture
def tree(request, tmp_path):
    """The miniature tree, its first picture and that picture's label."""
    case = request.param
    case.data.build(tmp_path)
    record = next(record for record in case.reader(tmp_path).records if record.image.name == case.picture)
    return case, tmp_path, record.image, next(file for file in record.files.values() if file.name == case.label)


def over(cases):
    return pytest.mark.parametrize("tree", cases, ids=name, indirect=True)


def position(dataset, picture):
    return next(number for number, record in enumerate(dataset.records) if record.image.name == picture.name)


@over(CASES)
def test_the_tree_itself_loads(tree):
    case, root, *_ = tree
    for sample in case.reader(root):
        assert {annotation.region for annotation in sample.annotations} == set(sample.record.regions)
        assert sample.image.shape == (HEIGHT, WIDTH, 3)


@over(CASES)
def test_a_missing_label_is_named(tree):
    case, root, picture, label = tree
    label.unlink()
    with pytest.raises(DatasetError, match=r"a picture without its .*: ") as caught:
        _ = case.reader(root).records
    assert picture.name in str(caught.value)
    assert "add the missing" in caught.value.do


@over(CASES)
def test_an_orphan_label_is_named(tree):
    case, root, picture, label = tree
    for copy in root.rglob(picture.name):
        if copy != label:
            copy.unlink()
    stem = label.name.split(".")[0].split("-1-")[0].split("_disc")[0].split("_cup")[0]
    with pytest.raises(DatasetError) as caught:
        _ = case.reader(root).records
    assert "without its picture" in str(caught.value)
    assert stem in caught.value.got
    assert "add the missing" in caught.value.do


@over(CASES)
def test_a_folder_one_level_too_low_is_told(tree):
    case, _, picture, _ = tree
    with pytest.raises(DatasetError) as caught:
        _ = case.reader(picture.parent).records
    assert f"no picture of {name(case)} below" in str(caught.value)
    assert caught.value.expected == case.reader.layout
    assert "give the folder" in caught.value.do


@over(CASES)
def test_a_truncated_picture_is_named(tree):
    case, root, picture, _ = tree
    truncate(picture)
    dataset = case.reader(root)
    with pytest.raises(ImageError) as caught:
        _ = dataset[position(dataset, picture)]
    assert picture.name in str(caught.value)


@over(CASES)
def test_a_truncated_label_is_named(tree):
    case, root, picture, label = tree
    text = label.suffix == ".txt"
    label.write_bytes(b"10.0 10.0\n20.0") if text else truncate(label)
    with pytest.raises((ImageError, DatasetError)) as caught:
        dataset = case.reader(root)
        _ = dataset[position(dataset, picture)]
    assert label.name in str(caught.value)


@over(MASKS)
def test_a_mask_of_another_size_is_named(tree):
    case, root, picture, label = tree
    mask = np.full((HEIGHT - 6, case.width), case.empty, np.uint8)
    mask[20:30, 20:30] = case.marked
    save(label, mask)
    dataset = case.reader(root)
    with pytest.raises(DatasetError, match=f"mask of {case.width} x {HEIGHT - 6} pixels for") as caught:
        _ = dataset[position(dataset, picture)]
    assert f"{case.width} x {HEIGHT} pixels" in caught.value.expected
    assert picture.name in caught.value.got
    assert label.name in caught.value.got


@over([case for case in MASKS if case.unknown is not None])
def test_an_unknown_value_is_named(tree):
    case, root, picture, label = tree
    mask = np.full((HEIGHT, case.width), case.empty, np.uint8)
    mask[20:30, 20:30] = case.unknown
    save(label, mask)
    dataset = case.reader(root)
    with pytest.raises(DatasetError, match=f"the value {case.unknown} in ") as caught:
        _ = dataset[position(dataset, picture)]
    assert label.name in str(caught.value)


@over(MASKS)
def test_an_empty_mask_is_named(tree):
    case, root, picture, label = tree
    for path in {label, *root.rglob(label.name.replace("exp2", "exp1"))} - {picture}:
        save(path, np.full((HEIGHT, case.width), case.empty, np.uint8))
    dataset = case.reader(root)
    with pytest.raises(DatasetError, match=f"no {case.region} pixel marked for ") as caught:
        _ = dataset[position(dataset, picture)]
    assert picture.name in str(caught.value)
    assert "remove the picture" in caught.value.do
