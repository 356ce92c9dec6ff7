"""What is done stays done, whatever the end of the last run tore."""

import json
import socket
from pathlib import Path

import pytest

from fundusseg.atomic_file import write_whole
from fundusseg.errors import ConfigurationError
from fundusseg.inference.photograph_list import Photograph
from fundusseg.inference.run_journal import Journal, JournalEntry, read_entries
from fundusseg.reports.files import NAME, difference

RUN = {"checkpoint": "sha256 1", NAME: "a.ckpt"}


def entry(tmp_path, name, content="x", error=""):
    path = tmp_path / f"{name}.png"
    path.write_text(content)
    return JournalEntry.of_photograph(
        Photograph(path, name), {"file": str(path), "error": error, "vertical_cdr": 0.1 + 0.2}
    )


def test_every_number_comes_back_as_it_was(tmp_path):
    with Journal(tmp_path / "out", RUN) as journal:
        journal.add(entry(tmp_path, "é/\udce9".replace("/", "-")))
    (again,) = read_entries(tmp_path / "out" / "journal" / "rows.jsonl")
    assert again.name == "é-\udce9" and again.row["vertical_cdr"] == 0.1 + 0.2


@pytest.mark.parametrize("torn", [b'{"name": "c", "posi', b"\xff\x00", b'{"name": 3}\n', b"[]\n", b"null\n"])
def test_a_torn_line_is_passed_over(tmp_path, torn):
    with Journal(tmp_path / "out", RUN) as journal:
        for name in ("a", "b"):
            journal.add(entry(tmp_path, name))
    path = tmp_path / "out" / "journal" / "rows.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    with Journal(tmp_path / "out", RUN) as journal:
        assert list(journal.entries) == ["a", "b"]
        journal.add(entry(tmp_path, "c"))
    assert [json.loads(line)["name"] for line in path.read_bytes().splitlines()] == ["a", "b", "c"]


def test_a_photograph_is_done_as_long_as_its_file_is_the_same(tmp_path):
    with Journal(tmp_path / "out", RUN) as journal:
        journal.add(entry(tmp_path, "a"))
        journal.add(entry(tmp_path, "bad", error="cut"))
        same = JournalEntry.of_photograph(Photograph(tmp_path / "a.png", "a"), {})
        assert journal.keep(same, "./a.png")
        assert journal.entries["a"].row["file"] == "./a.png"
        assert not journal.keep(JournalEntry.of_photograph(Photograph(tmp_path / "bad.png", "bad"), {}), "bad.png")
        assert not journal.keep(JournalEntry.of_photograph(Photograph(tmp_path / "a.png", "a", "OS"), {}), "a.png")
        (tmp_path / "a.png").write_text("longer")
        assert not journal.keep(JournalEntry.of_photograph(Photograph(tmp_path / "a.png", "a"), {}), "a.png")
        assert not journal.keep(
            JournalEntry.of_photograph(Photograph(tmp_path / "elsewhere" / "a.png", "a"), {}), "a.png"
        )


def test_the_end_puts_rows_in_order_and_keeps_earlier_ones(tmp_path):
    with Journal(tmp_path / "out", RUN) as journal:
        for name in ("c", "old", "a"):
            journal.add(entry(tmp_path, name))
        assert [e.name for e in journal.order(["a", "c"])] == ["a", "c"]
    assert [e.name for e in read_entries(tmp_path / "out" / "journal" / "rows.jsonl")] == ["a", "c", "old"]


def test_what_a_killed_run_was_writing_is_cleared_away(tmp_path):
    journal = Journal(tmp_path / "out", RUN)
    (journal.folder / "partial" / "12").write_text("half")
    journal._lock.release()  # as the system does for a killed process
    Journal(tmp_path / "out", RUN).close()
    journal.close()
    assert not list(journal.folder.glob("partial*"))


def test_what_makes_a_difference():
    assert difference(RUN, {**RUN, NAME: "b.ckpt"}) == ""
    assert difference(RUN, {**RUN, "checkpoint": "sha256 2"}) == "checkpoint"
    assert difference({**RUN, "fundusseg": "1"}, RUN) == difference(RUN, {**RUN, "fundusseg": "1"}) == "fundusseg"


def test_another_maker_is_refused_or_begins_anew(tmp_path):
    with Journal(tmp_path / "out", RUN) as journal:
        journal.add(entry(tmp_path, "a"))
    other = {**RUN, "checkpoint": "sha256 2"}
    with pytest.raises(ConfigurationError, match="another checkpoint"):
        Journal(tmp_path / "out", other)
    with Journal(tmp_path / "out", other, overwrite=True) as journal:
        assert journal.entries == {}


def test_two_machines_may_write_one_file_at_once(tmp_path, monkeypatch):
    replace = Path.replace

    def meanwhile(self, target):
        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(socket, "gethostname", lambda: "another")
        write_whole(target, b"whole")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", meanwhile)
    write_whole(tmp_path / "a.csv", b"whole")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.csv": b"whole"}


def test_a_folder_is_written_by_one_run_at_a_time(tmp_path):
    with Journal(tmp_path / "out", RUN) as journal:
        with pytest.raises(ConfigurationError, match=r"another predict is writing to.*one run at a time"):
            Journal(tmp_path / "out", RUN)
        with pytest.raises(ConfigurationError, match="another predict is writing to"):
            Journal(tmp_path / "out", {**RUN, "checkpoint": "sha256 2"}, overwrite=True)
        journal.add(entry(tmp_path, "a"))
    with Journal(tmp_path / "out", RUN) as journal:
        assert list(journal.entries) == ["a"]


def test_a_folder_that_is_refused_is_free_again(tmp_path):
    Journal(tmp_path / "out", RUN).close()
    with pytest.raises(ConfigurationError, match="another checkpoint"):
        Journal(tmp_path / "out", {**RUN, "checkpoint": "sha256 2"})
    Journal(tmp_path / "out", RUN).close()


def test_a_name_that_no_file_can_have_is_an_entry():
    assert JournalEntry.of_photograph(Photograph(Path("a\0b.png"), "a"), {}).size == -1
