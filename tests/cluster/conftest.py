"""Nodes of a Ray cluster on this machine, on loopback alone; skipped with a reason where Ray is not installed."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from fundusseg.cluster.connection import require_ray

ROOT = Path(__file__).parents[2]
STORE = 100 * 2**20
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET


class Nodes:
    """A cluster of this machine's own, and its nodes."""

    def __init__(self, *env: dict[str, str]) -> None:
        require_ray()
        from ray.cluster_utils import Cluster

        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.cluster: Any = Cluster()
        self.nodes = [self.add(**one) for one in env]
        self.address: str = self.cluster.address

    def add(self, cpus: int = 4, **env: str) -> Any:
        return self.cluster.add_node(
            num_cpus=cpus,
            object_store_memory=STORE,
            include_dashboard=False,
            env_vars={**env},
        )

    def kill(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture
def alone() -> Iterator[None]:
    """A network of loopback alone: the nodes of a cluster listen on the machine's address, which is then that."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        pytest.skip("network namespaces are Linux's, and `ip` sets them up (Debian package iproute2)")
    before, libc = os.open("/proc/self/ns/net", os.O_RDONLY), ctypes.CDLL(None)
    if libc.unshare(_NEW_NETWORK) != 0:
        os.close(before)
        pytest.skip("a network namespace takes root's rights")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    yield
    libc.setns(before, _NEW_NETWORK)
    os.close(before)


@pytest.fixture(autouse=True)
def one_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Another process of the same run must not find this one's cluster by `auto`; what is not slow starts none."""
    if request.node.get_closest_marker("slow") is None:
        yield
        return
    with filelock.FileLock(Path(tempfile.gettempdir()) / "fundusseg-test-cluster.lock"):
        yield


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, alone: None) -> Iterator[Any]:
    """Makes clusters: ``nodes({...}, {...})`` is one of two nodes, each with its environment."""
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    made: list[Nodes] = []

    def make(*env: dict[str, str]) -> Nodes:
        made.append(Nodes(*env))
        return made[-1]

    yield make
    for one in made:
        one.shutdown()


def wait(condition: Any, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def below(pid: int) -> list[int]:
    """Process numbers of all that a process started, and what these did."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, todo = [], [pid]
    while todo:
        todo = [one for one, parent in parents.items() if parent in todo]
        found += todo
    return found


def words(pid: int) -> list[str]:
    """A process's command; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []
