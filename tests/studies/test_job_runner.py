"""Jobs run to their end, stop when they are told, and die with the run that started them, which goes on at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fundusseg.studies.job_list import Job, JobList
from fundusseg.studies.job_runner import LocalPool, run_jobs, shares

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")

DRIVER = """
import sys
from pathlib import Path
from fundusseg.studies.job_list import Job, JobList
from fundusseg.studies.job_runner import LocalPool, run_jobs
folder, jobs = Path(sys.argv[1]), []
for text in sys.argv[2:]:
    name, seconds = text.split("=")
    jobs.append(Job(name, ("tests.support.chore", f"{folder}/{name}", seconds)))
run_jobs(JobList(folder, jobs), LocalPool(folder, 2, {}), print)
"""
"""A run of jobs in a process of its own: FOLDER NAME=SECONDS ..."""


def chore(name, seconds=0.0, code=0, needs=()):
    return Job(name, ("tests.support.chore", f"{{notes}}/{name}", str(seconds), str(code)), needs)


def notes(folder, name):
    path = folder / name
    return path.read_text().split() if path.is_file() else []


def wait(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def start(folder, *jobs):
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(folder), *jobs], cwd=ROOT)


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    told = []

    def run(jobs, count=2):
        pool = LocalPool(tmp_path, count, {"notes": str(tmp_path)})
        return run_jobs(jobs, pool, lambda name, code, seconds: told.append((name, code)))

    run.told = told
    return run


@pytest.mark.slow
def test_every_job_is_done_and_told(tmp_path, work):
    jobs = [chore("a"), chore("b", code=3), chore("c", needs=("a",)), chore("d", needs=("b",))]
    jobs = JobList(tmp_path, jobs)
    assert not work(jobs)
    assert sorted(work.told) == [("a", 0), ("b", 3), ("c", 0)]
    assert jobs.states() == {"a": "done", "b": "failed", "c": "done", "d": "todo"} and jobs.blocked() == {"d"}
    assert all(notes(tmp_path, name) == ["begun", "done"] for name in "abc") and not notes(tmp_path, "d")


@pytest.mark.slow
def test_a_signal_stops_the_commands_and_leaves_them_to_the_next_run(tmp_path, work):
    jobs = JobList(tmp_path, [chore("a"), chore("b", 60), chore("c", 60)])

    def tell():
        wait(lambda: notes(tmp_path, "b") and notes(tmp_path, "c"))
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    teller = threading.Thread(target=tell)
    teller.start()
    assert work(jobs)
    teller.join()
    assert jobs.states() == {"a": "done", "b": "todo", "c": "todo"}
    assert notes(tmp_path, "b") == ["begun", "stopped"] and work.told == [("a", 0)]
    assert signal.getsignal(signal.SIGTERM) is before


@linux
@pytest.mark.slow
def test_a_killed_run_takes_its_commands_along_and_another_goes_on_at_once(tmp_path, work):
    process = start(tmp_path, "a=60")
    wait(lambda: notes(tmp_path, "a"))
    process.kill()
    process.wait()
    begun = time.monotonic()
    jobs = JobList(tmp_path, [chore("a")])
    assert not work(jobs, 1) and time.monotonic() - begun < 30
    assert notes(tmp_path, "a") == ["begun", "stopped", "begun", "done"], "never two at a time"
    assert jobs.states() == {"a": "done"}


@linux
@pytest.mark.slow
def test_runs_that_share_a_folder_share_the_jobs(tmp_path):
    jobs = [f"{number}=0.2" for number in range(6)]
    drivers = [start(tmp_path, *jobs) for _ in range(2)]
    assert [driver.wait() for driver in drivers] == [0, 0]
    assert [notes(tmp_path, str(number)) for number in range(6)] == [["begun", "done"]] * 6, "each once"


@linux
@pytest.mark.slow
def test_a_run_waits_for_what_another_has_in_hand(tmp_path, work):
    driver = start(tmp_path, "a=2")
    wait(lambda: notes(tmp_path, "a"))
    assert not work(JobList(tmp_path, [chore("a"), chore("b", needs=("a",))]))
    assert notes(tmp_path, "a") == ["begun", "done"] and notes(tmp_path, "b") == ["begun", "done"]
    assert work.told == [("b", 0)] and driver.wait() == 0


def test_cores_are_shared_out():
    assert shares([0, 1, 2, 3, 4], 2) == [[0, 1], [2, 3, 4]]
    assert shares([4, 7], 2) == [[4], [7]]
    assert shares([3], 2) == [[3], [3]]
    assert shares([0, 1], 1) == [[0, 1]]


@pytest.mark.slow
def test_a_command_has_its_share_of_threads_and_cores(tmp_path, work):
    assert not work(JobList(tmp_path, [Job("a", ("tests.support.chore_cores", "{threads}", "{notes}/a"))]), 1)
    count = len(LocalPool(tmp_path, 1, {}).shares[0])
    assert notes(tmp_path, "a") == [str(count)] * 3, (tmp_path / "logs" / "a.log").read_text()


@pytest.mark.slow
def test_what_cannot_be_begun_ends_all_and_loses_nothing(tmp_path, work):
    jobs = JobList(tmp_path, [chore("a"), chore("b", 60)])
    (tmp_path / "logs" / "a.log").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        work(jobs)
    assert jobs.states() == {"a": "todo", "b": "todo"} and not work.told
