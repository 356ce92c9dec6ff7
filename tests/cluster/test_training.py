"""A training whose processes Ray starts is that of one process, also where a node is lost under it or it is stopped."""

import os
import signal
import subprocess
import sys
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo listens otherwise on Windows")
def test_processes_of_ray_train_as_one(tmp_path):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    fit_here(tmp_path / "one")
    said = fit(tmp_path / "several", *FIT, "--cluster=local", f"--cluster_jobs={COUNT}", "--cluster_cpus", "0.5")
    assert said.count("Network:") == said.count("Model card:") == 1, "the first process speaks"
    assert_same_training(tmp_path / "one", tmp_path / "several")


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


@pytest.mark.skipif("FUNDUSSEG_BY_HAND" not in os.environ, reason="takes minutes; FUNDUSSEG_BY_HAND=1 runs it")
@pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")
def test_a_node_is_lost_and_the_run_is_stopped(tmp_path, nodes):
    fit_here(tmp_path / "one", epochs=40)
    cluster = nodes({}, {}, {})
    folder = tmp_path / "several"
    folder.mkdir()
    options = ("--cluster", cluster.address, "--cluster_jobs=2", "--cluster_cpus=3")

    def start():
        return subprocess.Popen(
            [sys.executable, *FIT, *arguments(folder, 40), *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kept():
        return [*folder.glob("runs/*/preempted-*.ckpt")]

    run = start()
    wait(lambda: kept() or run.poll() is not None)
    assert run.poll() is None, run.communicate()[0]
    run.send_signal(signal.SIGTERM)
    said = run.communicate()[0]
    assert run.returncode == 143 and "Stopped by SIGTERM and saved in" in said, said
    again = start()
    time.sleep(2)
    before = kept()[0].stat().st_mtime
    wait(lambda: kept()[0].stat().st_mtime > before or again.poll() is not None)
    cluster.kill(next(node for node in cluster.nodes[1:] if busy(node)))
    said = again.communicate()[0]
    assert again.returncode == 0, said
    assert said.count("A node was lost") == 1 and said.count("Continues the run in") == 2, said
    assert_same_training(tmp_path / "one", folder)
    assert [path.name for path in (folder / "runs").iterdir()] == ["version_0"]


def busy(node):
    """Whether a process of a training runs on a node."""
    return any("fundusseg.fit" in words(pid) for pid in below(node.all_processes["raylet"][0].process.pid))


def test_the_cluster_is_no_setting_of_a_training():
    with pytest.raises(ConfigurationError, match="--cluster_gpus without --cluster"):
        verb.main(["--cluster_gpus=1"])
    with pytest.raises(ConfigurationError, match="cluster_speed"):
        verb.main(["--cluster=auto", "--cluster_speed=1"])
