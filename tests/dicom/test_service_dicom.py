"""The service takes a DICOM photograph as it takes any other: its content, in memory."""

import email
import io
import json

import numpy as np
import pydicom
import pytest

from fundusseg.errors import ImageError
from fundusseg.imaging.image_files import encode_png, read_mask
from fundusseg.service.options import Options
from fundusseg.service.prediction_routes import wanted
from fundusseg.service.problem import Refusal
from fundusseg.service.worker import BOUNDARY, Photographer, Work, WorkerSettings
from tests.support.dicom_objects import JPEG_2000, OP8, compressed, dicom_photograph, write
from tests.support.painter import photograph, write_checkpoint


@pytest.fixture(scope="module")
def photographer(tmp_path_factory) -> Photographer:
    checkpoint = write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "a.ckpt")
    return Photographer(WorkerSettings(checkpoint, trusted=("tests",), megapixels=1))


def content(tmp_path, dataset) -> bytes:
    return write(dataset, tmp_path / "a").read_bytes()


@pytest.mark.slow
def test_dicom_gives_the_labels_of_its_png_and_the_eye_of_its_tags(photographer, tmp_path):
    native = content(tmp_path, dicom_photograph(photograph()))
    done = photographer.do(Work(native, products=("document", "labels")))
    plain = photographer.do(Work(encode_png(photograph()), products=("labels",)))
    assert done.products["labels"] == plain.products["labels"]
    assert done.row["eye"] == "OD" and done.row["eye_from"] == "DICOM"
    assert "P-0001" not in json.dumps(json.loads(done.products["document"]))
    packed = content(tmp_path, compressed(dicom_photograph(photograph(), OP8), JPEG_2000))
    assert photographer.do(Work(packed)).row["vertical_cdr"] == pytest.approx(done.row["vertical_cdr"], abs=0.02)


def test_what_is_too_large_too_many_or_no_photograph_is_refused(photographer, tmp_path):
    with pytest.raises(Refusal, match="9999 x 9999"):
        photographer.do(Work(content(tmp_path, dicom_photograph(photograph(), Rows=9999, Columns=9999))))
    with pytest.raises(Refusal, match="2 photographs in one DICOM file"):
        photographer.do(Work(content(tmp_path, dicom_photograph([photograph(), photograph()]))))
    with pytest.raises(Refusal, match="frame 2; expected 1 to 1"):
        photographer.do(Work(encode_png(photograph()), options=Options(frame=2)))
    with pytest.raises(ImageError, match="OCT"):
        photographer.do(Work(content(tmp_path, dicom_photograph(photograph(), "1.2.840.10008.5.1.4.1.1.77.1.5.4"))))


@pytest.mark.slow
def test_one_frame_of_several_is_done_by_its_number(photographer, tmp_path):
    moved = np.roll(photograph(), 20, axis=1)
    both = content(tmp_path, dicom_photograph([photograph(), moved]))
    for number, pixels in enumerate((photograph(), moved), start=1):
        done = photographer.do(Work(both, options=Options(frame=number), products=("labels", "dicom")))
        plain = photographer.do(Work(encode_png(pixels), products=("labels",)))
        assert done.products["labels"] == plain.products["labels"]
        for part in parts_of(done.products["dicom"]):
            frames = {int(element.value) for element in part.iterall() if element.keyword == "ReferencedFrameNumber"}
            assert frames == {number}
    with pytest.raises(Refusal, match="frame 3; expected 1 to 2"):
        photographer.do(Work(both, options=Options(frame=3)))


def parts_of(body: bytes) -> list[pydicom.Dataset]:
    """The objects of a multipart answer."""
    head = f'Content-Type: multipart/related; boundary="{BOUNDARY}"\r\n\r\n'.encode()
    message = email.message_from_bytes(head + body)
    return [pydicom.dcmread(io.BytesIO(part.get_payload(decode=True))) for part in message.get_payload()]


@pytest.mark.slow
def test_segmentation_and_report_come_by_accept(photographer, tmp_path):
    work = Work(content(tmp_path, dicom_photograph(photograph())), products=("labels", "dicom"))
    done = photographer.do(work)
    parts = parts_of(done.products["dicom"])
    assert {part.Modality for part in parts} == {"SEG", "SR"} and {part.PatientID for part in parts} == {"P-0001"}
    (segments,) = (part.pixel_array for part in parts if part.Modality == "SEG")
    (tmp_path / "labels.png").write_bytes(done.products["labels"])
    assert np.array_equal(segments[0] > 0, read_mask(tmp_path / "labels.png") > 0)
    with pytest.raises(Refusal, match="no DICOM"):
        photographer.do(Work(encode_png(photograph()), products=("dicom",)))
    assert wanted('multipart/related; type="application/dicom"') == "multipart/related"
