"""Experts' segmentations and contours on DICOM photographs come back as they were drawn."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fundusseg import prepare
from fundusseg.datasets import DicomFolder, Phantom
from fundusseg.datasets._find import find
from fundusseg.dicom.findings import Algorithm, Findings
from fundusseg.dicom.result_objects import result_objects
from fundusseg.dicom.truth import read_drawing
from fundusseg.errors import ConfigurationError, DatasetError, ImageError
from fundusseg.measures.contours import contours as outlines
from tests.support.dicom_objects import OP8, SC, VL, dicom_photograph, write

SAMPLES = [Phantom(count=6)[number] for number in range(6)]
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"


def masks(number: int) -> dict[str, np.ndarray]:
    return {region: SAMPLES[number].of(region)[0].mask for region in ("disc", "cup")}


def segment(photograph: Path, target: Path, found: dict[str, np.ndarray], expert: str, frame: int = 0) -> None:
    """A SEG by an expert."""
    made = result_objects(photograph, Findings(found, {}, frame=frame), Algorithm(expert, "1", "0" * 64))
    target.write_bytes(made["seg"])


def contours(photograph: Path, target: Path, polygons: dict[str, np.ndarray]) -> None:
    """An RTSTRUCT with a contour of each name."""
    import pydicom

    source = pydicom.dcmread(photograph, stop_before_pixels=True)
    made = dicom_photograph(np.zeros((2, 2), np.uint8), RTSTRUCT, number=99, OperatorsName="Grader^Two")
    del made.PixelData
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    names, rois = [], []
    for number, (name, points) in enumerate(polygons.items(), start=1):
        item, roi, contour = Dataset(), Dataset(), Dataset()
        item.ROINumber, item.ROIName = number, name
        contour.ContourImageSequence, contour.ContourGeometricType = Sequence([image]), "CLOSED_PLANAR"
        contour.NumberOfContourPoints = len(points)
        contour.ContourData = [f"{value:.2f}" for x, y in points for value in (x, y, 0.0)]
        roi.ReferencedROINumber, roi.ContourSequence = number, Sequence([contour])
        names.append(item)
        rois.append(roi)
    made.StructureSetROISequence, made.ROIContourSequence = Sequence(names), Sequence(rois)
    write(made, target)


@pytest.fixture
def export(tmp_path) -> Path:
    """Photographs of three classes, one of two frames, one without truth; two experts' segments and one's contours."""
    place = tmp_path / "export"
    for number, sop_class in ((0, OP8), (1, VL), (2, SC)):
        write(
            dicom_photograph(SAMPLES[number].image, sop_class, number=number, patient=f"P{number}"),
            place / f"IM{number}",
        )
    pair = [SAMPLES[3].image, SAMPLES[4].image]
    write(dicom_photograph(pair, number=3, patient="P3", ImageLaterality="L"), place / "pair.dcm")
    write(dicom_photograph(SAMPLES[5].image, number=5, patient="P5"), place / "bare")
    segment(place / "IM0", place / "a.dcm", masks(0), "one")
    segment(place / "IM0", place / "b.dcm", {"disc": masks(1)["disc"]}, "two")
    segment(place / "IM1", place / "c", {"disc": masks(1)["disc"]}, "one")
    square = np.array([[100.0, 90.0], [140.0, 90.0], [140.0, 150.0], [100.0, 150.0]])
    contours(place / "IM2", place / "d", {"Optic Disk": square, "CUP": square * 0.5 + 60, "vessel": square})
    segment(place / "pair.dcm", place / "e", masks(4), "one", frame=1)
    return place


def test_what_experts_drew_comes_back(export):
    dataset = DicomFolder(export)
    assert [record.name for record in dataset.records] == ["IM0", "IM1", "IM2", "pair_frame2"]
    assert [record.patient for record in dataset.records] == ["P0", "P1", "P2", "P3"]
    assert [record.eye for record in dataset.records] == ["OD", "OD", None, "OS"]
    assert [record.regions for record in dataset.records] == [
        ("disc", "cup"),
        ("disc",),
        ("disc", "cup"),
        ("disc", "cup"),
    ]
    first, second, third, fourth = (dataset[number] for number in range(4))
    assert np.array_equal(first.image, SAMPLES[0].image) and np.array_equal(fourth.image, SAMPLES[4].image)
    assert [(one.region, one.expert) for one in first.annotations] == [
        ("disc", "expert1"),
        ("cup", "expert1"),
        ("disc", "expert2"),
    ]
    assert np.array_equal(first.of("disc")[0].mask, masks(0)["disc"])
    assert np.array_equal(first.of("disc")[1].mask, masks(1)["disc"])
    assert np.array_equal(first.of("cup")[0].mask, masks(0)["cup"])
    assert np.array_equal(second.of("disc")[0].mask, masks(1)["disc"]) and second.of("cup") == ()
    assert np.array_equal(fourth.of("cup")[0].mask, masks(4)["cup"])
    disc = third.of("disc")[0]
    assert disc.expert == "Grader^Two" and disc.mask.sum() == 40 * 60 and disc.mask[90:150, 100:140].all()
    assert any("2 photographs without truth" in remark for remark in dataset.remarks())


def test_a_drawing_on_a_photograph_that_is_not_there_is_named(export):
    (export / "IM1").unlink()
    with pytest.raises(DatasetError, match=r"c, drawn on a photograph that is not there"):
        _ = DicomFolder(export).records


def test_a_damaged_drawing_is_named(export):
    (export / "c").write_bytes((export / "c").read_bytes()[:-2000])
    with pytest.raises((DatasetError, ImageError), match="export/c"):
        DicomFolder(export)[1]


def report(photograph: Path, target: Path, found: dict[str, np.ndarray], expert: str, frame: int = 0) -> None:
    """A report with outlines, by a person."""
    import pydicom

    lines = outlines(found["disc"].astype(np.uint8) + found["cup"])
    made = result_objects(photograph, Findings(found, lines, frame=frame), Algorithm("a", "1", "0" * 64))
    target.write_bytes(made["sr"])
    if expert:
        dataset = pydicom.dcmread(target)
        dataset.OperatorsName = expert
        dataset.save_as(target)


def test_outlines_of_reports_are_truth(export):
    """A report's polylines, of one frame among several too, are the masks that they were drawn around."""
    for name in "abcde":
        (export / name).unlink(missing_ok=True)
        (export / f"{name}.dcm").unlink(missing_ok=True)
    report(export / "IM0", export / "r0", masks(0), "Grader^One")
    report(export / "pair.dcm", export / "r1", masks(4), "", frame=1)
    dataset = DicomFolder(export)
    assert [record.name for record in dataset.records] == ["IM0", "pair_frame2"]
    for number, truth in enumerate((masks(0), masks(4))):
        sample = dataset[number]
        for region, mask in truth.items():
            (found,) = sample.of(region)
            assert np.logical_and(found.mask, mask).sum() * 2 / (found.mask.sum() + mask.sum()) > 0.99
    assert {one.expert for one in dataset[0].annotations} == {"Grader^One"}


