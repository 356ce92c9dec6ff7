"""Whose eye a photograph shows: tables, names, and what they say wrongly."""

from datetime import date
from pathlib import Path

import pytest

from fundusseg.errors import ConfigurationError
from fundusseg.inference.photograph_list import Photograph
from fundusseg.patients.dates import read_date
from fundusseg.patients.identity import Identity, find_identities
from fundusseg.patients.name_pattern import NamePattern


@pytest.mark.parametrize(
    ("text", "day"),
    [
        *(
            (text, date(2024, 5, 3))
            for text in ("2024-05-03", "2024-5-3", "20240503", "3.5.2024", "2024-05-03T09:10:11")
        ),
        *((text, None) for text in ("", "03/04/2020", "2024-13-01", "31.02.2024", "yesterday", "24-05-03", "2024")),
    ],
)
def test_a_date_is_read_only_where_it_is_sure(text, day):
    assert read_date(text) == day


@pytest.mark.parametrize(
    ("pattern", "path", "said"),
    [
        ("{patient}_{eye}_{date}", "in/P_7_OD_2024-05-31.jpg", ("P_7", "OD", "2024-05-31")),
        ("{patient}/{date}_{eye}*", "in/P7/20240531_left (2).png", ("P7", "left", "20240531")),
        ("{eye}{patient}", "OS123.jpg", ("123", "OS", None)),
        ("{patient}_{eye}_{date}", "in/P7_OD_soon.jpg", ("P7", "OD", "soon")),
        ("{patient}_{eye}_{date}", "in/P7_OX_2024-05-31.jpg", None),
        ("x({patient})", "x(1).jpg", ("1", None, None)),
    ],
)
def test_a_pattern_reads_names(pattern, path, said):
    found = NamePattern(pattern).read(Path(path))
    assert said is None if found is None else tuple(map(found.get, ("patient", "eye", "date"))) == said


@pytest.mark.parametrize(
    "pattern",
    [
        *("{eye}_{date}", "{patient}_{patient}", "{patient}_{age}", "{patient", "patient"),
        *("{patient}*", "*{patient}_{eye}", "{patient}{date}_{eye}"),
    ],
)
def test_a_pattern_that_says_nothing_sure_is_refused(pattern):
    with pytest.raises(ConfigurationError, match="pattern"):
        NamePattern(pattern)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "deep/c.jpg", "x/d.jpg", "y/d.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return tmp_path


def photographs(*names: str, eye: str = "") -> list[Photograph]:
    return [Photograph(Path(name), name.removesuffix(".jpg"), eye) for name in names]


def by_table(content: str, *names: str, **options):
    Path("visits.csv").write_text(content)
    return find_identities(photographs(*names, **options), Path("visits.csv"), None)


def test_a_table_gives_patient_eye_and_date_and_the_eye_goes_to_the_photograph(place):
    found = by_table("File;Patient;Eye;Date\na.jpg;1;right;2024-01-02\nc.jpg;2;L;\n", "a.jpg", "deep/c.jpg")
    assert found.by_name == {"a": Identity("1", "right", "2024-01-02"), "deep/c": Identity("2", "L", "")}
    assert [photograph.eye for photograph in found.photographs] == ["OD", "OS"] and not found.remarks


def test_what_a_table_says_wrongly_is_told_and_nothing_is_lost(place):
    content = "file,patient,eye,date\na.jpg,1,OD,\na.jpg,2,OD,\nb.jpg,3,both,\nnowhere.jpg,4,,\nd.jpg,5,,\n"
    names = ("a.jpg", "b.jpg", "deep/c.jpg", "x/d.jpg", "y/d.jpg")
    found = by_table(content, *names)
    said = {name: " ".join(identity.remarks) for name, identity in found.by_name.items()}
    assert (
        "2 patients, 1 and 2 (visits.csv, line 2 and visits.csv, line 3)" in said["a"]
        and not found.by_name["a"].patient
    )
    assert "the eye 'both' is not OD" in said["b"] and found.by_name["b"].patient == "3"
    assert "not in the table" in said["deep/c"] and "not in the table" in said["x/d"]
    lines = [remark.split(":")[0] for remark in found.remarks]
    assert lines == ["visits.csv, line 5", "visits.csv, line 6"], "a name of two files is neither's"
    assert [photograph.path.as_posix() for photograph in found.photographs] == [*names]


def test_a_list_that_names_patients_is_a_table(place):
    Path("list.csv").write_text("file,patient\na.jpg,7\n")
    Path("plain.csv").write_text("file\na.jpg\n")
    found = find_identities(photographs("a.jpg", eye="OD"), None, None, ["list.csv", "plain.csv", "a.jpg"])
    assert found.by_name == {"a": Identity("7")} and found.photographs[0].eye == "OD"
    assert not find_identities(photographs("a.jpg"), None, None, ["plain.csv"]).by_name


def test_one_eye_and_one_day_in_two_spellings_are_no_contradiction(place):
    found = by_table("file,patient,eye,date\na.jpg,1,OD,2024-05-31\na.jpg,1,right,31.5.2024\n", "a.jpg")
    identity = found.by_name["a"]
    assert not identity.remarks and found.photographs[0].eye == "OD" and read_date(identity.date) == date(2024, 5, 31)


def test_of_two_eyes_neither_is_taken_not_even_the_lists(place):
    Path("list.csv").write_text("file,patient,eye\na.jpg,1,OD\na.jpg,1,OS\n")
    found = find_identities(photographs("a.jpg", eye="OD"), None, None, ["list.csv"])
    assert found.photographs[0].eye == "" and found.by_name["a"].contradicted == ("eye",)


@pytest.mark.parametrize("content", ["", "file,eye\na.jpg,OD\n", "patient,eye\n1,OD\n"])
def test_a_table_without_its_columns_is_refused(place, content):
    with pytest.raises(ConfigurationError, match=r"visits\.csv"):
        by_table(content, "a.jpg")


def test_table_and_pattern_together_are_refused(place):
    with pytest.raises(ConfigurationError, match="one of the two"):
        find_identities([], Path("visits.csv"), "{patient}")
