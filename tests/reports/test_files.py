import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from fundusseg.reports import files
from fundusseg.reports.files import write_csv, write_json
from fundusseg.reports.tables import score_table


def row(source, region, metric, value, n=10, undefined=0):
    return {
        "source": source,
        "region": region,
        "metric": metric,
        "value": value,
        "n": n,
        "undefined": undefined,
    }


ROWS = [
    row("drishti_gs", "disc", "dice", 0.96789, 51),
    row("drishti_gs", "disc", "iou", 0.91, 51),
    row("drishti_gs", "cup", "dice", 0.88, 49, 2),
    row("drishti_gs", "disc+cup", "vcdr_error", 0.0512, 51),
    row("drions_db", "disc", "dice", 0.95, 5),
    row("[b]odd[/b]", "cup", "dice", math.nan, 0, 3),
    row("[b]odd[/b]", "disc", "dice", math.nan, 2),
    row("[b]odd[/b]", "disc", "iou", math.nan, 0),
]


def lines(table):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table)
    return console.export_text().splitlines()


def cells(table):
    return [[str(cell) for cell in column.cells] for column in table.columns]


def test_csv_keeps_order_and_values(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    write_csv([{"name": "a, b", "value": 0.1}, {"name": "é", "extra": 3, "value": math.nan}], path)
    frame = pd.read_csv(path)
    assert list(frame.columns) == ["name", "value", "extra"]
    assert frame["name"].tolist() == ["a, b", "é"]
    assert frame["value"][0] == 0.1
    assert math.isnan(frame["value"][1])
    assert [file.name for file in path.parent.iterdir()] == ["scores.csv"]


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


def test_score_table_has_a_line_for_each_source():
    table = score_table(ROWS, "Scores", "protocol")
    headings = [column.header for column in table.columns]
    assert headings == ["Source", "Disc Dice", "Disc IoU", "Cup Dice", "vCDR error", "n"]
    source, disc_dice, disc_iou, cup_dice, vcdr, n = cells(table)
    assert source == ["drishti_gs", "drions_db", "[b]odd[/b]"]
    assert disc_dice == ["0.968", "0.950", "undefined"]
    assert disc_iou == ["0.910", "–", "–"]  # noqa: RUF001
    assert cup_dice == ["0.880 (n 49, 2 undefined)", "–", "undefined (3)"]  # noqa: RUF001
    assert vcdr == ["0.051", "–", "–"]  # noqa: RUF001
    assert n == ["51", "5", "2"]


def test_score_table_prints_title_caption_and_brackets():
    text = "\n".join(lines(score_table(ROWS, "Scores", "held-out test split")))
    for part in ("Scores", "held-out test split", "[b]odd[/b]", "undefined (3)"):
        assert part in text


def test_score_table_takes_any_metric_and_no_rows():
    table = score_table([row("x", "sclera", "radii ratio", 1.0)], "", "")
    assert [column.header for column in table.columns] == ["Source", "Sclera radii ratio", "n"]
    assert score_table([], "Scores", "").row_count == 0
