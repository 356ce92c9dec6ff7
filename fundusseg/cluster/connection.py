"""A connection to Ray: started here or joined, quiet, without usage statistics, and checked before anything runs."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fundusseg import __version__
from fundusseg.cluster.resources import Resources, require_installed
from fundusseg.errors import ConfigurationError

STORE = 300 * 2**20
"""Bytes of the object store that we start: names and rows go through it, and one bundle."""

TICKETS = 4
"""Least ``num_cpus`` of a Ray that we start: tickets, not cores, of which Ray's own stages take some."""

_PATIENCE = 10.0
"""Seconds that a cluster's head has to answer."""


def require_ray() -> Any:
    """The library.

    Raises:
        ConfigurationError: It is not installed.
    """
    require_installed()
    # Read when ray is imported: no statistics leave the machine, and what starts here listens on loopback alone.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    return ray


@contextmanager
def connected(resources: Resources) -> Iterator[int]:
    """Connect, check the nodes, and give back how many jobs fit at a time; disconnect in the end.

    Raises:
        ConfigurationError: Ray is missing, the address does not answer, no node has what a job takes, or a node has
            another version of the package or none.
    """
    ray = require_ray()
    own = resources.address == "local"
    if not own and ":" in resources.address:
        _require_answer(resources.address)
    options: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
    if own:
        options |= {"address": "local", "num_cpus": max(TICKETS, os.cpu_count() or 1), "object_store_memory": STORE}
        options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    else:
        options["address"] = resources.address
    try:
        with _silent():
            ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError, ray.exceptions.RayError) as error:
        raise _unreachable(resources.address, error) from error
    try:
        nodes = _with_our_version(ray, _alive(ray))
        _require_room(nodes, resources)
        fit = max(1, _fitting(nodes, resources))
        yield min(fit, resources.jobs or fit)
    finally:
        ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what Ray's own code writes about its settings from the terminal; errors are raised."""
    before = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def _require_answer(address: str) -> None:
    """Ask the port first: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ConfigurationError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigurationError(
        f"a Ray cluster that cannot be reached at {address!r} ({lines[0].rstrip('.')})",
        "local, auto on a machine of a cluster, or HOST:PORT of its head",
        "start one with `ray start --head`, or correct --cluster",
    )


def _require_room(nodes: list[dict[str, Any]], resources: Resources) -> None:
    if any(_fits(node, resources) for node in nodes):
        return
    largest = {name: max((node["Resources"].get(name, 0.0) for node in nodes), default=0.0) for name in ("CPU", "GPU")}
    raise ConfigurationError(
        f"jobs of {resources.cpus:g} cores and {resources.gpus:g} GPUs, which no node has",
        f"at most {largest['CPU']:g} cores and {largest['GPU']:g} GPUs, the most of any node here",
        "lower --cluster_cpus or --cluster_gpus, or add such a node",
    )


def _fits(node: dict[str, Any], resources: Resources) -> bool:
    has: dict[str, float] = node["Resources"]
    return has.get("CPU", 0.0) >= resources.cpus and has.get("GPU", 0.0) >= resources.gpus


def room(resources: Resources) -> int:
    """How many jobs fit at a time on the nodes that there are now, were they idle."""
    return _fitting(_alive(require_ray()), resources)


def _alive(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _fitting(nodes: list[dict[str, Any]], resources: Resources) -> int:
    """How many jobs fit at a time; of a Ray that we started, the cores count, not the tickets."""
    cores = os.cpu_count() if resources.address == "local" else None
    total = 0
    for node in (node for node in nodes if _fits(node, resources)):
        shares = [(cores or node["Resources"]["CPU"]) / resources.cpus]
        if resources.gpus:
            shares.append(node["Resources"]["GPU"] / resources.gpus)
        total += int(min(shares))
    return total


def _with_our_version(ray: Any, nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The nodes that answer; one whose package is another is refused: its masks would be another's beside ours."""

    def version() -> str:
        # By value to the node, as a function that is local: the node may have no package of ours to find it in.
        try:
            import fundusseg
        except ImportError:
            return ""
        return str(fundusseg.__version__)

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0)(version)
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    answers = [ask.options(scheduling_strategy=place).remote() for place in places]
    there = []
    for node, answer in zip(nodes, answers, strict=True):
        try:
            other = ray.get(answer)
        except ray.exceptions.RayError:  # lost a moment ago, and not known to be yet
            continue
        there.append(node)
        if other != __version__:
            raise ConfigurationError(
                f"node {node['NodeManagerHostname']} with {f'fundusseg {other}' if other else 'no fundusseg'}",
                f"fundusseg {__version__}, as here, on every node",
                "install the same version everywhere",
            )
    return there
