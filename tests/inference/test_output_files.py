"""Rows and the table: what a prediction gives is a column by itself."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundusseg.errors import ImageError
from fundusseg.imaging.roi import Box
from fundusseg.inference.output_files import _flat, failed_row, measures_csv
from fundusseg.inference.photograph_list import Photograph
from fundusseg.inference.prediction import Prediction
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.measures.cup_disc import Measures
from fundusseg.reports.files import read_cell


def row(file, **others):
    prediction = Prediction(
        np.zeros((3, 3), np.uint8),
        Measures(vertical_cdr=0.5, reason="no, cup"),
        Box(0, 0, 1, 1),
        "all of the picture",
        vertical_cdr_low=float(np.float32(0.25)),
        verdict="review",
        reasons=("dark", "not sharp"),
        views=(np.zeros((1, 2, 3, 3), np.float32),),
    )
    return {"file": file, "error": "", **others} | _flat(prediction)


def read(content):
    return pd.read_csv(io.BytesIO(content))


def test_every_plain_field_of_a_prediction_is_a_column():
    frame = read(measures_csv([row("a")]))
    assert list(frame)[:5] == ["file", "error", "verdict", "reasons", "vertical_cdr"]
    assert frame.reasons[0] == "dark; not sharp" and frame.vertical_cdr_low[0] == 0.25
    assert frame.reason[0] == "no, cup" and not {"square", "top", "label_map", "views", "outlines"} & set(frame)


def test_failed_rows_change_no_column():
    bad = failed_row(Photograph(Path("b")), ValueError("two\nlines"))
    plain, mixed = read(measures_csv([row("a")])), read(measures_csv([bad, row("a", eye="OS")]))
    assert re.fullmatch(r"got .*\(ValueError: two lines\); expected .+; .+\.", mixed.error[0])
    assert list(mixed) == [*list(plain)[:4], "eye", *list(plain)[4:]]
    assert "vertical_cdr" in read(measures_csv([bad])) and "file,error,vertical_cdr" in measures_csv([]).decode()


@pytest.mark.parametrize(
    "error", [TypeError("'float' object cannot be interpreted"), MemoryError(), OSError(28, "No space", "a.png")]
)
def test_any_error_is_a_sentence(error):
    said = failed_row(Photograph(Path("b.png")), error)["error"]
    assert re.fullmatch(r"got .+; expected .+; .+\.", said) and "\n" not in said


def test_undefined_is_empty(tmp_path):
    entry = JournalEntry.of_photograph(Photograph(tmp_path / "none.png", "none"), row("a", other=float("nan")))
    assert entry.row["other"] is None and entry.size == -1
    assert ",0.5," in measures_csv([entry.row]).decode() and "nan" not in measures_csv([entry.row]).decode().lower()


def test_what_a_spreadsheet_would_run_is_text():
    bad = failed_row(Photograph(Path("=cmd|' /C calc'!A0.png")), ImageError("=1+1"))
    frame = read(measures_csv([row("@sum.png"), bad]))
    assert [read_cell(cell) for cell in frame.file] == ["@sum.png", "=cmd|' /C calc'!A0.png"]
    assert frame.file.str.startswith("'").all() and frame.error[1] == "'=1+1" and frame.vertical_cdr[0] == 0.5


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", "a\r\nb.png", 'a"b,c.png'])
def test_a_file_s_name_is_one_cell_whatever_it_holds(name):
    content = measures_csv([{"file": name, "error": "unreadable"}]).decode()
    (row,) = csv.DictReader(io.StringIO(content, newline=""))
    # The csv module reads every line end within a cell as a line feed.
    assert row["file"] == name.replace("\r\n", "\n").replace("\r", "\n")
    assert content.endswith("\n") and not content.endswith("\r\n")
