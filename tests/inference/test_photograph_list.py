"""Which photographs a command line names, and what their results are called."""

import csv
import io
import os
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.imaging.photograph_files import HIDDEN
from fundusseg.inference.photograph_list import Photograph, count_passed_over, find_photographs
from fundusseg.inference.result_paths import EARLIER, label_map_path


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A tree of files; only their names matter here."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.jpg", "in/a.png", "in/deep/a.png", "in/.hidden.png", "in/notes.txt", "other/a.png", "été 1.tif"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def found(*arguments, output="out", stdin=""):
    return {
        p.path.as_posix(): p.name for p in find_photographs(arguments, Path(output), io.StringIO(stdin)).photographs
    }


def test_a_folder_is_read_to_its_ground_in_order(place):
    names = found("in")
    assert names == {"in/a.png": "a", "in/b.jpg": "b", "in/deep/a.png": "deep/a"}
    assert list(names) == sorted(names)


def test_results_are_not_taken_for_photographs(place):
    Path("in/out").mkdir()
    Path("in/out/a_labels.png").touch()
    assert set(found("in", output="in/out")) == {"in/a.png", "in/b.jpg", "in/deep/a.png"}


@pytest.mark.parametrize("argument", ["in", "in/**"])
def test_what_an_earlier_run_drew_is_passed_over_and_counted(place, argument):
    before = set(found(argument))
    earlier = ("a_labels.png", "deep/a_overlay.jpg", "a_chart.png", "journal/thumbnails/a.jpg")
    for name in ("journal/run.json", *earlier, "mine.png"):
        Path("in/old", name).parent.mkdir(parents=True, exist_ok=True)
        Path("in/old", name).touch()
    listed = find_photographs([argument], Path("out"))
    assert {photograph.path.as_posix() for photograph in listed.photographs} == before | {"in/old/mine.png"}
    drawn = {path.as_posix() for path, reason in listed.passed_over.items() if reason == EARLIER}
    assert drawn == {f"in/old/{name}" for name in earlier}
    assert len(find_photographs(["in/old/a_labels.png"], Path("out")).photographs) == 1, "named by itself it is meant"


def test_a_folder_of_nothing_but_earlier_results_is_told(place):
    for name in ("journal/run.json", "a_overlay.jpg"):
        Path("old", name).parent.mkdir(parents=True, exist_ok=True)
        Path("old", name).touch()
    with pytest.raises(ImageError, match=r"no photograph below old \(1 \.json, 1 earlier results passed over\)"):
        found("old")


def test_single_files_keep_the_order_of_the_command_line(place):
    assert list(found("été 1.tif", "in/deep", "in/b.jpg").items()) == [
        ("été 1.tif", "été 1"),
        ("in/deep/a.png", "a"),
        ("in/b.jpg", "b"),
    ]


def test_a_file_named_twice_is_done_once(place):
    assert found("in/a.png", "in/../in/a.png", "in/a*") == {"in/a.png": "a"}


def test_a_pattern(place):
    assert found("*/a.png") == {"in/a.png": "in/a", "other/a.png": "other/a"}
    assert found("in/**/a.png") == {"in/a.png": "a", "in/deep/a.png": "deep/a"}
    assert found("in/*") == {"in/a.png": "a", "in/b.jpg": "b"}
    with pytest.raises(ImageError, match=r"pattern none\*\.png"):
        find_photographs(["none*.png"], Path("out"))


def test_a_file_whose_name_looks_like_a_pattern(place):
    Path("in/a[1].png").touch()
    assert found("in/a[1].png") == {"in/a[1].png": "a[1]"}


def test_standard_input_takes_what_is_not_there(place):
    assert found("-", stdin="in/a.png\nabsent.jpg\r\n\nété 1.tif") == {
        "in/a.png": "a",
        "absent.jpg": "absent",
        "été 1.tif": "été 1",
    }


