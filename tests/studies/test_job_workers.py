"""Workers end what they begin, stop when they are told, and take their commands with them when they are killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fundusseg.studies.job_queue import Job, Queue
from fundusseg.studies.job_workers import Workers, shares

ROOT = Path(__file__).parents[2]


def chore(name, seconds=0.0, code=0, needs=()):
    return Job(name, ("tests.support.chore", f"{{notes}}/{name}", str(seconds), str(code)), needs)


def notes(folder, name):
    path = folder / name
    return path.read_text().split() if path.is_file() else []


def wait(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    told = []

    def workers(queue, count=2):
        report = lambda name, code, seconds: told.append((name, code))  # noqa: E731
        return Workers(queue, count, {"notes": str(tmp_path)}, tmp_path / "logs", report)

    workers.told = told
    return workers


@pytest.mark.slow
def test_every_job_is_done_and_told(tmp_path, work):
    jobs = [chore("a"), chore("b", code=3), chore("c", needs=("a",)), chore("d", needs=("b",))]
    queue = Queue.create(tmp_path / "queue", jobs)
    workers = work(queue)
    workers.run()
    assert not workers.stopped
    assert sorted(work.told) == [("a", 0), ("b", 3), ("c", 0)]
    assert queue.states() == {"a": "done", "b": "failed", "c": "done", "d": "todo"} and queue.blocked() == {"d"}
    assert all(notes(tmp_path, name) == ["begun", "done"] for name in "abc") and not notes(tmp_path, "d")


@pytest.mark.slow
def test_a_signal_stops_the_commands_and_puts_them_back(tmp_path, work):
    queue = Queue.create(tmp_path / "queue", [chore("a"), chore("b", 60), chore("c", 60)])

    def tell():
        wait(lambda: notes(tmp_path, "b") and notes(tmp_path, "c"))
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    teller = threading.Thread(target=tell)
    teller.start()
    workers = work(queue)
    workers.run()
    teller.join()
    assert workers.stopped
    assert queue.states() == {"a": "done", "b": "todo", "c": "todo"}
    assert notes(tmp_path, "b") == ["begun", "stopped"] and work.told == [("a", 0)]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
@pytest.mark.slow
def test_a_killed_study_takes_its_commands_along_and_another_goes_on(tmp_path, work):
    queue = Queue.create(tmp_path / "queue", [chore("a", 60)])
    code = (
        "import sys; from pathlib import Path\n"
        "from fundusseg.studies.job_queue import Queue; from fundusseg.studies.job_workers import Workers\n"
        "folder = Path(sys.argv[1])\n"
        "Workers(Queue(folder / 'queue'), 1, {'notes': str(folder)}, folder / 'logs', print).run()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    wait(lambda: notes(tmp_path, "a"))
    process.kill()
    process.wait()
    wait(lambda: notes(tmp_path, "a") == ["begun", "stopped"])
    assert queue.states() == {"a": "running"}
    (claimed,) = (tmp_path / "queue" / "running").iterdir()
    os.utime(claimed, (0, 0))  # as its lease ends
    job = (tmp_path / "queue" / "running").joinpath(claimed.name)
    job.write_text(job.read_text().replace('"60"', '"0"'))
    os.utime(job, (0, 0))
    work(queue, 1).run()
    assert queue.states() == {"a": "done"} and notes(tmp_path, "a")[-2:] == ["begun", "done"]


def test_cores_are_shared_out():
    assert shares([0, 1, 2, 3, 4], 2) == [[0, 1], [2, 3, 4]]
    assert shares([4, 7], 2) == [[4], [7]]
    assert shares([3], 2) == [[3], [3]]
    assert shares([0, 1], 1) == [[0, 1]]


def test_a_command_has_its_share_of_threads_and_cores(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    job = Job("a", ("tests.support.chore_cores", "{threads}", "{notes}/a"))
    queue = Queue.create(tmp_path / "queue", [job])
    workers = Workers(queue, 1, {"notes": str(tmp_path)}, tmp_path / "logs", lambda *told: None)
    workers.run()
    count = len(workers.shares[0])
    assert notes(tmp_path, "a") == [str(count)] * 3, (tmp_path / "logs" / "a.log").read_text()


def test_what_cannot_be_begun_ends_all_and_loses_nothing(tmp_path, work):
    queue = Queue.create(tmp_path / "queue", [chore("a"), chore("b", 60)])
    (tmp_path / "logs" / "a.log").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        work(queue).run()
    assert queue.states() == {"a": "todo", "b": "todo"} and not work.told
