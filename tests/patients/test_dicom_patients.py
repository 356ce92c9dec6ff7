"""Photographs whose DICOM files say patient, eye and date need no table."""

import pandas as pd
import pytest

pytest.importorskip("pydicom", reason="the extra dicom is not installed")

from fundusseg import predict
from tests.support.dicom_objects import dicom_photograph, write
from tests.support.painter import photograph, write_checkpoint


@pytest.mark.slow
def test_tags_make_patients_and_a_table_that_says_otherwise_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = write_checkpoint(tmp_path / "a.ckpt")
    for number, (name, laterality, patient) in enumerate((("a", "R", "P1"), ("b", "L", "P1"), ("c", "R", "P2")), 1):
        tags = {"ImageLaterality": laterality, "Laterality": None}
        write(dicom_photograph(photograph(), number=number, patient=patient, **tags), tmp_path / "in" / name)
    command = ["--checkpoint", checkpoint, "in", "--output", "out"]
    assert predict.main(command) == 0
    patients = pd.read_csv("out/patients.csv", dtype=str, keep_default_na=False).set_index("patient")
    eyes = pd.read_csv("out/eyes.csv", dtype=str, keep_default_na=False).set_index("record_id")
    assert [*patients.index] == ["P1", "P2"] and patients.remarks["P2"] == "no photograph of the left eye"
    assert patients.date_right["P1"] == "2024-05-31" and eyes.scale["P1_OD"] == "nominal"
    # 181 rows at the camera's own 0.0105 mm: a disc of 1.9 mm.
    assert float(eyes.disc_height_mm["P1_OD"]) == pytest.approx(1.9, abs=0.03)
    assert eyes.disc_size["P1_OD"] == "average" and eyes.ddls_stage["P1_OD"] != ""
    (tmp_path / "visits.csv").write_text("file,patient\na,P1\nb,P9\nc,P2\n")
    assert predict.main([*command, "--table", "visits.csv"]) == 0
    eyes = pd.read_csv("out/eyes.csv", dtype=str, keep_default_na=False).set_index("record_id")
    assert "of patient P9 as given, but P1 by the DICOM file" in eyes.remarks["P9_OS"]