LISTS = {
    "a named column": ("eye;patient;path\nOS;1;in/a.png\n;2;in/b.jpg\n", ["OS", ""]),
    "the first column": ("photo,eye\nin/a.png,OD\nin/b.jpg,L\n", ["OD", "L"]),
    "no heading": ("in/a.png\nin/b.jpg\n", ["", ""]),
    "Excel's mark, and quotes": ('\ufefffile,eye\n"in/a.png",R\n\n"in/b.jpg",\n', ["R", ""]),
    "an id before": ("id,photo\n1,in/a.png\n2,in/b.jpg\n", ["", ""]),
    "capitals": ("File,EYE\nin/a.png,OD\nin/b.jpg,OS\n", ["OD", "OS"]),
    "a line break in quotes": ('file,note,eye\nin/a.png,"two\nlines\u2028",OD\nin/b.jpg,,OS\n', ["OD", "OS"]),
    "tabs": ("id\timage\n1\tin/a.png\n2\tin/b.jpg\n", ["", ""]),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list(place, case):
    text, eyes = LISTS[case]
    Path("list.csv").write_text(text, encoding="utf-8")
    listed = find_photographs(["list.csv"], Path("out")).photographs
    assert listed == [Photograph(Path("in/a.png"), "a", eyes[0]), Photograph(Path("in/b.jpg"), "b", eyes[1])]


def test_a_list_as_windows_writes_it(place):
    Path("list.csv").write_text("file\teye\r\nin\\a.png\tOD\r\nin\\b.jpg\tOS\r\n", encoding="utf-16")
    assert found("list.csv") == {"in/a.png": "a", "in/b.jpg": "b"}
    Path("in/list.csv").write_text("file\ndeep\\a.png\nabsent\\c.png\n")
    assert list(found("in/list.csv")) == ["in/deep/a.png", "absent\\c.png"]


def test_a_list_of_western_windows_and_names_of_a_mac(place):
    Path("été.png").touch()
    Path(normalize("NFD", "für.png")).touch()
    for encoding in ("latin-1", "utf-8", "utf-16"):
        Path("list.csv").write_bytes("file\nété.png\nfür.png\n".encode(encoding))
        assert [normalize("NFC", name) for name in found("list.csv")] == ["été.png", "für.png"]
        assert all(Path(name).exists() for name in found("list.csv"))


def test_a_list_that_was_moved_with_its_photographs(place, monkeypatch):
    Path("in/list.csv").write_text("file\na.png\ndeep/a.png\nabsent.png\n")
    assert found("in/list.csv") == {"in/a.png": "in/a", "in/deep/a.png": "in/deep/a", "absent.png": "absent"}


def test_a_list_that_cannot_be_read(place):
    Path("list.csv").write_bytes(b"\xff\xfefil")
    with pytest.raises(ConfigurationError, match=r"list\.csv.*UTF-8"):
        find_photographs(["list.csv"], Path("out"))
    Path("list.csv").write_text("\n")
    with pytest.raises(ConfigurationError, match=r"empty list: list\.csv"):
        find_photographs(["list.csv"], Path("out"))


def test_names_that_fall_together_keep_their_endings(place):
    Path("in/a.bmp").touch()
    assert found("in") == {"in/a.bmp": "a.bmp", "in/a.png": "a.png", "in/b.jpg": "b", "in/deep/a.png": "deep/a"}


def test_names_that_cannot_be_told_apart(place):
    with pytest.raises(ImageError, match="two photographs of one name"):
        find_photographs(["in", "other"], Path("out"))


@pytest.mark.parametrize(("given", "side"), [("OD", "OD"), ("right", "OD"), (" l ", "OS"), ("", None)])
def test_the_eye(given, side):
    assert Photograph(Path("a.png"), eye=given).side() == side


def test_an_eye_that_is_none():
    with pytest.raises(ImageError, match=r"eye 'both' of a\.png"):
        Photograph(Path("a.png"), eye="both").side()


def test_what_is_passed_over_is_told_with_its_reason(place):
    listed = find_photographs(["in", "*", "in/**"], Path("out"))
    assert {path.as_posix(): why for path, why in listed.passed_over.items()} == {
        "in/.hidden.png": HIDDEN,
        "in/notes.txt": ".txt",
        "in": "folder",
        "other": "folder",
    }
    assert count_passed_over(listed.passed_over) == "1 .txt, 2 folder, 1 hidden"
    # What one argument passes over and another names is not passed over.
    assert find_photographs(["in", "in/notes.txt"], Path("out")).passed_over == {Path("in/.hidden.png"): HIDDEN}
    Path("in/deep/a.png").rename("in/deep/study.zip")
    with pytest.raises(ImageError, match=r"no photograph below in/deep \(1 \.zip passed over\)"):
        find_photographs(["in/deep"], Path("out"))


def test_a_path_that_leads_up_names_nothing_outside_of_the_output(place):
    assert found("in/a.png", "in/../other/a.png", "été 1.tif") == {
        "in/a.png": "in/a",
        "in/../other/a.png": "other/a",
        "été 1.tif": "été 1",
    }
    Path("list.csv").write_text("file\n../a.png\n../../a.png\n/a.png\n.\n..\n/\n")
    names = set(found("list.csv", "-", stdin="..\n../..\n").values())
    assert not any(part in ("..", "", ".") for name in names for part in name.split("/"))


PARTS = st.sampled_from(["..", ".", "a", "b.png", "a.b.png", "...", " ", "é", "x\\y.jpg", "a\0b", ".png"])
PATHS = st.tuples(st.sampled_from(["", "/", "//"]), st.lists(PARTS, min_size=1, max_size=6)).map(
    lambda path: path[0] + "/".join(path[1])
)


@given(st.lists(PATHS, min_size=1, max_size=8), st.lists(PATHS, max_size=8))
@pytest.mark.slow
def test_results_lie_in_the_output_folder_whatever_the_paths(tmp_path_factory, listed, piped):
    output = tmp_path_factory.mktemp("out") / "predictions"
    table = output.parent / "list.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["file"], *([path] for path in listed)])
    try:
        photographs = find_photographs([str(table), "-"], output, io.StringIO("\n".join(piped))).photographs
    except (ImageError, ConfigurationError):  # two of one name, a list that is empty
        return
    names = [photograph.name for photograph in photographs]
    assert len(set(names)) == len(names)
    for name in names:
        place = Path(os.path.normpath(label_map_path(output, name)))
        assert place.is_relative_to(output) and place == label_map_path(output, name)
