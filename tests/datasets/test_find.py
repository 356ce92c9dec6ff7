"""A folder of downloads: which packages lie in it, in which form, complete or not, and which show the same eyes."""

import shutil

import pytest
import yaml

from fundusseg import prepare
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import DofeFundus, DrishtiGS, Folder, Phantom, RimOneDL, RimOneR2, RimOneR3
from fundusseg.datasets._find import find
from fundusseg.datasets.same_eyes import same_eyes
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.image_files import read_photograph
from tests.miniatures import (
    dofe_fundus,
    drions_db,
    drishti_gs,
    folder,
    g1020,
    idrid,
    isbi_membrane,
    origa,
    papila,
    refuge,
    rim_one_dl,
    rim_one_r2,
    rim_one_r3,
    smdg,
)
from tests.miniatures.shapes import photograph, save


def build_downloads(root) -> None:
    """Eight public packages and one's own folder, as they came from the browser, and pictures of nobody."""
    drishti_gs.build(root / "drishti-20211018T055246Z-001")
    drions_db.build(root)
    g1020.build(root / "archive")
    origa.build(root / "archive")
    refuge.build_bundle(root / "archive")
    papila.build(root)
    idrid.build(root)
    rim_one_dl.build(root / "RIM-ONE DL")
    rim_one_r3.build(root)
    isbi_membrane.build(root)
    folder.build(root / "my clinic", code="255/128/0")
    save(root / "desk.png", photograph(99))


def unlike(result) -> None:
    """Give every photograph another content: miniatures repeat theirs."""
    for seed, path in enumerate(record.image for one in result.usable for record in one.dataset.records):
        save(path, photograph(1000 + seed, read_photograph(path).shape[:2]))


@pytest.fixture
def downloads(tmp_path):
    build_downloads(tmp_path / "downloads")
    return tmp_path / "downloads"


PLACES = {
    "DrionsDB": "DRIONS-DB",
    "DrishtiGS": "drishti-20211018T055246Z-001/Drishti-GS1_files",
    "Folder": "my clinic",
    "G1020": "archive/G1020",
    "IDRiD": "A. Segmentation",
    "IsbiMembrane": "ISBI",
    "Origa": "archive/ORIGA",
    "Papila": "PapilaDB",
    "Refuge": "archive/REFUGE",
    "RimOneDL": "RIM-ONE DL",
    "RimOneR3": "RIM-ONE r3",
}


def test_all_packages_are_told_apart(downloads):
    result = find(downloads)
    assert all(one.error is None for one in result.found)
    assert {type(one.dataset).__name__: one.settings["root"] for one in result.found} == PLACES
    assert [path.name for path in result.pictures] == ["desk.png"]
    assert {result.usable[at].dataset.source for at in result.aside} == {"rim_one_dl", "isbi_membrane"}
    assert len(result.merged) == len(PLACES) - 2
    sentences = {type(one.dataset).__name__: one.sentence() for one in result.found}
    assert "LabelMe polygons: 3 pictures, 1020 are published" in sentences["G1020"]
    assert "masks in gts" in sentences["Refuge"] and "left out 2 test pictures without truth" in sentences["Refuge"]
    assert "3 pictures; masks read as 255/128/0" in sentences["Folder"]


@pytest.mark.slow
def test_the_pasted_section_runs_through_prepare(downloads, tmp_path, capsys):
    unlike(find(downloads))
    assert prepare.main(["--find", str(downloads)]) == 0
    said, section = capsys.readouterr().out.split("Paste into a configuration:")
    assert "RimOneDL in RIM-ONE DL: shows eyes of rim_one_r3 again: take one or the other" in said
    assert "1 pictures belong to none of these: desk.png" in said
    config = tmp_path / "pasted.yaml"
    config.write_text(section)
    assert len(yaml.safe_load(section)["data"]["datasets"]) == 9
    options = [f"--output={tmp_path / 'out'}", f"--data.cache_dir={tmp_path / 'cache'}", "--data.image_size=32"]
    assert prepare.main([f"--config={config}", *options]) == 0
    assert len(list((tmp_path / "cache").rglob("valid.npy"))) == 9


def test_an_incomplete_package_is_named(downloads):
    next(downloads.rglob("RET002OD_cup_exp2.txt")).unlink()
    shutil.rmtree(downloads / "DRIONS-DB" / "experts_annotation")
    said = {type(one.dataset).__name__: one.sentence() for one in find(downloads).found if one.error}
    assert set(said) == {"Papila", "DrionsDB"}
    assert "cannot be read: got a picture without its cup contour of expert 2" in said["Papila"]
    assert "RET002OD.jpg" in said["Papila"] and "image_001.jpg" in said["DrionsDB"]


