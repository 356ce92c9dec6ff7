"""A training whose processes Ray starts is that of one process, also where a node is lost under it or it is stopped."""

import os
import re
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
    assert f"Starting with {COUNT} processes" in said
    assert_same_training(tmp_path / "one", tmp_path / "several")


WAITS = """
import os, time
from pathlib import Path
if "RANK" in os.environ:
    place = Path(os.environ["FUNDUSSEG_TEST_PLACE"])
    place.joinpath("{WORLD_SIZE}-{RANK}".format(**os.environ)).touch()
    while not place.joinpath("over").exists():
        time.sleep(0.05)
    print("trained", flush=True)
    os._exit(0)
"""
"""In place of a training, which takes seconds to load: says that it is there, and waits."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")
@pytest.mark.parametrize("asked", [(), ("--cluster_jobs=2",)])
def test_a_lost_node_begins_all_anew_on_those_that_are_left(tmp_path, nodes, monkeypatch, capsys, asked):
    (tmp_path / "sitecustomize.py").write_text(WAITS)
    there = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "FUNDUSSEG_TEST_PLACE": str(tmp_path)}
    cluster = nodes(there, there)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_NOTICE", 1.0)

    def lose_a_node():
        wait(lambda: len([*tmp_path.glob("2-*")]) == 2)
        cluster.kill(cluster.nodes[1])
        if not asked:
            wait((tmp_path / "1-0").exists)
            (tmp_path / "over").touch()

    thread = threading.Thread(target=lose_a_node)
    thread.start()
    try:
        if asked:
            with pytest.raises(ConfigurationError, match=re.escape(TOO_FEW.removesuffix("."))):
                verb.main([f"--cluster={cluster.address}", "--cluster_cpus=3", *asked])
        else:
            assert verb.main([f"--cluster={cluster.address}", "--cluster_cpus=3"]) == 0
    finally:
        thread.join()
        (tmp_path / "over").touch()  # for what the lost node left
    said = capsys.readouterr().out
    assert ("A node was lost: the training continues from its last whole epoch, by 1 process." in said) == (not asked)
    assert said.count("trained") == (not asked)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo listens otherwise on Windows")
def test_what_stops_another_process_than_the_first_is_said(tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    monkeypatch.setattr(training, "_NOTICE", 1.0)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if os.environ.get('RANK') == '1':\n"
        "    print('got no folder of photographs', flush=True)\n"
        "    os._exit(2)\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.chdir(tmp_path)
    code = verb.main([*arguments(tmp_path / "several", 1), "--cluster=local", "--cluster_jobs=2", "--cluster_cpus=0.5"])
    assert code not in (0, training.LOST)
    assert capsys.readouterr().out.count("In another process: got no folder of photographs") == 1


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
    assert "Starting with 2 processes" in said and "Continues the run in" in said
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
