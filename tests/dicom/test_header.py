"""What the tags say of eye, patient, date, device and frames; and what is refused by name."""

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fundusseg.dicom import read_header
from fundusseg.dicom.findings import Algorithm, Findings
from fundusseg.dicom.result_objects import result_objects
from fundusseg.errors import ImageError
from tests.support.dicom_objects import OP8, SC, VL, code, dicom_photograph, phantom, write


def header(tmp_path, pixels=None, **elements):
    return read_header(write(dicom_photograph(phantom() if pixels is None else pixels, **elements), tmp_path / "a"))


def test_a_camera_s_own_header(tmp_path):
    found = header(tmp_path)
    assert (found.eye, found.patient, found.date) == ("OD", "P-0001", "2024-05-31")
    assert found.device == "Phantom Optics F-1" and found.sop_class == "Ophthalmic Photography 8 Bit"
    assert found.nominal_spacing == (0.0105, 0.0105) and found.frames == 1 and found.remarks == ()
    assert found.frame_name(0) == ""


MODIFIED = {"AnatomicRegionModifierSequence": Sequence([code("7771000", "SCT", "Left")])}
EYES = [
    ({"ImageLaterality": "L"}, "OS", ""),
    ({"ImageLaterality": "B"}, None, "both eyes"),
    ({"ImageLaterality": ["R", "L"]}, None, r"both eyes in one picture (ImageLaterality R\L)"),
    ({"ImageLaterality": ["L", "R"]}, None, "both eyes"),
    ({"ImageLaterality": ["R", "B"]}, None, "both eyes"),
    ({"Laterality": ["R", "L"]}, "OD", ""),
    ({"ImageLaterality": ""}, None, ""),
    ({"Laterality": "R"}, "OD", ""),
    ({"Laterality": "L"}, None, "ImageLaterality R is OD, Laterality L is OS"),
    ({"AnatomicRegionSequence": Sequence([code("81745001", "SCT", "Eye", **MODIFIED)])}, None, "contradicts itself"),
    ({"ImageLaterality": "", "AnatomicRegionSequence": Sequence([code("8966001", "SCT", "Left eye")])}, "OS", ""),
    ({"AnatomicRegionSequence": Sequence([code("T-AA000", "SRT", "Eye")])}, "OD", ""),
]


@pytest.mark.parametrize(("elements", "eye", "remark"), EYES)
def test_the_eye_is_what_all_tags_agree_on(tmp_path, elements, eye, remark):
    found = header(tmp_path, **elements)
    assert found.eye == eye and remark in "; ".join(found.remarks)
    assert bool(found.remarks) == bool(remark)


@pytest.mark.parametrize(
    ("elements", "remark"),
    [
        ({"BurnedInAnnotation": "YES"}, "text is burned into the picture"),
        ({"BurnedInAnnotation": "YES ?"}, r"text may be burned into the picture (BurnedInAnnotation YES ?)"),
        ({"BurnedInAnnotation": ["NO", "YES"]}, r"text may be burned into the picture (BurnedInAnnotation NO\YES)"),
        ({"LossyImageCompression": "01", "LossyImageCompressionRatio": "12"}, "lossy compression, 12 to 1"),
        ({"PatientOrientation": ["R", "F"]}, "mirrored"),
        ({"PixelAspectRatio": ["1", "2"]}, "not square"),
    ],
)
def test_what_a_person_should_know_is_told(tmp_path, elements, remark):
    (said,) = header(tmp_path, **elements).remarks
    assert remark in said


ODD = [
    DataElement("PatientOrientation", "US", 5),
    DataElement("AnatomicRegionSequence", "LO", "eye"),
    DataElement("PixelAspectRatio", "SQ", [Dataset(), Dataset(), Dataset()]),
    DataElement("PatientID", "OB", b"\xff"),
    DataElement("PatientName", "SQ", [Dataset()]),
    DataElement("SOPClassUID", "UI", [OP8, VL]),
]


@pytest.mark.parametrize("element", ODD, ids=lambda element: element.keyword)
def test_an_element_of_another_kind_is_no_reason_to_refuse_the_pixels(tmp_path, element):
    dataset = dicom_photograph(phantom())
    dataset[element.tag] = element
    dataset.save_as(tmp_path / "a", enforce_file_format=False)
    assert read_header(tmp_path / "a").frames == 1
    made = result_objects(tmp_path / "a", Findings({}, {}, {}, "reject", ("?",), "OD"), Algorithm("a", "1", "0" * 64))
    assert set(made) == {"sr"}


@pytest.mark.parametrize("spacing", [None, [0, 0], [5.0, 5.0], [0.01]])
def test_a_spacing_that_no_retina_has_is_none(tmp_path, spacing):
    assert header(tmp_path, PixelSpacing=spacing).nominal_spacing is None


def test_dates_of_any_form(tmp_path):
    assert header(tmp_path, AcquisitionDateTime="").date == "2024-05-31"
    bare = {"AcquisitionDateTime": "", "ContentDate": "", "StudyDate": ""}
    assert header(tmp_path, **bare).date == ""


def test_stereo_pairs_are_named_left_first(tmp_path):
    """PS3.3 C.7.6.6.1.3: odd frames are the left view; the view is not the eye."""
    frames = [phantom(0), phantom(1)]
    pair, plain = header(tmp_path, frames, StereoPairsPresent="YES"), header(tmp_path, frames)
    assert pair.stereo and pair.eye == "OD"
    assert [pair.frame_name(n) for n in (0, 1)] == ["_frame1_stereo_left", "_frame2_stereo_right"]
    assert [plain.frame_name(n) for n in (0, 1)] == ["_frame1", "_frame2"]


OTHERS = {
    "1.2.840.10008.5.1.4.1.1.77.1.5.5": "wide-field photograph",
    "1.2.840.10008.5.1.4.1.1.77.1.5.6": "wide-field photograph",
    "1.2.840.10008.5.1.4.1.1.77.1.5.4": r"optical coherence tomography \(OCT\)",
    "1.2.840.10008.5.1.4.1.1.77.1.5.7": "OCT en face",
    "1.2.840.10008.5.1.4.1.1.77.1.5.8": "OCT B-scan",
    "1.2.840.10008.5.1.4.1.1.2": "CT Image",
    "1.2.3.4": r"1\.2\.3\.4",
}


@pytest.mark.parametrize("uid", OTHERS)
def test_what_is_no_fundus_photograph_is_refused_by_name(tmp_path, uid):
    with pytest.raises(ImageError, match=OTHERS[uid]):
        header(tmp_path, sop_class=uid)


@pytest.mark.parametrize("sop_class", [OP8, VL, SC])
def test_the_synthetic_objects_are_valid(tmp_path, sop_class, dciodvfy):
    import subprocess

    dataset = dicom_photograph(phantom(), sop_class, **({"Laterality": "R"} if sop_class == SC else {}))
    found = subprocess.run([dciodvfy, write(dataset, tmp_path / "a")], capture_output=True, text=True)
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []
