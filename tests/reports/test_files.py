import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundusseg.reports import files
from fundusseg.reports.files import read_cell, write_csv, write_json


def test_csv_keeps_order_and_values(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    write_csv([{"name": "a, b", "value": 0.1}, {"name": "é", "extra": 3, "value": math.nan}], path)
    frame = pd.read_csv(path)
    assert list(frame.columns) == ["name", "value", "extra"]
    assert frame["name"].tolist() == ["a, b", "é"]
    assert frame["value"][0] == 0.1
    assert math.isnan(frame["value"][1])
    assert [file.name for file in path.parent.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-name", "@SUM(A1)", "\tx", "\n=x", "'quoted", "'=1"])
def test_no_cell_is_a_spreadsheets_formula_and_reading_gives_it_back(tmp_path, text):
    write_csv([{"name": text, "value": -0.5}], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        (_, (name, value)) = csv.reader(file)
    assert name[0] == "'" and value == "-0.5"
    assert read_cell(name) == text


def test_a_lone_carriage_return_ends_no_row(tmp_path):
    write_csv([{"name": "a\rb", "value": 1}], tmp_path / "a.csv")
    assert len(pd.read_csv(tmp_path / "a.csv")) == 1


def test_plain_words_are_written_as_they_are(tmp_path):
    write_csv([{"name": "a=b", "reason": "it's 5 - 3"}], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "name,reason\na=b,it's 5 - 3\n"
    assert read_cell("it's") == "it's"


def test_csv_without_rows_is_an_empty_file(tmp_path):
    write_csv([], tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().strip() == ""


@dataclass
class Point:
    x: float
    where: Path


def test_json_writes_what_results_are_made_of(tmp_path):
    content = {
        "nan": math.nan,
        "inf": [np.float32("inf"), 1.5],
        "array": np.array([[1.0, np.nan]]),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "point": Point(math.nan, Path("a") / "b"),
        "none": None,
        2: ("é",),
    }
    write_json(content, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text) == {
        "nan": None,
        "inf": [None, 1.5],
        "array": [[1.0, None]],
        "count": 3,
        "flag": True,
        "point": {"x": None, "where": "a/b"},
        "none": None,
        "2": ["é"],
    }


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json({"old": 1}, path)
    with pytest.raises(TypeError):
        write_json({"bad": object()}, path)

    def full(self, *args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(files.Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_json({"new": 1}, path)
    assert json.loads(path.read_text()) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
