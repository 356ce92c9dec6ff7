"""`predict` on an archive's export: files without endings, a DICOMDIR, frames; the same numbers as of PNG files."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fundusseg import predict
from fundusseg.dicom import codes
from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.imaging.image_files import read_mask, write_png
from fundusseg.inference.photograph_list import find_photographs
from tests.support.dicom_objects import JPEG_2000, OP16, SC, VL, compressed, dicom_photograph, write
from tests.support.painter import photograph, write_checkpoint

OCT = "1.2.840.10008.5.1.4.1.1.77.1.5.4"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "a.ckpt")


def shifted(by: int) -> np.ndarray:
    return np.roll(photograph(), by, axis=1)


def archive(folder: Path) -> Path:
    """An export: names of numbers, of no ending, and of the usual one, with reports and an OCT among them."""
    deep = photograph().astype(np.uint16) * 257
    write(dicom_photograph(photograph(), number=1), folder / "DCM" / "1.2.840.5")
    write(dicom_photograph(deep, OP16, number=2), folder / "DCM" / "1.2.840.6")
    write(dicom_photograph(photograph(), VL, number=3, ImageLaterality="L"), folder / "IM0003")
    write(dicom_photograph([photograph(), shifted(20)], number=4, StereoPairsPresent="YES"), folder / "pair.dcm")
    write(dicom_photograph(photograph(), SC, number=5, BurnedInAnnotation="YES"), folder / "screen.dcm")
    write(dicom_photograph(photograph(), OCT, number=6), folder / "IM0006")
    (folder / "cut.dcm").write_bytes((folder / "IM0003").read_bytes()[:3000])
    (folder / "notes.txt").write_text("no picture")
    write_png(folder / "plain.png", photograph())
    return folder


def rows(output: Path) -> pd.DataFrame:
    table = pd.read_csv(output / "measures.csv", keep_default_na=False)
    table.index = [Path(file).name for file in table.file]
    return table


@pytest.mark.slow
def test_an_archive_s_export_gives_the_numbers_of_its_pictures(checkpoint, tmp_path, capsys):
    output = tmp_path / "out"
    folder = archive(tmp_path / "in")
    assert predict.main(["--checkpoint", checkpoint, str(folder), "--output", str(output)]) == 1
    table = rows(output)
    assert set(table.index[table.error != ""]) == {"cut.dcm"} and "cannot be decoded" in table.error["cut.dcm"]
    expected = read_mask(output / "plain_labels.png")
    names = ("DCM/1.2.840.5", "DCM/1.2.840.6", "IM0003", "pair_frame1_stereo_left", "screen")
    assert all(np.array_equal(read_mask(output / f"{name}_labels.png"), expected) for name in names)
    right = read_mask(output / "pair_frame2_stereo_right_labels.png")
    assert not np.array_equal(right, expected) and right.any()
    assert list(table.eye[["1.2.840.5", "IM0003", "plain.png"]]) == ["OD", "OS", ""]
    assert table.eye_from["1.2.840.5"] == "DICOM"
    assert list(table.frame[table.index == "pair.dcm"].astype(float)) == [1, 2]
    assert table.patient["1.2.840.6"] == "P-0001" and table.date["IM0003"] == "2024-05-31"
    assert table.device["screen.dcm"] == "Phantom Optics F-1"
    assert float(table.nominal_mm_per_pixel["1.2.840.5"]) == 0.0105 and table.nominal_mm_per_pixel["IM0003"] == ""
    assert "text is burned" in table.remarks["screen.dcm"] and table.remarks["plain.png"] == ""
    assert "text is burned" in (output / "report.html").read_text("utf-8")
    said = capsys.readouterr().out
    assert "passed over: 1 .txt, 1 DICOM optical coherence tomography (OCT)" in said
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*_labels.png")}
    assert predict.main(["--checkpoint", checkpoint, str(folder), "--output", str(output)]) == 1
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*_labels.png")} == before  # taken up again


@pytest.mark.slow
def test_a_list_s_eye_comes_first_and_a_contradiction_is_told(checkpoint, tmp_path):
    write(dicom_photograph(photograph(), Laterality="L"), tmp_path / "both")
    write(dicom_photograph(photograph(), number=2), tmp_path / "right")
    write(dicom_photograph(photograph(), OCT, number=3), tmp_path / "oct")
    (tmp_path / "list.csv").write_text("file,eye\nboth,\nright,OS\noct,\n")
    output = tmp_path / "out"
    predict.main(["--checkpoint", checkpoint, str(tmp_path / "list.csv"), "--output", str(output)])
    table = rows(output)
    assert "contradicts itself" in table.remarks["both"] and table.eye["both"] == ""
    assert table.eye["right"] == "OS" and table.remarks["right"] == "the list says OS, the file OD"
    assert table.eye_from["right"] == "given" and "optical coherence tomography" in table.error["oct"]


def test_a_dicomdir_stands_for_the_files_that_it_names(tmp_path, dcmtk):
    for number in (1, 2):
        write(dicom_photograph(photograph(), VL, number=number), tmp_path / f"IM{number}")
    write(compressed(dicom_photograph(photograph(), OCT, number=3), JPEG_2000), tmp_path / "IM3")
    make = [dcmtk("dcmmkdir"), "+r", "+I", "-Nxc", "+id", str(tmp_path), "+D", str(tmp_path / "DICOMDIR")]
    subprocess.run([*make, "-nb", "-Pgp"], check=True, capture_output=True, cwd=tmp_path)
    listed = find_photographs([str(tmp_path / "DICOMDIR")], tmp_path / "out")
    assert [photograph.name for photograph in listed.photographs] == ["IM1", "IM2"]
    assert list(listed.passed_over.values()) == ["DICOM optical coherence tomography (OCT)"]
    (tmp_path / "IM1").unlink()
    assert len(find_photographs([str(tmp_path / "DICOMDIR")], tmp_path / "out").photographs) == 2  # told when read
    whole = find_photographs([str(tmp_path)], tmp_path / "out")
    assert sorted(whole.passed_over.values()) == ["DICOM DICOMDIR", "DICOM optical coherence tomography (OCT)"]


def test_a_dicomdir_names_files_of_its_own_medium_alone(tmp_path):
    """Hostile or damaged entries lead to no file outside, and are told."""
    secret = write(dicom_photograph(photograph(), VL), tmp_path / "secret")
    medium = tmp_path / "medium"
    write(dicom_photograph(photograph(), VL, number=2), medium / "DCM" / "IM1")
    records = []
    for names in (["..", "secret"], [str(secret)], ["DCM", "..", "..", "secret"], ["DCM/../../secret"], ["DCM", "IM1"]):
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", names
        record.ReferencedSOPClassUIDInFile = VL
        records.append(record)
    directory = dicom_photograph(photograph(), "1.2.840.10008.1.3.10")
    del directory.PixelData
    directory.DirectoryRecordSequence = Sequence(records)
    write(directory, medium / "DICOMDIR")
    listed = find_photographs([str(medium / "DICOMDIR")], tmp_path / "out")
    assert [photograph.path for photograph in listed.photographs] == [medium / "DCM" / "IM1"]
    assert list(listed.passed_over.values()) == ["DICOMDIR entry that leads out of its folder"] * 4


def test_without_the_extra_a_file_says_what_to_install(tmp_path, monkeypatch):
    import builtins

    path = write(dicom_photograph(photograph()), tmp_path / "in" / "a")
    real = builtins.__import__

    def without(name, *others, **more):
        if name.startswith(("pydicom", "fundusseg.dicom.frames")):
            raise ModuleNotFoundError(f"No module named {name!r}", name="pydicom")
        return real(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    from fundusseg.imaging import read_photograph

    with pytest.raises(ImageError, match=r"no pydicom to read it; expected the extra dicom; pip install"):
        read_photograph(path)
    with pytest.raises(ImageError, match=r"1 DICOM, which the extra dicom reads passed over"):
        find_photographs([str(tmp_path / "in")], tmp_path / "out")


@pytest.mark.slow
def test_segmentation_and_report_are_written_beside_the_labels(checkpoint, tmp_path):
    bent = {"PatientBirthDate": "1950", "BurnedInAnnotation": "YES"}
    write(dicom_photograph([photograph(), shifted(20)], **bent), tmp_path / "in" / "IM1")
    write_png(tmp_path / "in" / "plain.png", photograph())
    command = ["--checkpoint", checkpoint, str(tmp_path / "in"), "--dicom", "true"]
    assert predict.main([*command, "--output", str(tmp_path / "out")]) == 0
    table = rows(tmp_path / "out")
    for frame, name in enumerate(("IM1_frame1", "IM1_frame2")):
        labels = read_mask(tmp_path / "out" / f"{name}_labels.png")
        segments = pydicom.dcmread(tmp_path / "out" / f"{name}_seg.dcm").pixel_array
        assert np.array_equal(segments[0] > 0, labels > 0) and np.array_equal(segments[1] > 0, labels == 2)
        report = pydicom.dcmread(tmp_path / "out" / f"{name}_sr.dcm")
        values = [
            float(item.MeasuredValueSequence[0].NumericValue)
            for element in report.iterall()
            if element.keyword == "ContentSequence"
            for item in element.value
            if item.get("ValueType") == "NUM"
            and item.ConceptNameCodeSequence[0].get("CodeValue") == codes.VERTICAL_RATIO.value
        ]
        assert values == pytest.approx([float(table.vertical_cdr.iloc[frame])], abs=1e-4)
    assert "no DICOM objects" in table.remarks["plain.png"]
    told = "text is burned into the picture (BurnedInAnnotation YES); in its DICOM objects PatientBirthDate is not"
    assert all(table.remarks["IM1"].str.startswith(told))
    with pytest.raises(ImageError, match=r"2 DICOM Comprehensive SR, 2 DICOM Segmentation.*passed over"):
        find_photographs([str(tmp_path / "out")], tmp_path / "other")  # results are no photographs


def test_objects_of_photographs_that_are_no_dicom_are_refused(checkpoint, tmp_path):
    write_png(tmp_path / "plain.png", photograph())
    with pytest.raises(ConfigurationError, match="none is DICOM"):
        predict.main(["--checkpoint", checkpoint, str(tmp_path / "plain.png"), "--dicom", "true"])
