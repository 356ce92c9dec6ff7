"""A training whose processes Ray starts is that of one process, also where a node is lost under it or it is stopped."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fundusseg import fit as verb
from fundusseg.cluster import training
from fundusseg.errors import ConfigurationError
from tests.cluster.conftest import ROOT, below, wait, words
from tests.support.several_processes import arguments, assert_same_training, fit, fit_here

COUNT = os.environ.get("FUNDUSSEG_PROCESSES", "2")
"""4 are run by hand."""

FIT = ("-m", "fundusseg.fit")
BY_HAND = pytest.mark.skipif("FUNDUSSEG_BY_HAND" not in os.environ, reason="takes minutes; FUNDUSSEG_BY_HAND=1 runs it")
TOO_FEW = (
    "got 2 processes of 3 cores and 0 GPUs; expected at most 1, for which there is room; "
    "lower --cluster_jobs, or add nodes; the same command continues."
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo listens otherwise on Windows")
def test_processes_of_ray_train_as_one(tmp_path):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    fit_here(tmp_path / "one")
    said = fit(tmp_path / "several", *FIT, "--cluster=local", f"--cluster_jobs={COUNT}", "--cluster_cpus", "0.5")
    assert said.count("Network:") == said.count("Model card:") == 1, "the first process speaks"
    assert_same_training(tmp_path / "one", tmp_path / "several")


STANDS_IN = """
import os, time
from pathlib import Path
if "RANK" in os.environ:
    place = Path(os.environ["FUNDUSSEG_TEST_PLACE"])
    if os.environ["RANK"] == "1" and (place / "fails").exists():
        print("got no folder of photographs", flush=True)
        os._exit(2)
    place.joinpath("{WORLD_SIZE}-{RANK}".format(**os.environ)).touch()
    while not (place / "over").exists():
        time.sleep(0.05)
    print("trained", flush=True)
    os._exit(0)
"""
"""In place of a training, which takes seconds to load: says that it is there and waits, or ends with what is wrong."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")
def test_a_process_that_fails_and_a_node_that_is_lost(tmp_path, nodes, monkeypatch, capsys):
    (tmp_path / "sitecustomize.py").write_text(STANDS_IN)
    there = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "FUNDUSSEG_TEST_PLACE": str(tmp_path)}
    cluster = nodes(there, there)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_NOTICE", 1.0)
    command = [f"--cluster={cluster.address}", "--cluster_cpus=3"]
    (tmp_path / "fails").touch()
    assert verb.main(command) not in (0, training.LOST)
    assert capsys.readouterr().out.count("In another process: got no folder of photographs") == 1
    (tmp_path / "fails").unlink()

    def lose_a_node(goes_on):
        wait(lambda: {path.name for path in tmp_path.glob("2-*")} == {"2-0", "2-1"})
        cluster.kill(cluster.nodes[-1])
        if goes_on:
            wait((tmp_path / "1-0").exists)
            (tmp_path / "over").touch()

    def begin(goes_on):
        for path in (*tmp_path.glob("?-?"), tmp_path / "over"):
            path.unlink(missing_ok=True)
        loser = threading.Thread(target=lose_a_node, args=(goes_on,))
        loser.start()
        return loser

    loser = begin(goes_on=True)
    assert verb.main(command) == 0, "as many processes as fit"
    loser.join()
    said = capsys.readouterr().out
    assert said.count("A node was lost: the training continues from its last whole epoch, by 1 process.") == 1
    assert said.count("trained") == 1
    cluster.nodes.append(cluster.add(**there))
    loser = begin(goes_on=False)
    with pytest.raises(ConfigurationError) as refused:
        verb.main([*command, "--cluster_jobs=2"])
    loser.join()
    (tmp_path / "over").touch()  # for what was left on the lost nodes
    assert str(refused.value) == TOO_FEW and "trained" not in capsys.readouterr().out


@BY_HAND
@pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")
def test_a_node_is_lost_and_the_run_is_stopped(tmp_path, nodes):
    fit_here(tmp_path / "one", epochs=40)
    cluster = nodes({}, {}, {})
    folder = tmp_path / "several"
    folder.mkdir()
    options = ("--cluster", cluster.address, "--cluster_jobs=2", "--cluster_cpus=3")
    run = start(folder, *options)
    wait(lambda: kept(folder) or run.poll() is not None)
    assert run.poll() is None, run.communicate()[0]
    run.send_signal(signal.SIGTERM)
    said = run.communicate()[0]
    assert run.returncode == 143 and "Stopped by SIGTERM and saved in" in said, said
    again = start(folder, *options)
    time.sleep(2)
    before = kept(folder)[0].stat().st_mtime
    wait(lambda: kept(folder)[0].stat().st_mtime > before or again.poll() is not None)
    cluster.kill(next(node for node in cluster.nodes[1:] if busy(node)))
    said = again.communicate()[0]
    assert again.returncode == 0, said
    assert said.count("A node was lost") == 1 and said.count("Continues the run in") == 2, said
    assert_same_training(tmp_path / "one", folder)
    assert [path.name for path in (folder / "runs").iterdir()] == ["version_0"]


@BY_HAND
@pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")
def test_fewer_nodes_are_left_than_the_training_began_on(tmp_path, nodes):
    """As many processes as fit go on by themselves; a number that was asked for is lowered by who asked."""
    fit_here(tmp_path / "one", epochs=40)
    cluster = nodes({}, {})
    options = ("--cluster", cluster.address, "--cluster_cpus=3")

    def lose_a_node(folder, *more):
        folder.mkdir()
        run = start(folder, *options, *more)
        wait(lambda: kept(folder) or run.poll() is not None)
        assert run.poll() is None, run.communicate()[0]
        cluster.kill(cluster.nodes[-1])
        return run.communicate()[0], run.returncode

    said, code = lose_a_node(tmp_path / "fitting")
    assert code == 0, said
    assert said.count("Network:") == 2 and said.count("Continues the run in") == 1, said
    assert said.count("A node was lost: the training continues from its last whole epoch, by 1 process.") == 1
    assert_same_training(tmp_path / "one", tmp_path / "fitting")
    cluster.nodes.append(cluster.add())
    said, code = lose_a_node(tmp_path / "asked", "--cluster_jobs=2")
    assert code == 2, said
    assert said.rstrip().endswith(TOO_FEW), said
    again = start(tmp_path / "asked", *options, "--cluster_jobs=1")
    said = again.communicate()[0]
    assert again.returncode == 0 and said.count("Continues the run in") == 1, said
    assert_same_training(tmp_path / "one", tmp_path / "asked")


def start(folder, *options):
    return subprocess.Popen(
        [sys.executable, *FIT, *arguments(folder, 40), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kept(folder):
    """What an epoch leaves for the same command."""
    return [*folder.glob("runs/*/preempted-*.ckpt")]


def busy(node):
    """Whether a process of a training runs on a node."""
    return any("fundusseg.fit" in words(pid) for pid in below(node.all_processes["raylet"][0].process.pid))


def test_the_cluster_is_no_setting_of_a_training():
    with pytest.raises(ConfigurationError, match="--cluster_gpus without --cluster"):
        verb.main(["--cluster_gpus=1"])
    with pytest.raises(ConfigurationError, match="cluster_speed"):
        verb.main(["--cluster=auto", "--cluster_speed=1"])
