"""Objects about photographs whose headers bend the standard: made, valid, and what was put right is told."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fundusseg.dicom.findings import Algorithm, Findings
from fundusseg.dicom.result_objects import result_objects
from fundusseg.errors import ImageError
from tests.support.dicom_objects import OP8, VL, code, dicom_photograph, phantom, write

MASK = np.zeros((64, 64), bool)
MASK[20:40, 20:40] = True
SQUARE = np.array([[20.0, 20.0], [39.0, 20.0], [39.0, 39.0], [20.0, 39.0]])
FOUND = Findings({"disc": MASK}, {"disc": SQUARE}, {"vertical_cdr": 0.4}, "accept", (), "OD")
ALGORITHM = Algorithm("pretrained.bundle", "0.2.0", "5a" * 32)


def valid_objects(path: Path, dciodvfy: str) -> tuple[dict[str, pydicom.Dataset], list[str]]:
    told: list[str] = []
    made = result_objects(path, FOUND, ALGORITHM, told.append)
    for name, content in made.items():
        (path.parent / name).write_bytes(content)
        said = subprocess.run([dciodvfy, path.parent / name], capture_output=True, text=True).stderr
        assert [line for line in said.splitlines() if line.startswith("Error")] == [], name
    return {name: pydicom.dcmread(io.BytesIO(content)) for name, content in made.items()}, told


def issuer(**more: str) -> Sequence:
    item = Dataset()
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return Sequence([item])


JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
KOREAN = "Hong^Gildong=洪^吉洞=홍^길동"
BENT = {
    "Japanese": ({"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": JAPANESE}, {"PatientName": JAPANESE}),
    "Korean": ({"SpecificCharacterSet": ["", "ISO 2022 IR 149"], "PatientName": KOREAN}, {"PatientName": KOREAN}),
    "no character set": ({"SpecificCharacterSet": "", "PatientName": "Doe^J"}, {"PatientName": "Doe^J"}),
    "misspelt character set": ({"SpecificCharacterSet": "ISO-IR 100"}, {"PatientName": "Müller^Anna"}),
    "unknown character set": ({"SpecificCharacterSet": "ISO_IR 999", "PatientName": "Doe^J"}, {"PatientName": "Doe^J"}),
    "one extension": ({"SpecificCharacterSet": "ISO 2022 IR 100"}, {"PatientName": "Müller^Anna"}),
    "Chinese": ({"SpecificCharacterSet": "GB18030", "PatientName": "Wang=王^小东"}, {"PatientName": "Wang=王^小东"}),
    "a date in dashes": ({"PatientBirthDate": "1950-01-02"}, {"PatientBirthDate": "19500102"}),
    "a small letter": ({"PatientSex": "f"}, {"PatientSex": "F"}),
    "a time in colons": ({"StudyTime": "10:11:12"}, {"StudyTime": "101112"}),
    "no modality and no maker": ({"Modality": None, "Manufacturer": None}, {}),
    "an issuer": ({"IssuerOfPatientID": "HOSPITAL A"}, {"IssuerOfPatientID": "HOSPITAL A"}),
    "zeros": ({"StudyID": "S1\0\0"}, {"StudyID": "S1"}),
}


@pytest.mark.parametrize("how", BENT)
def test_what_can_be_put_right_is_put_right(tmp_path, dciodvfy, how):
    elements, expected = BENT[how]
    path = write(dicom_photograph(phantom(0, 64), **elements), tmp_path / "a")
    made, told = valid_objects(path, dciodvfy)
    assert set(made) == {"sr", "seg"} and told == []
    for dataset in made.values():
        assert {keyword: str(dataset[keyword].value) for keyword in expected} == expected
        assert dataset.SpecificCharacterSet == "ISO_IR 192"


EMPTIED = [
    ("PatientBirthDate", "1950"),
    ("PatientBirthDate", "00000000"),
    ("PatientBirthDate", "31.05.2024"),
    ("PatientBirthDate", "UNKNOWN"),
    ("PatientSex", "U"),
    ("StudyDate", "20241331"),
    ("StudyTime", "2561"),
    ("StudyID", "a study of more than sixteen letters"),
    ("AccessionNumber", "line\nline"),
    ("PatientID", "x" * 65),
    ("PatientID", "one\\two"),
    ("PatientName", "x" * 65 + "^y"),
    ("PatientOrientation", "?"),
    ("PatientOrientation", ["L", ""]),
    ("PatientOrientation", "L"),
    ("PatientOrientation", ["L", "P", "F"]),
]


@pytest.mark.parametrize(("keyword", "value"), EMPTIED)
def test_what_cannot_be_put_right_without_a_guess_is_empty_and_told(tmp_path, dciodvfy, keyword, value):
    path = write(dicom_photograph(phantom(0, 64), VL, **{keyword: value}), tmp_path / "a")
    made, told = valid_objects(path, dciodvfy)
    assert told == [f"in its DICOM objects {keyword} is not lawful, and empty"]
    assert all(not dataset.get(keyword) for dataset in made.values())


ITEM = issuer(PatientID="P9", TypeOfPatientID="TEXT", IssuerOfPatientID="B")
LEFT_OUT = [
    ("PatientAge", "74"),
    ("IssuerOfPatientID", "x" * 65),
    ("PatientComments", "\x07"),
    ("OtherPatientIDsSequence", issuer(IssuerOfPatientID="no ID")),
    ("ProcedureCodeSequence", issuer(CodeValue="1")),
    ("ReferencedStudySequence", Sequence([Dataset()])),
    ("IssuerOfAccessionNumberSequence", issuer(UniversalEntityID="1.2")),
    ("ClinicalTrialProtocolID", "alone"),
    ("PatientWeight", "heavy"),
    ("ManufacturerModelName", "x" * 65),
    ("DeviceSerialNumber", "a\\b"),
    ("PhysiciansOfRecord", ["Doe^A", "", "Roe^B"]),
]


@pytest.mark.parametrize(("keyword", "value"), LEFT_OUT)
def test_what_is_optional_and_not_lawful_is_left_out_and_told(tmp_path, dciodvfy, keyword, value):
    dataset = dicom_photograph(phantom(0, 64))
    if keyword == "PatientWeight":
        dataset[keyword] = DataElement(keyword, "LO", value)  # no number can be set
    else:
        setattr(dataset, keyword, value)
    made, told = valid_objects(write(dataset, tmp_path / "a"), dciodvfy)
    assert len(told) == 1 and told[0].endswith("is not lawful, and left out")
    assert all(keyword not in dataset or dataset[keyword].value != value for dataset in made.values())


def test_what_is_optional_and_lawful_is_copied(tmp_path, dciodvfy):
    trial = {
        "ClinicalTrialSponsorName": "S",
        "ClinicalTrialProtocolID": "P",
        "ClinicalTrialProtocolName": "",
        "ClinicalTrialSiteID": "7",
        "ClinicalTrialSiteName": "",
        "ClinicalTrialSubjectID": "N1",
    }
    procedure = Sequence([code("314971001", "SCT", "Camera fundoscopy")])
    more = {"OtherPatientIDsSequence": ITEM, "PatientAge": "074Y", "ProcedureCodeSequence": procedure, **trial}
    more["ReferencedStudySequence"] = Sequence()  # nothing, which is lawful
    path = write(dicom_photograph(phantom(0, 64), OP8, **more), tmp_path / "a")
    made, told = valid_objects(path, dciodvfy)
    assert told == []
    for dataset in made.values():
        assert dataset.OtherPatientIDsSequence[0].PatientID == "P9" and dataset.PatientAge == "074Y"
        assert dataset.ProcedureCodeSequence[0].CodeMeaning == "Camera fundoscopy"
        assert dataset.ClinicalTrialSubjectID == "N1"


@pytest.mark.parametrize("lossy", [{}, {"LossyImageCompressionRatio": "8"}, {"LossyImageCompressionRatio": "?"}])
def test_lossy_compression_is_told_on(tmp_path, dciodvfy, lossy):
    dataset = dicom_photograph(phantom(0, 64), LossyImageCompression="01")
    for keyword, value in lossy.items():
        dataset[keyword] = DataElement(keyword, "LO", value)
    made, _ = valid_objects(write(dataset, tmp_path / "a"), dciodvfy)
    assert made["seg"].LossyImageCompression == "01"


@pytest.mark.parametrize("uid", ["..", "1.2.x", "1.2..3", "../../etc", "1" * 65])
@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_uid_that_is_none_is_refused_by_name(tmp_path, keyword, uid):
    path = write(dicom_photograph(phantom(0, 64), VL), tmp_path / "a")
    dataset = pydicom.dcmread(path)
    dataset[keyword] = DataElement(keyword, "LO", uid)
    dataset.save_as(path)
    with pytest.raises(ImageError, match=f"a photograph with {keyword} .*can be referred to"):
        result_objects(path, FOUND, ALGORITHM)


def test_what_the_library_does_not_take_is_no_fault_of_the_pixels(tmp_path):
    path = write(dicom_photograph(phantom(0, 32)), tmp_path / "a")
    with pytest.raises(ImageError, match="no DICOM objects can be made") as refused:
        result_objects(path, FOUND, ALGORITHM)  # masks of another size
    assert "cannot be decoded" not in str(refused.value)
