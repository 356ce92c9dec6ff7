"""What leaves an archive for research: pixels and what was asked for, nothing by which a person is found."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from fundusseg import deidentify
from fundusseg.datasets import Folder
from fundusseg.dicom.pseudonyms import Pseudonyms
from fundusseg.errors import ConfigurationError
from fundusseg.imaging import read_photograph
from fundusseg.imaging.burned_in_text import Area, blacked_out, writing_beside_field
from tests.support.dicom_objects import OP16, SC, VL, dicom_photograph, phantom, write

KEY = b"a key that nobody can guess"
DATES = {"AcquisitionDateTime": "20240630101213", "StudyDate": "20240630", "ContentDate": "20240630"}


def written() -> np.ndarray:
    """A photograph with a name beside its field of view."""
    image = phantom().copy()
    cv2.putText(image, "ANNA", (2, 10), cv2.FONT_HERSHEY_PLAIN, 0.6, (255, 255, 255))
    return image


@pytest.fixture
def archive(tmp_path) -> Path:
    folder = tmp_path / "Müller Anna 1950"
    write(dicom_photograph(phantom(0), number=1), folder / "1")
    write(dicom_photograph(phantom(1), number=2, ImageLaterality="L", **DATES), folder / "2")
    write(dicom_photograph(phantom(2).astype(np.uint16) * 257, OP16, number=3, patient="P-0002"), folder / "3")
    write(dicom_photograph([phantom(0), phantom(1)], number=4, patient="P-0002"), folder / "4")
    write(dicom_photograph(phantom(3), VL, number=5, patient="", PatientName="Doe^John"), folder / "5")
    (tmp_path / "key").write_bytes(KEY + b"\n")
    return folder


def run(archive, *more, output="out") -> tuple[int, Path, list[dict[str, str]]]:
    place = archive.parent / output
    code = deidentify.main([str(archive), "--key_file", str(archive.parent / "key"), "--output", str(place), *more])
    return code, place, list(csv.DictReader((place / "photographs.csv").open()))


def identifying(archive) -> set[str]:
    """Every value of the input that could lead to a person, and the folder's own words."""
    kinds = ("PN", "LO", "SH", "UI", "DA", "TM", "DT", "LT", "ST", "UT", "AS")
    values = {"Müller", "Anna", "Anna 1950"}
    for path in archive.iterdir():
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        for element in (*dataset.iterall(), *dataset.file_meta):
            if element.VR in kinds and element.keyword not in ("SOPClassUID", "CodeMeaning", "CodeValue"):
                values |= {part for part in str(element.value or "").replace("^", " ").split(" ") if len(part) > 3}
                values.add(str(element.value or "").replace("-", ""))
    return {value for value in values if len(value) > 3}


def test_nothing_that_leads_to_a_person_is_in_the_output(archive):
    code, place, rows = run(archive, "--columns", "eye", "date")
    assert code == 0 and len(rows) == 6
    values = identifying(archive)
    assert {"P-0001", "Müller", "19500102", "20240531", "SN-4711", "ACC77", "John"} <= values and len(values) > 25
    everything = b"\n".join(
        str(path.relative_to(place)).encode() + b"\n" + path.read_bytes() for path in place.rglob("*") if path.is_file()
    )
    plain = everything.replace(b"-", b"")
    assert [value for value in values if value.encode() in everything or value.encode() in plain] == []


def test_pictures_are_exact_and_a_patient_s_belong_together(archive):
    _, place, rows = run(archive, "--columns", *deidentify.COLUMNS)
    assert len({row["patient"] for row in rows}) == 3
    by_patient: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_patient.setdefault(row["patient"], []).append(row)
    one = by_patient[Pseudonyms(KEY).patient("P-0001")]
    assert sorted(row["eye"] for row in one) == ["OD", "OS"]
    days = sorted(np.datetime64(row["date"]) for row in one)
    assert days[1] - days[0] == np.timedelta64(30, "D") and np.datetime64("2024-05-31") > days[0]
    assert {row["device"] for row in rows} == {"Phantom Optics F-1"}
    found = [read_photograph(place / "images" / row["image"]) for row in rows]
    for number in range(4):
        assert any(np.array_equal(image, phantom(number)) for image in found)
    dataset = Folder(place, masks=None, csv="photographs.csv")
    assert len(dataset) == 6 and {record.patient for record in dataset.records} == set(by_patient)


