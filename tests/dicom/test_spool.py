"""The spool and what works it off: each photograph answered once, whatever fails on the way."""

import time

import pytest

from fundusseg.dicom.answering import Answering
from fundusseg.dicom.destinations import Postponed, Refused, Unreachable
from fundusseg.dicom.spool import MOST_TRIES, Spool
from fundusseg.errors import ConfigurationError, ImageError
from tests.support.dicom_network import small, until
from tests.support.dicom_objects import write


def test_a_photograph_passes_through_the_spool_once(tmp_path):
    spool = Spool(tmp_path / "spool")
    assert spool.receive("1.2.3", b"photograph") and not spool.receive("1.2.3", b"photograph")
    (path,) = spool.waiting()
    assert spool.begin(path)
    spool.answer(path, {"sr": b"report", "seg": b"segments"})
    assert spool.waiting() == [] and not spool.receive("1.2.3", b"photograph")
    (folder,) = spool.to_send()
    for answer in sorted(folder.iterdir()):
        spool.sent(answer)
    assert spool.counts() == {"received": 0, "outgoing": 0, "answered": 1, "dead": 0}
    assert not spool.receive("1.2.3", b"photograph")
    with pytest.raises(ConfigurationError, match="another listener"):
        Spool(tmp_path / "spool")
    spool.close()
    for wrong in ("", "..", ".", "1..2", ".1", "1.", "1.2\n", "../../x", "1.2/3", "a", "1" * 65):
        with pytest.raises(ValueError, match="no UID"):
            spool.receive(wrong, b"x")


def test_a_spool_that_was_killed_between_two_renames_goes_on(tmp_path):
    spool = Spool(tmp_path)
    spool.receive("1.1", b"a")
    (path,) = spool.waiting()
    spool.answer(path, {"sr": b"report"})
    path.write_bytes(b"a")  # as if it had been killed before the photograph was removed
    left = path.with_name("1.7.tries")
    left.write_bytes(b".")  # and before the count of another one's tries
    (spool.received / "1.2.dcm").write_bytes(b"b")
    (tmp_path / "partial" / "rest").write_bytes(b"half")
    spool.close()
    again = Spool(tmp_path)
    assert [path.name for path in again.waiting()] == ["1.2.dcm"] and len(again.to_send()) == 1
    assert not left.exists()
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_photograph_that_two_send_at_a_time_is_answered_once(tmp_path, monkeypatch):
    from fundusseg.dicom import spool as module

    spool, real = Spool(tmp_path), module._write

    def write(path, content):
        """While the one is written, the other comes and is answered."""
        monkeypatch.setattr(module, "_write", real)
        assert spool.receive("1.1", b"a")
        spool.answer(*spool.waiting(), {"sr": b"report"})
        spool.sent(tmp_path / "outgoing" / "1.1" / "sr.dcm")
        real(path, content)

    monkeypatch.setattr(module, "_write", write)
    assert not spool.receive("1.1", b"a")
    assert spool.counts() == {"received": 0, "outgoing": 0, "answered": 1, "dead": 0}
    assert list((tmp_path / "partial").iterdir()) == []


def test_what_ends_the_process_again_and_again_is_put_aside(tmp_path):
    spool = Spool(tmp_path)
    spool.receive("1.1", b"a")
    (path,) = spool.waiting()
    assert [spool.begin(path) for _ in range(MOST_TRIES + 1)] == [True] * MOST_TRIES + [False]
    assert "the process ended 10 times" in (tmp_path / "dead" / "1.1.txt").read_text()
    assert spool.receive("1.1", b"a")  # a person sends it again: it is tried again


# Answering and sending


class Fickle:
    """A destination that behaves as it is told, one answer after the other."""

    def __init__(self, *behaviour):
        self.behaviour, self.got = list(behaviour), []

    def send(self, path):
        how = self.behaviour.pop(0) if self.behaviour else None
        if how is not None:
            raise how
        self.got.append(path.name)


class Stubborn:
    """A destination that never takes the answer of one photograph."""

    def __init__(self, how, uid):
        self.how, self.uid, self.got = how, uid, []

    def send(self, path):
        if path.parent.name == self.uid:
            raise self.how
        self.got.append(path.parent.name)


def run(spool, answer, target, until_counts, patience=60.0) -> dict[str, int]:
    counts: dict[str, int] = {}

    def count(outcome):
        counts[outcome] = counts.get(outcome, 0) + 1

    answering = Answering(spool, answer, target, count, first_wait=0.01, longest_wait=0.05, patience=patience)
    answering.start()
    until(lambda: until_counts(spool.counts()))
    answering.close()
    return counts


