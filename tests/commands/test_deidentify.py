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
        (written(), {"BurnedInAnnotation": "YES"}, "text that is burned in (BurnedInAnnotation YES)"),
        (written(), {"BurnedInAnnotation": "YES ?"}, "text that is burned in (BurnedInAnnotation YES ?)"),
        (written(), {"BurnedInAnnotation": ["NO", "YES"]}, "text that is burned in (BurnedInAnnotation NO\\YES)"),
        (written(), {"sop_class": SC, "BurnedInAnnotation": None}, "a secondary capture that does not say"),
        (written(), {}, "pixels of writing beside the field of view"),
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


@pytest.mark.parametrize("burned", ["YES", "YES ?"])
def test_areas_in_which_nothing_was_written_cover_nothing(archive, capsys, burned):
    """What the header speaks of stands elsewhere: within the field, where it is not found."""
    inside = phantom().copy()
    cv2.putText(inside, "ANNA", (90, 130), cv2.FONT_HERSHEY_PLAIN, 1.0, (255, 255, 255))
    write(dicom_photograph(inside, number=9, BurnedInAnnotation=burned), archive / "9")
    (archive.parent / "areas.csv").write_text("device,left,top,right,bottom\nPhantom Optics F-1,0,0,0.3,0.06\n")
    code, _, rows = run(archive, "--areas", str(archive.parent / "areas.csv"))
    assert code == 1 and len(rows) == 6
    assert f"text that is burned in (BurnedInAnnotation {burned})" in capsys.readouterr().out


def test_files_of_one_name_in_several_folders_are_several(tmp_path):
    (tmp_path / "key").write_bytes(KEY + b"\n")
    for number in (1, 2):
        write(dicom_photograph(phantom(number), number=number), tmp_path / f"clinic{number}" / "IMG1.dcm")
    folders = [str(tmp_path / f"clinic{number}") for number in (1, 2, 1)]
    place = tmp_path / "out"
    assert deidentify.main([*folders, "--key_file", str(tmp_path / "key"), "--output", str(place)]) == 0
    found = [read_photograph(path) for path in (place / "images").iterdir()]
    assert len(found) == 2 and all(any(np.array_equal(one, phantom(n)) for one in found) for n in (1, 2))


def test_another_picture_of_the_same_uid_overwrites_nothing(tmp_path, capsys):
    (tmp_path / "key").write_bytes(KEY + b"\n")
    for name, number in (("a", 1), ("b", 1), ("c", 2)):
        write(dicom_photograph(phantom(number), number=1), tmp_path / "archive" / name)
    code, place, rows = run(tmp_path / "archive")
    assert code == 1 and len(rows) == 1
    assert np.array_equal(read_photograph(place / "images" / rows[0]["image"]), phantom(1))
    said = capsys.readouterr().out
    assert "another picture under a UID that came before" in said and "1 refused, 1 given twice" in said


def test_the_same_number_of_another_issuer_is_another_patient(tmp_path):
    (tmp_path / "key").write_bytes(KEY + b"\n")
    for number, issuer in enumerate(("A", "B", "B", None, ["A", "B"])):
        more = {"IssuerOfPatientID": issuer} if issuer else {}
        write(dicom_photograph(phantom(number), number=number, **more), tmp_path / "archive" / str(number))
    _, _, rows = run(tmp_path / "archive")
    patients = [row["patient"] for row in rows]
    assert len(patients) == 5 and len(set(patients)) == 4
    assert Pseudonyms(KEY).patient("P-0001") in patients  # without an issuer as ever


def writing_on(page: int, ink: int, size: tuple[int, int] = (300, 400)) -> np.ndarray:
    """A photograph pasted on a page of one grey, with a name in another."""
    image = np.full((*size, 3), page, np.uint8)
    image[20:276, 10:266] = phantom()
    cv2.putText(image, "ANNA MUELLER", (280, 150), cv2.FONT_HERSHEY_PLAIN, 0.8, (ink,) * 3)
    return image


@pytest.mark.parametrize(
    ("page", "ink"), [(255, 0), (255, 200), (230, 60), (0, 255), (0, 40), (0, 24), (60, 20), (60, 90), (128, 0)]
)
def test_writing_of_any_grey_on_any_page_is_found(page, ink):
    assert writing_beside_field(writing_on(page, ink)) > 20
    assert writing_beside_field(writing_on(page, page)) == 0
    known = [Area(0.68, 0.42, 1, 0.56)]
    assert writing_beside_field(blacked_out(writing_on(page, ink), known), known) == 0


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
