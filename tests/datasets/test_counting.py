"""Nothing is passed over in silence: what a reader finds, leaves out, knows and does not know is counted and said."""

import os
import shutil
from pathlib import Path

import pytest

from fundusseg.datasets import DrionsDB, DrishtiGS, Folder, Papila, Phantom, Refuge, RimOneDL
from fundusseg.errors import DatasetError
from tests.miniatures import drions_db, drishti_gs, folder, papila, refuge, rim_one_dl
from tests.miniatures.readers import READERS
from tests.miniatures.shapes import photograph, save


def said(dataset) -> str:
    return "; ".join(dataset.remarks())


@pytest.mark.parametrize("reader", READERS)
def test_the_miniature_holds_nothing_unknown(reader, tmp_path):
    READERS[reader].build(tmp_path)
    assert reader(tmp_path).passed_over == ()


@pytest.mark.parametrize("reader", READERS)
def test_a_stray_picture_is_told(reader, tmp_path):
    READERS[reader].build(tmp_path)
    before = len(reader(tmp_path))
    save(tmp_path / "holiday" / "beach.jpg", photograph(1))
    dataset = reader(tmp_path)
    assert len(dataset) == before
    assert "passed over 1 pictures that fit no name of the set: holiday/beach.jpg" in said(dataset)


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.__name__ != "IsbiMembrane"])
def test_a_renamed_picture_is_told(reader, tmp_path):
    """With its annotations gone too: nothing but the name of the picture is left to tell."""
    READERS[reader].build(tmp_path)
    record = reader(tmp_path).records[0]
    for file in {*record.files.values()}:
        file.unlink()
    renamed = record.image.with_name(f"my{record.image.suffix}")
    record.image.rename(renamed)
    try:
        assert renamed.name in said(reader(tmp_path))
    except DatasetError as error:  # a reader that takes any name, or a table that lists the picture
        assert renamed.name in str(error) or record.image.name in str(error)


@pytest.mark.parametrize(("reader", "built"), [(DrionsDB, 3), (DrishtiGS, 8), (RimOneDL, 3)])
def test_the_published_count_is_compared(reader, built, tmp_path):
    READERS[reader].build(tmp_path)
    total = sum(reader(tmp_path).counts().values())
    assert f"{built} pictures, {total} are published" in said(reader(tmp_path))


def test_a_whole_set_is_said_to_be_whole(tmp_path):
    drions_db.build(tmp_path, count=110)
    assert said(DrionsDB(tmp_path)) == "all 110 published pictures"


def test_the_count_is_told_by_part(tmp_path):
    drishti_gs.build(tmp_path)
    assert "(train 4 of 50, test 4 of 51)" in said(DrishtiGS(tmp_path))


def test_a_part_without_truth_is_left_out(tmp_path):
    drishti_gs.build(tmp_path)
    shutil.rmtree(next(tmp_path.rglob("Test_GT")))
    dataset = DrishtiGS(tmp_path)
    assert {record.subset for record in dataset.records} == {"train"}
    assert "left out 4 test pictures without truth: " in said(dataset)
    assert "(train 4 of 50, test 0 of 51)" in said(dataset)
    assert dataset.passed_over == ()


def test_a_part_with_one_mask_is_no_part_without_truth(tmp_path):
    drishti_gs.build(tmp_path)
    for name in ("005", "006", "007"):
        shutil.rmtree(next(tmp_path.rglob(f"Test_GT/drishtiGS_{name}")))
    with pytest.raises(DatasetError, match=r"picture without its .*005.*006.*007"):
        _ = DrishtiGS(tmp_path).records


def test_refuge_without_the_truth_of_its_test(tmp_path):
    refuge.build(tmp_path)
    shutil.rmtree(tmp_path / "REFUGE-Test-GT")
    dataset = Refuge(tmp_path)
    assert [record.name for record in dataset.records] == ["V0001", "g0001", "n0003"]
    assert "left out 2 test pictures without truth: REFUGE-Test400/Test400/T0001.jpg" in said(dataset)


LEFTOVERS = ("Thumbs.db", ".DS_Store", "._x.jpg", "x.jpg:Zone.Identifier", "__MACOSX/images/image_001.jpg")


