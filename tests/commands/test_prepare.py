import json
import shutil

import cv2
import pytest

from fundusseg import prepare
from fundusseg.data.inspection import Inspection
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.imaging.image_files import read_mask, write_png
from tests.miniatures import drions_db, drishti_gs, folder, isbi_membrane


def run(tmp_path, datasets: list[dict], *options: str) -> tuple[int, dict]:
    arguments = [f"--data.datasets={json.dumps(datasets)}", "--data.image_size=64", f"--data.root={tmp_path}"]
    places = [f"--output={tmp_path / 'out'}", f"--data.cache_dir={tmp_path / 'cache'}"]
    code = prepare.main([*arguments, *places, *options])
    return code, json.loads((tmp_path / "out" / "report.json").read_text())


def reader(kind: str, **arguments) -> dict:
    return {"class_path": f"fundusseg.datasets.{kind}", "init_args": arguments}


@pytest.mark.slow
def test_clean_data_is_counted_stored_and_drawn(tmp_path):
    drishti_gs.build(tmp_path)
    drions_db.build(tmp_path / "DRIONS-DB", count=2)
    datasets = [reader("DrishtiGS", root="Drishti-GS1_files"), reader("DrionsDB", root="DRIONS-DB")]
    code, report = run(tmp_path, datasets)
    assert report["problems"] == [] and code == 0
    drishti, drions = report["datasets"]
    assert (drishti["pictures"], drishti["regions"], drishti["experts"]) == ("8", "disc 8, cup 8", "4")
    assert (drions["pictures"], drions["regions"], drions["experts"], drions["vertical ratio"]) == (
        "2",
        "disc 2",
        "2",
        "-",
    )
    low, middle, high = (float(value) for value in drishti["vertical ratio"].split())
    assert low == pytest.approx(high, abs=0.02) and middle == pytest.approx(0.6, abs=0.02)
    assert cv2.imread(str(tmp_path / "out" / "drishti_gs_001.png")).max() > 0
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2


def test_every_problem_is_named_and_the_code_says_so(tmp_path):
    folder.build(tmp_path / "mine")
    images, masks = (sorted((tmp_path / "mine" / kind).iterdir()) for kind in ("images", "masks"))
    images[0].write_bytes(images[0].read_bytes()[:300])
    write_png(masks[1], read_mask(masks[1])[3:])
    write_png(masks[2], 0 * read_mask(masks[2]))
    code, report = run(tmp_path, [reader("Folder", root="mine", code="0/1/2")])
    assert code == 1
    row = report["datasets"][0]
    assert (row["pictures"], row["unreadable"], row["wrong masks"], row["empty masks"]) == ("3", "1", "1", "1")
    text = " ".join(report["problems"])
    assert all(path.name in text for path in (images[0], masks[1], masks[2]))
    assert not (tmp_path / "cache").exists() or not any((tmp_path / "cache").iterdir())


def test_an_orphan_and_a_missing_folder_are_named_and_the_others_are_done(tmp_path):
    folder.build(tmp_path / "mine")
    shutil.copy(next((tmp_path / "mine" / "masks").iterdir()), tmp_path / "mine" / "masks" / "stray.png")
    datasets = [reader("Folder", root="mine"), reader("DrionsDB", root="nowhere"), reader("Phantom", count=4, size=96)]
    code, report = run(tmp_path, datasets)
    assert code == 1 and len(report["problems"]) == 2
    assert "stray.png" in report["problems"][0] and "nowhere" in report["problems"][1]
    assert [row["pictures"] for row in report["datasets"]] == ["0", "0", "4"]
    assert [row["orphans"] for row in report["datasets"]] == ["1", "0", "0"]


def test_one_photograph_in_two_datasets_is_named_unless_decided(tmp_path):
    datasets = [reader("Phantom", count=3, size=96, name=name) for name in ("one", "two")]
    code, report = run(tmp_path, datasets)
    assert code == 1 and len(report["problems"]) == 3 and "one/00000 and two/00000" in report["problems"][0]
    assert [row["duplicates"] for row in report["datasets"]] == ["3", "3"]
    assert run(tmp_path, datasets, '--data.drop_duplicates_from=["two"]')[0] == 0