def test_answers_are_tried_again_until_somebody_takes_them(tmp_path):
    spool = Spool(tmp_path)
    spool.receive("1.1", b"a")
    target = Fickle(*[Unreachable("nobody")] * 7)
    counts = run(spool, lambda path: {"sr": b"x", "seg": b"y"}, target, lambda found: found["answered"] == 1)
    assert target.got == ["seg.dcm", "sr.dcm"] and counts == {"answered": 1, "unreachable": 7, "sent": 2}


def test_what_is_refused_for_good_and_what_cannot_be_read_is_put_aside_and_the_rest_goes_on(tmp_path):
    spool = Spool(tmp_path)
    for uid in ("1.1", "1.2", "1.3"):
        spool.receive(uid, b"a")
        time.sleep(0.01)

    def answer(path):
        if path.stem == "1.2":
            raise ImageError("a broken photograph", "a whole one", "send it again")
        return {"sr": b"x"}

    target = Stubborn(Refused("status C000"), "1.1")
    run(spool, answer, target, lambda found: found["dead"] == 2 and found["answered"] == 1, patience=0.1)
    assert (tmp_path / "dead" / "1.1.txt").read_text() == "status C000\n"
    assert "a broken photograph" in (tmp_path / "dead" / "1.2.txt").read_text() and target.got == ["1.3"]


def test_one_answer_that_always_fails_keeps_no_other_back(tmp_path):
    spool = Spool(tmp_path)
    for uid in ("1.1", "1.2", "1.3"):
        spool.receive(uid, b"a")
        time.sleep(0.01)
    target = Stubborn(Postponed("hung up"), "1.1")
    counts = run(spool, lambda path: {"sr": b"x"}, target, lambda found: found["answered"] == 2)
    assert target.got == ["1.2", "1.3"] and counts["postponed"] >= 1 and spool.counts()["dead"] == 0
    (tmp_path / "outgoing" / "1.1" / "sr.dcm").write_bytes(b"damaged, so that sending it raises")
    spool.receive("1.4", b"a")
    run(spool, lambda path: {"sr": b"x"}, Stubborn(RuntimeError("?"), "1.1"), lambda found: found["answered"] == 3)


def test_an_archive_that_is_set_up_wrong_for_an_hour_costs_no_answer(tmp_path):
    spool = Spool(tmp_path)
    spool.receive("1.1", b"a")
    target = Fickle(*[Refused("status 0110"), Refused("status 0124"), Refused("status C000")] * 10)
    counts = run(spool, lambda path: {"sr": b"x"}, target, lambda found: found["answered"] == 1)
    assert counts == {"answered": 1, "refused by destination": 30, "sent": 1}


def test_a_full_disk_is_no_photograph_s_fault(tmp_path, monkeypatch):
    """Twenty failures by a full disk, where ten processes that ended would put a photograph aside."""
    from fundusseg.dicom import spool as module

    spool, failures, real = Spool(tmp_path), [0], module._write
    spool.receive("1.1", b"a")

    def write(path, content):
        if failures[0] < 2 * MOST_TRIES:
            failures[0] += 1
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(module, "_write", write)
    counts = run(spool, lambda path: {"sr": b"x"}, Fickle(), lambda found: found["answered"] == 1)
    assert counts == {"no room": 2 * MOST_TRIES, "answered": 1, "sent": 1}
    assert list((tmp_path / "received").iterdir()) == list((tmp_path / "dead").iterdir()) == []


def test_a_machine_without_room_is_not_a_file_that_cannot_be_decoded(tmp_path):
    from fundusseg.dicom.dataset_files import opened

    path = write(small(1), tmp_path / "a")
    with pytest.raises(OSError, match="No space left"), opened(path):
        raise OSError(28, "No space left on device")
    with pytest.raises(ImageError, match="cannot be decoded"), opened(path):
        raise OSError("image file is truncated")


def test_what_was_put_aside_can_be_brought_back(tmp_path):
    spool = Spool(tmp_path)
    for uid in ("1.1", "1.2", "1.3"):
        spool.receive(uid, b"photograph")
    one, two, three = spool.waiting()
    spool.answer(two, {"sr": b"report"})
    spool.bury(one, "unreadable")
    spool.bury(tmp_path / "outgoing" / "1.2", "refused")
    spool.bury(three, "unreadable")
    spool.receive("1.3", b"photograph")  # a person has sent it again
    assert spool.counts() == {"received": 1, "outgoing": 0, "answered": 0, "dead": 3}
    assert spool.requeue() == 2
    assert spool.counts() == {"received": 2, "outgoing": 1, "answered": 0, "dead": 0}
    assert list((tmp_path / "dead").iterdir()) == []
    counts = run(spool, lambda path: {"sr": b"x"}, Fickle(), lambda found: found["answered"] == 3)
    assert counts == {"answered": 2, "sent": 3}
