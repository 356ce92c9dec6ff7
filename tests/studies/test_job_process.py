"""The process of a job says that it is done when it has ended well, and does nothing twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fundusseg.studies.job_list import done_path

ROOT = Path(__file__).parents[2]


def run(folder, *command, parent=None):
    start = [sys.executable, "-m", "fundusseg.studies.job_process", str(parent or os.getpid()), str(folder), "a"]
    return subprocess.run([*start, *command], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_job_is_done_once(tmp_path):
    command = ("tests.support.chore", str(tmp_path / "notes"), "0")
    assert run(tmp_path, *command, "3").returncode == 3 and not done_path(tmp_path, "a").exists()
    assert run(tmp_path, *command).returncode == 0 and done_path(tmp_path, "a").exists()
    again = run(tmp_path, *command)
    assert again.returncode == 0 and "done already" in again.stdout
    assert (tmp_path / "notes").read_text().split() == ["begun", "done"] * 2


@pytest.mark.slow
def test_a_command_of_ours_ends_as_it_does_by_itself(tmp_path):
    wrong = run(tmp_path, "fundusseg.predict", "--checkpoint=none.ckpt", "nowhere")
    alone = subprocess.run(
        [sys.executable, "-m", "fundusseg.predict", "--checkpoint=none.ckpt", "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (wrong.returncode, wrong.stderr) == (alone.returncode, alone.stderr) and wrong.returncode == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
@pytest.mark.slow
def test_a_job_whose_starter_is_gone_does_nothing(tmp_path):
    assert run(tmp_path, "tests.support.chore", str(tmp_path / "notes"), "0", parent=1).returncode == 143
    assert not (tmp_path / "notes").exists() and not done_path(tmp_path, "a").exists()