def test_a_region_that_nobody_labels_is_a_problem(tmp_path):
    options = ["--data.regions=[disk]", "--data.roi=picture"]
    code, report = run(tmp_path, [reader("Phantom", count=3, size=96)], *options)
    assert code == 1 and report["problems"] == ["no dataset labels the region 'disk'"]


def test_other_regions_and_grey_pictures_go_the_same_way(tmp_path):
    isbi_membrane.build(tmp_path / "membrane")
    options = ["--data.regions=[membrane]", "--data.roi=picture"]
    code, report = run(tmp_path, [reader("IsbiMembrane", root="membrane")], *options)
    assert code == 0 and "membrane" in report["datasets"][0]["regions"]
    assert (tmp_path / "out" / f"{report['datasets'][0]['source']}_001.png").is_file()


def test_a_configuration_without_data_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("trainer: {max_epochs: 3}")
    with pytest.raises(ConfigurationError, match=r"no data section in .*a\.yaml"):
        prepare.main([f"--config={tmp_path / 'a.yaml'}"])


def test_masks_that_no_eye_and_that_few_eyes_can_have_are_counted():
    inspection = Inspection("phantom")
    sample = Phantom(count=1, size=96)[0]
    inspection(sample.record, sample)
    assert inspection.problems == [] and len(inspection.ratios) == 1
    turned = tuple(
        type(a)(a.region, a.expert, a.mask if a.region == "disc" else ~sample.of("disc")[0].mask)
        for a in sample.annotations
    )
    inspection(sample.record, type(sample)(sample.record, sample.image, turned))
    assert len(inspection.implausible) == 1 and "cup turned round" in inspection.implausible[0]
    assert inspection.problems == inspection.implausible and inspection.doubts == []
    speck = sample.of("disc")[0].mask.copy()
    speck[2, 2] = True
    specked = (type(sample.annotations[0])("disc", "expert1", speck), *sample.of("cup"))
    inspection(sample.record, type(sample)(sample.record, sample.image, specked))
    assert len(inspection.doubts) == 1 and "disc with specks" in inspection.doubts[0] and len(inspection.problems) == 1
    inspection(sample.record, ImageError("a cut file", "a whole one", "copy it"))
    assert inspection.row()["unreadable"] == "1" and inspection.pictures == 4


@pytest.mark.realdata
@pytest.mark.slow
def test_the_real_sets_are_counted(realdata, tmp_path):
    datasets = [
        reader("DrishtiGS", root="Drishti-GS1_files"),
        reader("DrionsDB", root="DRIONS-DB"),
        reader("Folder", root="REFUGE-crops", name="refuge_crops"),
        reader("Folder", root="ORIGA-crops", name="origa_crops"),
        reader("OpticDiscSeg", root="optic_disc_seg"),
    ]
    code, report = run(tmp_path, datasets, f"--data.root={realdata}", "--data.image_size=192")
    assert [row["pictures"] for row in report["datasets"]] == ["50", "5", "241", "30", "343"]
    # One eye photographed twice, under two names: the only thing that is wrong with these sets.
    assert code == 1 and all("near-identical" in p and p.count("optic_disc_seg") == 2 for p in report["problems"])


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "root", "region", "count"),
    [("IsbiMembrane", "ISBI-membrane", "membrane", "30"), ("Sclera", "sclera-MASD", "sclera", "9")],
)
@pytest.mark.slow
def test_the_real_sets_of_other_regions_are_counted(realdata, tmp_path, name, root, region, count):
    options = [f"--data.regions=[{region}]", "--data.roi=picture", f"--data.root={realdata}"]
    _, report = run(tmp_path, [reader(name, root=root)], *options)
    assert report["datasets"][0]["pictures"] == count
    assert report["datasets"][0]["unreadable"] == report["datasets"][0]["wrong masks"] == "0"


def test_what_is_left_out_and_passed_over_is_shown_and_no_problem(tmp_path, capsys):
    drions_db.build(tmp_path / "DRIONS-DB", count=2)
    write_png(tmp_path / "DRIONS-DB" / "desk.png", Phantom(count=1, size=96)[0].image)
    code, report = run(tmp_path, [reader("DrionsDB", root="DRIONS-DB")], "--data.regions=[disc]")
    passed_over = "passed over 1 pictures that fit no name of the set: desk.png"
    assert code == 0 and report["remarks"] == {"drions_db": ["2 pictures, 110 are published", passed_over]}
    assert f"drions_db: {passed_over}" in capsys.readouterr().out