def test_a_set_that_spreads_over_the_downloads_hides_no_other(tmp_path):
    """RIM-ONE DL comes as two folders, so its root holds all the others, and what is wrong with these is still told."""
    rim_one_dl.build(tmp_path)
    papila.build(tmp_path)
    drions_db.build(tmp_path)
    next(tmp_path.rglob("anotExpert2_001.txt")).unlink()
    save(tmp_path / "desk.png", photograph(99))
    result = find(tmp_path)
    said = {type(one.dataset).__name__: one for one in result.found}
    assert said["RimOneDL"].settings["root"] == "."
    assert "passed over" not in said["Papila"].sentence()
    assert "cannot be read: got a picture without its contour of expert 2" in said["DrionsDB"].sentence()
    assert not any(path.is_relative_to(tmp_path / "PapilaDB") for path in said["RimOneDL"].dataset.passed_over)
    assert tmp_path / "desk.png" in said["RimOneDL"].dataset.passed_over


def test_the_same_package_twice_is_taken_once(tmp_path):
    drions_db.build(tmp_path / "one")
    drions_db.build(tmp_path / "two", count=5)
    result = find(tmp_path)
    assert [one.settings["root"] for one in result.merged] == ["two/DRIONS-DB"]
    assert result.sentences()[-1] == "DrionsDB in one/DRIONS-DB: the same set as in two/DRIONS-DB"


def test_a_compilation_gives_way_to_its_sources(tmp_path):
    """Though it holds more pictures than each."""
    refuge.build(tmp_path / "REFUGE")
    drishti_gs.build(tmp_path / "Drishti")
    smdg.build(tmp_path / "SMDG")
    dofe_fundus.build(tmp_path / "DoFE")
    result = find(tmp_path)
    assert {one.dataset.source for one in result.usable} == {"refuge", "drishti_gs", "smdg", "dofe_fundus"}
    assert len(DofeFundus(tmp_path / "DoFE")) > len(DrishtiGS(tmp_path / "Drishti"))
    assert {one.dataset.source for one in result.merged} == {"refuge", "drishti_gs"}
    said = "\n".join(result.sentences())
    for name in ("Smdg", "DofeFundus"):
        assert f"{name} in " in said and "shows eyes of drishti_gs, refuge again: take one or the other" in said


def test_of_two_originals_the_one_with_the_cup_stays(tmp_path):
    rim_one_r2.build(tmp_path)
    rim_one_r3.build(tmp_path)
    result = find(tmp_path)
    assert [type(one.dataset).__name__ for one in result.merged] == ["RimOneR3"]
    assert result.sentences()[-1].endswith("shows eyes of rim_one_r3 again: take one or the other")


def test_ones_own_numbered_folder_is_no_public_package(tmp_path):
    origa.build(tmp_path, table=False)
    shutil.rmtree(tmp_path / "ORIGA" / "Images_Cropped")
    (tmp_path / "ORIGA").rename(tmp_path / "clinic")
    (found,) = find(tmp_path).found
    assert isinstance(found.dataset, Folder) and found.dataset.code == "0/1/2" and len(found.dataset) == 3


def test_a_folder_with_nothing_says_so(tmp_path, capsys):
    assert prepare.main(["--find", str(tmp_path)]) == 1
    assert f"No dataset, and no picture, below {tmp_path}." in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match="no folder at"):
        prepare.main(["--find", str(tmp_path / "nowhere")])


def test_the_merge_refuses_the_same_eyes(tmp_path):
    rim_one_r3.build(tmp_path / "three")
    rim_one_dl.build(tmp_path / "deep")
    datasets = [RimOneR3(tmp_path / "three"), Phantom(count=4, size=64), RimOneDL(tmp_path / "deep")]
    with pytest.raises(DatasetError, match="rim_one_r3 and rim_one_dl, which show some of the same eyes"):
        FundusDataModule(datasets)
    releases = [RimOneR2(tmp_path), RimOneR3(tmp_path), RimOneDL(tmp_path)]
    assert len(same_eyes(releases)) == 3 and same_eyes([RimOneR2(tmp_path), DrishtiGS(tmp_path)]) == []


@pytest.mark.realdata
@pytest.mark.slow
def test_real_sets_are_told_apart(realdata):
    found = {one.settings["root"]: type(one.dataset).__name__ for one in find(realdata).usable}
    assert found["RIM-ONE-DL"] == "RimOneDL" and found["IDRiD"] == "IDRiD" and found["ORIGA-discs"] == "Folder"
    assert len(found) == 10
