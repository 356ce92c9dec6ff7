"""The dictionary beside a table, and the form in which REDCap imports it."""

import csv
import json
import re

from fundusseg.patients.columns import EYES, PATIENTS, VISITS
from fundusseg.reports.data_dictionary import REDCAP, Column, redcap_name, write_dictionary

COLUMNS = [
    Column("record_id", "Identifies the row", "text", identifies=True),
    Column("eye", 'The "eye", either', "category", choices={"OD": "right eye", "OS": "left eye"}),
    Column("area", "Disc area", unit="mm2"),
    Column("visit_date", "Day", "date"),
]


def written(tmp_path):
    write_dictionary(tmp_path / "eyes.csv", COLUMNS, {"fundusseg": "1.0", "checkpoint": "sha256 ab"})
    return [[*csv.reader((tmp_path / f"eyes_{name}.csv").open())] for name in ("dictionary", "redcap")]


def test_every_column_is_explained_and_what_made_the_table_is_told(tmp_path):
    rows, _ = written(tmp_path)
    assert [row[0] for row in rows[1:5]] == [column.name for column in COLUMNS]
    assert rows[2] == ["eye", 'The "eye", either', "category", "", "OD = right eye; OS = left eye", ""]
    content = json.loads((tmp_path / "eyes_dictionary.json").read_text())
    assert content["about"] == {"fundusseg": "1.0", "checkpoint": "sha256 ab"}
    assert [column["name"] for column in content["columns"]] == [column.name for column in COLUMNS]


def test_redcap_takes_it(tmp_path):
    """The rules of REDCap's import: 18 columns, the record first, names in lower case, coded choices."""
    _, (heading, *rows) = written(tmp_path)
    assert tuple(heading) == REDCAP and len(heading) == 18 and all(len(row) == 18 for row in rows)
    by_name = {row[0]: dict(zip(heading, row, strict=True)) for row in rows}
    assert next(iter(by_name)) == "record_id" and {row[1] for row in rows} == {"eyes"}
    assert by_name["eye"]["Field Type"] == "radio"
    assert by_name["eye"]["Choices, Calculations, OR Slider Labels"] == "OD, right eye | OS, left eye"
    validation = "Text Validation Type OR Show Slider Number"
    assert by_name["area"][validation] == "number" and by_name["visit_date"][validation] == "date_ymd"
    assert by_name["record_id"]["Identifier?"] == "y" and not by_name["record_id"]["Section Header"]
    assert "sha256 ab" in by_name["eye"]["Section Header"]


def test_our_tables_have_names_that_redcap_and_statistics_programs_take():
    for columns in (EYES, VISITS, PATIENTS):
        names = [column.name for column in columns]
        assert names[0] == "record_id" and len(set(names)) == len(names)
        assert all(re.fullmatch("[a-z][a-z0-9_]{0,31}", name) and redcap_name(name) == name for name in names)
        for column in columns:
            assert (column.kind == "category") == bool(column.choices)
            assert all(re.fullmatch(r"\w+", choice) for choice in column.choices)
