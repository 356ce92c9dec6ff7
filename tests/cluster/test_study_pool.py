"""Jobs of a study on two nodes: done once, again after a loss, never two at a time, left at once by a killed run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fundusseg.studies.job_list import Job, JobList
from tests.cluster.conftest import ROOT, wait

DRIVER = """
import sys
from pathlib import Path
from fundusseg.cluster.connection import connected
from fundusseg.cluster.resources import Resources
from fundusseg.cluster.study_pool import RayPool
from fundusseg.studies.job_list import Job, JobList
from fundusseg.studies.job_runner import run_jobs
folder, resources = Path(sys.argv[1]), Resources(sys.argv[2], cpus=2)
jobs = []
for text in sys.argv[3:]:
    name, seconds = text.split("=")
    jobs.append(Job(name, ("tests.support.chore", f"{folder}/{name}", seconds)))
with connected(resources) as fit:
    stopped = run_jobs(JobList(folder, jobs), RayPool(folder, {}, resources, fit), print)
sys.exit(143 if stopped else 0)
"""
"""A run of jobs in a process of its own: FOLDER ADDRESS NAME=SECONDS ..."""


def notes(folder, name):
    path = folder / name
    return path.read_text().split() if path.is_file() else []


def at_work(folder, name):
    """How many processes do a job now."""
    lines = [_words(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    return sum(b"fundusseg.studies.job_process" in line and f"{folder}/{name}".encode() in line for line in lines)


def _words(path):
    try:
        return path.read_bytes().split(b"\0")
    except OSError:  # it has ended
        return []


def start(folder, address, *jobs):
    command = [sys.executable, "-c", DRIVER, str(folder), address, *jobs]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_stopped_a_killed_and_a_bereft_run(nodes, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    cluster = nodes({}, {})

    def begun(times):
        wait(lambda: all(notes(tmp_path, name).count("begun") == times for name in "bc"))
        assert [at_work(tmp_path, name) for name in "bc"] == [1, 1], "never two at a time"

    run = start(tmp_path, cluster.address, "a=0", "b=60", "c=60")
    begun(1)
    run.terminate()
    assert run.wait(60) == 143
    assert [notes(tmp_path, name) for name in "abc"] == [["begun", "done"], ["begun", "stopped"], ["begun", "stopped"]]
    killed = start(tmp_path, cluster.address, "a=0", "b=60", "c=60")
    begun(2)
    killed.kill()
    killed.wait()
    bereft = start(tmp_path, cluster.address, "a=0", "b=6", "c=6")
    begun(3)
    cluster.kill(cluster.nodes[1])
    assert bereft.wait(120) == 0
    jobs = JobList(tmp_path, [Job(name, ("x",)) for name in "abc"])
    assert set(jobs.states().values()) == {"done"} and notes(tmp_path, "a") == ["begun", "done"]
    assert all(notes(tmp_path, name).count("done") == 1 and notes(tmp_path, name)[-1] == "done" for name in "bc")
    assert sorted(notes(tmp_path, name).count("begun") for name in "bc") == [3, 4], "one was on the lost node"