def test_of_a_segmentation_and_a_report_of_one_maker_the_segmentation_counts(export):
    report(export / "IM0", export / "r0", masks(0), "")
    first = DicomFolder(export)[0]
    assert [(one.region, one.expert) for one in first.annotations] == [
        ("disc", "expert1"),
        ("cup", "expert1"),
        ("disc", "expert2"),
    ]
    assert np.array_equal(first.of("disc")[0].mask, masks(0)["disc"])


def test_a_line_that_encloses_nothing_is_no_truth(export, tmp_path):
    import pydicom

    report(export / "IM0", tmp_path / "r0", masks(0), "")
    dataset = pydicom.dcmread(tmp_path / "r0")
    for element in dataset.iterall():
        if element.keyword == "GraphicData":
            element.value = element.value[:-2]
    dataset.save_as(tmp_path / "r0")
    assert read_drawing(tmp_path / "r0") is None


def test_a_patient_of_another_issuer_is_another(tmp_path):
    for number, issuer in enumerate(("A", "B")):
        path = write(
            dicom_photograph(SAMPLES[number].image, VL, number=number, IssuerOfPatientID=issuer),
            tmp_path / f"IM{number}",
        )
        segment(path, tmp_path / f"s{number}", masks(number), "one")
    assert [record.patient for record in DicomFolder(tmp_path).records] == ["A P-0001", "B P-0001"]


def test_find_says_what_lies_in_a_folder_of_downloads(export):
    (result,) = find(export.parent).found
    assert result.error is None and isinstance(result.dataset, DicomFolder)
    assert result.settings == {"root": "export"} and "2 photographs without truth" in result.sentence()
    assert prepare.main(["--find", str(export.parent)]) == 0
    (export / "IM1").unlink()
    (broken,) = find(export.parent).found
    assert "drawn on a photograph that is not there" in broken.sentence()
    for name in "abcde":
        (export / name).unlink(missing_ok=True)
        (export / f"{name}.dcm").unlink(missing_ok=True)
    alone = find(export.parent)
    assert alone.found == [] and {path.name for path in alone.pictures} == {"IM0", "IM2", "bare", "pair.dcm"}


def test_other_regions_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="disc, cup or both"):
        DicomFolder(tmp_path, regions=["vessel"])


@pytest.mark.slow
def test_prepare_takes_it(export, tmp_path):
    entry = f"[{{class_path: fundusseg.datasets.DicomFolder, init_args: {{root: {export}}}}}]"
    arguments = ["--data.datasets", entry, "--data.image_size=32", "--data.regions=[disc]"]
    arguments += ["--output", str(tmp_path / "out"), "--data.cache_dir", str(tmp_path / "cache")]
    assert prepare.main(arguments) in (0, 1)
    report = (tmp_path / "out" / "report.json").read_text()
    assert "photographs without truth" in report and (tmp_path / "out" / "dicom_001.png").is_file()
