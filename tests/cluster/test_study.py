"""A study on a cluster that loses a node in a training, then its driver, comes to the files of a run on one machine."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import ROOT, below, wait, words
from tests.commands.test_study import RECIPE, STUDY

pytestmark = [
    pytest.mark.skipif("FUNDUSSEG_BY_HAND" not in os.environ, reason="takes minutes; FUNDUSSEG_BY_HAND=1 runs it"),
    pytest.mark.skipif(sys.platform != "linux", reason="finds and kills processes by Linux's means"),
]

EPOCHS = {"trainer.max_epochs": 30, "early_stopping.patience": 30}
PAGE = os.sysconf("SC_PAGE_SIZE")
LONGER = {**STUDY, "overrides": EPOCHS}


def start(place, name, *options):
    command = [sys.executable, "-m", "fundusseg.study", f"--config={place}/study.yaml", f"--output={place / name}"]
    return subprocess.Popen(
        [*command, f"--data.cache_dir={place}/cache", "--accelerator=cpu", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def jobs(pid=None):
    """Process numbers of jobs, with the name of each; below one process or all."""
    found = {}
    for one in below(pid) if pid else [int(path.name) for path in Path("/proc").glob("[0-9]*")]:
        command = words(one)
        if "fundusseg.studies.job_process" in command:
            found[one] = command[command.index("fundusseg.studies.job_process") + 3]
    return found


def results(folder):
    """Tables, plots and networks; not the logs, nor what TensorBoard shows, which hold times."""
    kept = [*folder.glob("results/**/*"), *folder.glob("runs/**/*.ckpt"), *folder.glob("runs/**/*.csv")]
    return {path.relative_to(folder): path.read_bytes() for path in kept if path.is_file()}


def test_a_node_is_lost_in_a_training_and_the_driver_is_killed(tmp_path, nodes):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(LONGER))
    alone = start(tmp_path, "alone", f"--workers={min(2, os.cpu_count())}")
    said = alone.communicate()[0]
    assert alone.returncode == 0, said
    cluster, shared = nodes({}, {}), tmp_path / "shared"
    options = ("--cluster", cluster.address, "--cluster_jobs=2")
    seen, twice, over = set(), set(), threading.Event()

    def watch():
        while not over.is_set():
            names = [name for pid, name in jobs().items() if trains(pid)]
            seen.update(names)
            twice.update(name for name in names if names.count(name) > 1)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        killed = start(tmp_path, "shared", *options)
        lost = lose_a_training(cluster, shared, killed)
        wait(lambda: begun(shared, lost) == 2 or killed.poll() is not None)
        assert killed.poll() is None
        killed.kill()
        killed.wait()
        again = start(tmp_path, "shared", *options)
        said = again.communicate()[0]
    finally:
        over.set()
        watcher.join()
    assert again.returncode == 0, said
    log = (shared / "logs" / f"{lost}.log").read_text()
    assert log.count("Continues the run in") >= 2 and log.count("Model card:") == 1, log
    assert lost in seen and not twice, "a job was done by two at a time"
    assert [path.name for path in shared.glob("runs/*/*") if path.is_dir()].count("fit") == 3
    assert results(shared) == results(tmp_path / "alone")


def lose_a_training(cluster, shared, run):
    """Kill the second node once a training on it has kept an epoch; the name of the job."""
    raylet = cluster.nodes[1].all_processes["raylet"][0].process.pid

    def trained():
        here = [name for name in jobs(raylet).values() if "-fit-" in name]
        return [name for name in here if [*shared.glob(f"runs/{name.partition('-fit-')[2]}/fit/preempted-*.ckpt")]]

    wait(lambda: trained() or run.poll() is not None)
    assert run.poll() is None, run.communicate()[0]
    (name, *_) = trained()
    cluster.kill(cluster.nodes[1])
    return name


def begun(shared, name):
    return (shared / "logs" / f"{name}.log").read_text().count("Network:")


def trains(pid):
    """Whether a job has begun its work, for which it loads torch; one that waits for the lock of another is small."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE > 150 * 2**20
    except OSError:  # it has ended
        return False
