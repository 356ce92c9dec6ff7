"""`fit` on a cluster: an actor for each process, which finds the others by what torchrun would have told it.

Where a node is lost, all begin anew on the nodes that are left, from the last whole epoch. The head, which keeps the
cluster's books, is not to be lost: the command ends, and continues where it is given again to another cluster. The
folder of the run, the cache and the data lie where all nodes see them, under the paths of the command.
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
        resources: Where it runs, what each process takes, and how many there are: as many as fit, also after a loss,
            where it does not say.

    Raises:
        ConfigurationError: The cluster cannot be used, or has no room for so many processes, or no more.
    """
    with connected(resources), told_to_stop() as told:
        for losses in range(1 + RETRIES):
            with _processes(resources, told) as processes:
                if not processes:
                    return 128 + signal.SIGTERM
                if losses:
                    how = f"by {len(processes)} process{'es' if len(processes) > 1 else ''}"
                    console.print(
                        f"A node was lost: the training continues from its last whole epoch, {how}.", style="yellow"
                    )
                code = _train(processes, arguments, resources, told)
            if code != LOST or told.is_set():
                return code
    raise ConfigurationError(f"a training that lost its nodes {RETRIES + 1} times", "nodes that stay", "see Ray's logs")


@contextmanager
def _processes(resources: Resources, told: Event) -> Iterator[list[Any]]:
    """Actors for all processes at once: a part of a training would wait for the rest without end. None, if told."""
    ray = require_ray()
    from ray.util.placement_group import remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = _group(resources, told)
    try:
        actor = ray.remote(max_concurrency=2, num_cpus=resources.cpus, num_gpus=resources.gpus)(_Process)
        places = range(len(group.bundle_specs)) if group else ()
        yield [
            actor.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, rank)).remote() for rank in places
        ]
    finally:
        if group:
            remove_placement_group(group)  # ends its actors, whose processes follow them


def _group(resources: Resources, told: Event) -> Any:
    """The room of all processes, once it is there; None where we are told to stop meanwhile.

    Raises:
        ConfigurationError: The nodes that there are will never have it.
    """
    require_ray()
    from ray.util.placement_group import placement_group, remove_placement_group

    bundle = {name: value for name, value in (("CPU", resources.cpus), ("GPU", resources.gpus)) if value}
    while not told.is_set():
        count = resources.jobs or max(1, room(resources))
        group = placement_group([bundle] * count, strategy="PACK")
        while not told.is_set() and (fit := room(resources)) >= count:
            if group.wait(_LOOK):
                return group
        remove_placement_group(group)
        if not told.is_set() and (resources.jobs or not fit):  # else a node went that was counted on
            raise ConfigurationError(
                f"{count} processes of {resources.cpus:g} cores and {resources.gpus:g} GPUs",
                f"at most {fit}, for which there is room",
                "lower --cluster_jobs, or add nodes; the same command continues",
            )
    return None


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