def test_leftovers_of_file_managers_are_known(tmp_path):
    drions_db.build(tmp_path)
    for name in LEFTOVERS:
        path = tmp_path / "DRIONS-DB" / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    dataset = DrionsDB(tmp_path)
    assert len(dataset) == 3 and dataset.passed_over == ()
    assert "2 leftovers of file managers" in said(dataset) and "2 hidden pictures" in said(dataset)


@pytest.mark.parametrize("name", ["{} 2", "{} (1)", "{} - Copy"])
def test_second_copies_are_known_beside_the_first_alone(tmp_path, name):
    papila.build(tmp_path)
    path = next(tmp_path.rglob("RET002OD_cup_exp2.txt"))
    copy = shutil.copy(path, path.with_name(f"{name.format(path.stem)}.txt"))
    dataset = Papila(tmp_path)
    assert len(dataset) == 4 and "1 second copies" in said(dataset)
    path.unlink()
    assert Path(copy) in Papila(tmp_path).files
    with pytest.raises(DatasetError, match=r"without its cup contour of expert 2: .*RET002OD\.jpg"):
        _ = Papila(tmp_path).records


def test_drawings_are_never_pictures(tmp_path):
    refuge.build(tmp_path)
    save(tmp_path / "REFUGE-Validation400-GT" / "Disc_Cup_Fovea_Illustration" / "V0001.jpg", photograph(1))
    papila.build(tmp_path)
    save(tmp_path / "PapilaDB/ExpertsSegmentations/ImagesWithContours/Opht_cont_RET002OD.jpg", photograph(1))
    assert "2 drawings on photographs" in said(Refuge(tmp_path))
    assert len(Refuge(tmp_path)) == 5 and len(Papila(tmp_path)) == 4


def test_a_users_own_folder_may_be_called_anything(tmp_path):
    folder.build(tmp_path)
    (tmp_path / "images").rename(tmp_path / "Images_Square")
    for kind in ("Images_Square", "masks"):
        for path in (tmp_path / kind).iterdir():
            shutil.copy(path, path.with_name(f"{path.stem} 2{path.suffix}"))
    assert len(Folder(tmp_path, images="Images_Square")) == 6


def test_a_missing_folder_says_where_to_get_the_set(tmp_path):
    for reader in READERS:
        with pytest.raises(DatasetError) as caught:
            _ = reader(tmp_path / "nowhere").records
        assert reader is Folder or (reader.url in caught.value.do and reader.licence in caught.value.do)


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader is not Folder])
def test_every_reader_states_where_to_get_it(reader):
    assert reader.url.startswith("http")
    assert sum(reader.published.values()) >= 30 or reader.__name__ == "Sclera"


def test_a_folder_deeper_than_any_package_is_found(tmp_path):
    drions_db.build(tmp_path / "/".join("abcdefghijkl"))
    assert len(DrionsDB(tmp_path)) == 3


@pytest.mark.parametrize("locked", ["DRIONS-DB", "DRIONS-DB/images", "DRIONS-DB/experts_annotation"])
def test_a_folder_without_rights_is_the_reason(tmp_path, monkeypatch, locked):
    """Denied in the test itself, for whom no rights bind: the superuser of a container."""
    drions_db.build(tmp_path)
    scandir = os.scandir

    def deny(path):
        if path == tmp_path / locked:
            raise PermissionError(13, "denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(DatasetError, match=rf"1 folders that cannot be listed below .*: {locked}; .*right to read"):
        _ = DrionsDB(tmp_path).records


def test_a_linked_folder_is_entered_once(tmp_path):
    drions_db.build(tmp_path / "one")
    (tmp_path / "one" / "again").symlink_to(tmp_path / "one")
    (tmp_path / "two").symlink_to(tmp_path / "one" / "DRIONS-DB")
    assert len(DrionsDB(tmp_path)) == 3


def test_made_pictures_have_no_remarks():
    assert Phantom(count=2).remarks() == []


def test_the_other_partition_is_no_stray(tmp_path):
    rim_one_dl.build(tmp_path)
    dataset = RimOneDL(tmp_path)
    assert "left out 3 pictures of the other partition" in said(dataset) and dataset.passed_over == ()
