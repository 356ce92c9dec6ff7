"""What each column of a table means, as files beside it: CSV for people, JSON for programs, CSV that REDCap imports."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from fundusseg.reports.files import csv_line, write_json, write_text

Kind = Literal["text", "number", "integer", "date", "category"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: Lower case, digits and underscores, as statistics programs and REDCap take it.
        meaning: One sentence.
        kind: What its cells hold; an empty cell is a missing value.
        unit: Of a number.
        choices: Of a category, what each value means.
        identifies: Whether it tells who the patient is.
    """

    name: str
    meaning: str
    kind: Kind = "number"
    unit: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    identifies: bool = False


def described_columns(content: type[Any]) -> list[Column]:
    """A column for each field of a dataclass that is a number or text, with what its docstring says of it.

    Args:
        content: A dataclass; what it inherits is described by the classes it inherits from.
    """
    from docstring_parser import DocstringStyle, parse  # when a table is written

    said: dict[str, str] = {}
    for one in reversed(content.__mro__):
        found = parse(one.__doc__ or "", DocstringStyle.GOOGLE).params
        said |= {param.arg_name: " ".join((param.description or "").replace("`", "").split()) for param in found}
    columns = []
    for part in fields(content):
        named = str(part.type)
        kind: Kind = "number" if "float" in named else "integer" if named in ("int", "<class 'int'>") else "text"
        columns.append(Column(part.name, said.get(part.name, ""), kind))
    return columns


REDCAP = (
    *("Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label"),
    *("Choices, Calculations, OR Slider Labels", "Field Note", "Text Validation Type OR Show Slider Number"),
    *("Text Validation Min", "Text Validation Max", "Identifier?"),
    *("Branching Logic (Show field only if...)", "Required Field?", "Custom Alignment"),
    *("Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?", "Field Annotation"),
)
"""Heading of the data dictionary that REDCap imports, its 18 columns in its order."""

_VALIDATION = {"number": "number", "integer": "integer", "date": "date_ymd"}


def dictionary_names(table: str) -> tuple[str, str, str]:
    """The three files beside a table: for people, for programs, for REDCap.

    >>> dictionary_names("eyes.csv")
    ('eyes_dictionary.csv', 'eyes_dictionary.json', 'eyes_redcap.csv')
    """
    stem = table.removesuffix(".csv")
    return f"{stem}_dictionary.csv", f"{stem}_dictionary.json", f"{stem}_redcap.csv"


def write_dictionary(table: Path, columns: Sequence[Column], about: Mapping[str, Any], redcap: bool = True) -> None:
    """Write the files beside a table.

    Args:
        table: The table's file.
        columns: Of the table, in its order.
        about: What made it: versions and digests.
        redcap: That for REDCap too, which takes rows of patients, and none of scores.
    """
    people, programs, imported = (table.with_name(name) for name in dictionary_names(table.name))
    heading = ("name", "meaning", "kind", "unit", "choices", "identifies")
    rows = [
        [c.name, c.meaning, c.kind, c.unit, _choices(c, "; ", " = "), "yes" if c.identifies else ""] for c in columns
    ]
    made = [["", f"{key}: {value}", "about", "", "", ""] for key, value in about.items()]
    write_text("".join(map(csv_line, (heading, *rows, *made))), people)
    write_json({"table": table.name, "about": about, "columns": [asdict(c) for c in columns]}, programs)
    if redcap:
        write_text("".join(map(csv_line, (REDCAP, *_redcap(table.stem, columns, about)))), imported)


def dictionary_about(made_by: Mapping[str, Any]) -> dict[str, Any]:
    """What a dictionary says of what made its table: version, digest, and the settings that numbers depend on."""
    kept = ("fundusseg", "checkpoint", "checkpoint file", "convention", "views", "smoothing", "millimetres per pixel")
    return {key: made_by[key] for key in kept if made_by.get(key) is not None}


def _redcap(form: str, columns: Sequence[Column], about: Mapping[str, Any]) -> list[list[str]]:
    """One field for each column; the first of a form stands below a heading that says what made the table."""
    made = "; ".join(f"{key} {value}" for key, value in about.items())
    rows = []
    for number, column in enumerate(columns):
        category = column.kind == "category"
        row = dict.fromkeys(REDCAP, "")
        row |= {
            "Variable / Field Name": redcap_name(column.name),
            "Form Name": redcap_name(form),
            "Section Header": made if number == 1 else "",  # the record's own field takes none
            "Field Type": "radio" if category else "text",
            "Field Label": column.meaning,
            "Choices, Calculations, OR Slider Labels": _choices(column, " | ", ", ") if category else "",
            "Field Note": column.unit,
            "Text Validation Type OR Show Slider Number": _VALIDATION.get(column.kind, ""),
            "Identifier?": "y" if column.identifies else "",
        }
        rows.append([*row.values()])
    return rows


def redcap_name(name: str) -> str:
    """A name as REDCap takes it: lower case letters, digits and single underscores, a letter first.

    >>> redcap_name("Rim__Hour 12"), redcap_name("2nd")
    ('rim_hour_12', 'c_2nd')
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"c_{plain}"


def _choices(column: Column, between: str, equals: str) -> str:
    return between.join(f"{value}{equals}{meaning}" for value, meaning in column.choices.items())