def test_nothing_leaves_that_was_not_asked_for(archive):
    _, place, rows = run(archive)
    assert set(rows[0]) == {"image", "patient"}
    assert {path.name for path in place.iterdir()} == {"images", "photographs.csv"}


def test_the_same_key_gives_the_same_names_and_another_one_others(archive):
    first, second = run(archive)[2], run(archive, output="again")[2]
    assert first == second
    (archive.parent / "key").write_bytes(b"another key of sixteen bytes")
    other = run(archive, output="other")[2]
    assert not {row["image"] for row in first} & {row["image"] for row in other}


@pytest.mark.parametrize(
    ("pixels", "elements", "why"),
    [
        (phantom(), {"BurnedInAnnotation": "YES"}, "text that is burned in"),
        (phantom(), {"sop_class": SC, "BurnedInAnnotation": None}, "a secondary capture that does not say"),
        (written(), {}, "lit pixels beside the field of view"),
    ],
)
def test_what_may_show_writing_is_refused_unless_its_device_is_known(archive, capsys, pixels, elements, why):
    write(dicom_photograph(pixels, number=9, **elements), archive / "9")
    code, _, rows = run(archive)
    assert code == 1 and len(rows) == 6 and why in capsys.readouterr().out
    (archive.parent / "areas.csv").write_text("device,left,top,right,bottom\nPHANTOM OPTICS F-1,0,0,0.3,0.06\n")
    code, place, rows = run(archive, "--areas", str(archive.parent / "areas.csv"), output="masked")
    assert code == 0 and len(rows) == 7
    for row in rows:
        assert not read_photograph(place / "images" / row["image"])[:15, :76].any()


def test_writing_beside_the_field_is_found():
    assert writing_beside_field(phantom()) == 0 and writing_beside_field(written()) > 20
    assert writing_beside_field(np.zeros((50, 50, 3), np.uint8)) == 0
    assert writing_beside_field(blacked_out(written(), [Area(0, 0, 0.3, 0.06)])) == 0


def test_real_photographs_with_writing_are_told_from_those_without(realdata):
    """IDRiD's are clean; on DRIONS-DB's, digitised slides, small letters run down the left margin."""
    clean, written_on = (sorted((realdata / name).rglob("*.jpg"))[:6] for name in ("IDRiD", "DRIONS-DB"))
    assert clean and [writing_beside_field(read_photograph(file)) for file in clean] == [0] * len(clean)
    assert written_on and all(writing_beside_field(read_photograph(file)) > 20 for file in written_on)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--columns", "name"], "column 'name'"),
        (["--key_file", "nowhere"], "no key"),
        (["--key_file", "short"], "a key of 5 bytes"),
        (["--areas", "short"], "areas that cannot be read"),
        (["--output", "."], "not empty"),
    ],
)
def test_settings_that_do_not_fit_are_refused(archive, monkeypatch, more, said):
    monkeypatch.chdir(archive.parent)
    Path("short").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match=said):
        deidentify.main([str(archive), "--key_file", "key", *more])


def test_photographs_without_a_uid_do_not_overwrite_each_other(tmp_path):
    (tmp_path / "key").write_bytes(KEY + b"\n")
    for number in (1, 2):
        path = write(dicom_photograph(phantom(number), number=number), tmp_path / "archive" / str(number))
        dataset = pydicom.dcmread(path)
        del dataset.SOPInstanceUID
        dataset.save_as(path)
    code, folder, rows = run(tmp_path / "archive")
    assert code == 0 and len(rows) == len(list((folder / "images").iterdir())) == 2
