"""`study` on a cluster: each training and evaluation is a Ray task that runs its command, elsewhere after a loss.

The folder lies where all nodes see it. A job's process holds the job's lock there, and skips what is done; it is told
to stop, SIGTERM, when its task is cancelled or dies.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fundusseg.cluster.connection import require_ray
from fundusseg.cluster.resources import Resources
from fundusseg.studies.job_list import Job
from fundusseg.studies.job_runner import run_command

LOST = 255
"""Exit code of what was lost with its node."""

RETRIES = 10
"""Nodes that a job or a training may be lost with."""


class RayPool:
    """A pool of `fundusseg.studies.job_runner.run_jobs`.

    Args:
        folder: The study's.
        values: What stands for ``{name}`` in the commands, by name.
        resources: What each job takes.
        fit: How many run at a time.
    """

    def __init__(self, folder: Path, values: Mapping[str, str], resources: Resources, fit: int) -> None:
        self.folder, self.values, self.slots = folder, dict(values), fit
        self._threads = max(1, int(resources.cpus))
        self._run: Any = require_ray().remote(
            num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=RETRIES, scheduling_strategy="SPREAD"
        )(_run)
        self._tasks: list[Any] = []

    def start(self, job: Job) -> "Future[int]":
        """Begin a job; its exit code to come."""
        task = self._run.remote(job, self.folder, self.values, self._threads)
        self._tasks.append(task)
        ended: Future[int] = Future()
        task.future().add_done_callback(lambda answer: _hand_on(answer, ended))
        return ended

    def stop(self) -> None:
        """Tell what runs to save its work, and wait for its end."""
        ray = require_ray()
        _, running = ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0) if self._tasks else ([], [])
        for task in running:
            ray.cancel(task)  # raises KeyboardInterrupt in it, where its command is ended
        if running:
            ray.wait(running, num_returns=len(running))
        self._tasks = []


def _run(job: Job, folder: Path, values: Mapping[str, str], threads: int) -> int:
    """In the task: run the job's command."""
    return run_command(job, folder, values, threads)


def _hand_on(answer: "Future[int]", ended: "Future[int]") -> None:
    """An exit code as it is; our own error of a command that could not be started; of Ray's, that the job is lost."""
    error = answer.exception()
    if error is None:
        ended.set_result(answer.result())
    elif isinstance(error, OSError):
        ended.set_exception(error)
    else:
        ended.set_result(LOST)
