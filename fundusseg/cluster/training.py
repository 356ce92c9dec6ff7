"""`fit` on a cluster: an actor for each process, which finds the others by what torchrun would have told it.

Where a node is lost, all are meant to begin anew elsewhere, which no test has shown yet:
the same command continues from the last whole epoch. The folder of the
run, the cache and the data lie where all nodes see them, under the paths of the command.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from fundusseg.cli import console
from fundusseg.cluster.connection import connected, require_ray, room
from fundusseg.cluster.resources import Resources
from fundusseg.cluster.study_pool import LOST, RETRIES
from fundusseg.errors import ConfigurationError
from fundusseg.studies.job_runner import told_to_stop

_LOOK = 0.5
_NOTICE = 30.0
"""Seconds from the first process that failed: the others fail too, or Ray notices by then that a node is lost."""


class _Process:
    """One process of a training. In Lightning's words it is a node's only one, as it sees its own GPUs alone."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None
        self._told: int | None = None

    def meeting_point(self) -> tuple[str, str]:
        """Address and free port at which the others meet this process."""
        address = require_ray().util.get_node_ip_address()
        with socket.create_server((address, 0)) as free:
            return address, str(free.getsockname()[1])

    def run(self, arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[str | int]:
        """Run `fit`; what it says, line by line, and its exit code in the end."""
        command = [sys.executable, "-m", "fundusseg.studies.child_process", str(os.getpid()), "fundusseg.fit"]
        with subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as self._child:
            if self._told is not None:
                self._child.send_signal(self._told)
            yield from (line for line in self._child.stdout or ())  # Ray sends to a generator; a file has no `send`
            yield self._child.wait()

    def tell(self, number: int) -> None:
        """Send the process a signal, now or once it is there."""
        self._told = number
        if self._child is not None:
            self._child.send_signal(number)


def fit_on_cluster(arguments: Sequence[str], resources: Resources) -> int:
    """Train; returns the exit code of the training's processes.

    Args:
        arguments: Of `fit`, without what names the cluster.
        resources: Where it runs, what each process takes, and how many there are.

    Raises:
        ConfigurationError: The cluster cannot be used, or has no room for so many processes.
    """
    with connected(resources) as fit, told_to_stop() as told:
        count = resources.jobs or fit
        for _ in range(1 + RETRIES):
            with _processes(count, resources, told) as processes:
                if told.is_set():
                    return 128 + signal.SIGTERM
                code = _train(processes, arguments, resources, told)
            if code != LOST or told.is_set():
                return code
            console.print("A node was lost: the training continues from its last whole epoch.", style="yellow")
    raise ConfigurationError(f"a training that lost its nodes {RETRIES + 1} times", "nodes that stay", "see Ray's logs")


@contextmanager
def _processes(count: int, resources: Resources, told: Event) -> Iterator[list[Any]]:
    """Actors for all processes at once or for none: a part of a training would wait for the rest without end."""
    ray = require_ray()
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    takes = {"num_cpus": resources.cpus, "num_gpus": resources.gpus}
    bundle = {name: value for name, value in (("CPU", resources.cpus), ("GPU", resources.gpus)) if value}
    group = placement_group([bundle] * count, strategy="PACK")
    try:
        ready = False
        while not (ready or told.is_set()):
            if (fit := room(resources)) < count:
                raise ConfigurationError(
                    f"{count} processes of {resources.cpus:g} cores and {resources.gpus:g} GPUs",
                    f"at most {fit}, for which there is room",
                    "lower --cluster_jobs, or add nodes; the same command continues",
                )
            ready = group.wait(_LOOK)
        actor = ray.remote(max_concurrency=2, **takes)(_Process)
        places = [PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank) for rank in range(count)]
        yield [actor.options(scheduling_strategy=place).remote() for place in places]
    finally:
        remove_placement_group(group)  # ends its actors, whose processes follow them


def _train(processes: Sequence[Any], arguments: Sequence[str], resources: Resources, told: Event) -> int:
    """Run all processes to their end; the exit code, `LOST` where a node went."""
    ray = require_ray()
    try:
        address, port = ray.get(processes[0].meeting_point.remote())
    except ray.exceptions.RayActorError:
        return LOST
    same = {"WORLD_SIZE": str(len(processes)), "MASTER_ADDR": address, "MASTER_PORT": port}
    same["OMP_NUM_THREADS"] = str(max(1, int(resources.cpus)))
    if not resources.gpus:
        same["CUDA_VISIBLE_DEVICES"] = ""  # else `auto` would take a GPU that belongs to another job
    with ThreadPoolExecutor(len(processes)) as pool:
        ends = [
            pool.submit(_follow, process, arguments, same | _of_rank(rank), heard=rank == 0)
            for rank, process in enumerate(processes)
        ]
        _attend(processes, ends, told)
    answers = [end.result() for end in ends]
    codes = [code for code, _ in answers]
    if LOST in codes:
        return LOST
    for said in sorted({last for code, last in answers if code > 0} - {answers[0][1]}):
        console.print(f"In another process: {said}", style="red", soft_wrap=True, markup=False, highlight=False)
    return codes[0] or max(codes, key=abs)


def _attend(processes: Sequence[Any], ends: Sequence["Future[tuple[int, str]]"], told: Event) -> None:
    """Wait for all; hand on that they are told to stop, and end those that wait for one that has failed."""
    failed, stopped = 0.0, False
    while wait(ends, _LOOK).not_done:
        if told.is_set() and not stopped:
            stopped = True
            _tell(processes, signal.SIGTERM)
        if not failed and any(end.done() and (end.exception() or end.result()[0]) for end in ends):
            failed = time.monotonic()
        if failed and time.monotonic() - failed > _NOTICE:
            _tell(processes, signal.SIGKILL)


def _tell(processes: Sequence[Any], number: int) -> None:
    for process in processes:
        process.tell.remote(number)


def _follow(process: Any, arguments: Sequence[str], environment: dict[str, str], heard: bool) -> tuple[int, str]:
    """Print what the first process says, as the others say the same; the exit code, and the last line."""
    ray = require_ray()
    folder, code, last = Path.cwd(), LOST, ""
    try:
        for answer in process.run.options(num_returns="streaming").remote(arguments, folder, environment):
            said = ray.get(answer)
            if isinstance(said, int):
                code = said
                continue
            last = said.strip() or last
            if heard:
                sys.stdout.write(said)
                sys.stdout.flush()
    except ray.exceptions.RayTaskError as error:
        if not isinstance(error.cause, OSError):
            raise
        raise ConfigurationError(
            f"a training that could not be started on a node ({error.cause})",
            f"the folder {folder} on every node",
            "run it where all see it",
        ) from error
    except ray.exceptions.RayError:
        return LOST, last
    return code, last


def _of_rank(rank: int) -> dict[str, str]:
    """What torch.distributed and Lightning read of torchrun's environment: of one process on each of several nodes."""
    of_node = dict.fromkeys(("RANK", "GROUP_RANK", "NODE_RANK"), str(rank))
    return {
        **of_node,
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "TORCHELASTIC_RUN_ID": "ray",
        "PYTHONUNBUFFERED": "1",
    }
