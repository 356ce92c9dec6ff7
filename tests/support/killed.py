"""Commands in processes of their own that are killed at random moments, and what their folders hold in the end."""

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from fundusseg.__main__ import VERBS
from fundusseg.atomic_file import file_digest

_context = multiprocessing.get_context("forkserver")
# Imported once, not for each of hundreds of processes.
_context.set_forkserver_preload(["tests.support.killed", *(f"fundusseg.{verb}" for verb in VERBS)])

LOG = "said.log"
"""What the command printed, in the folder where it ran."""


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        verb: ``predict``, ...
        arguments: Paths among them are relative to the folder where it runs.
        codes: Exit codes of a run that came to its end.
    """

    verb: str
    arguments: tuple[str, ...]
    codes: tuple[int, ...] = (0,)


def start(command: Command, folder: Path, largest: int | None = None) -> BaseProcess:
    """Begin a command in a folder, as the head of its own group.

    Args:
        command: The command.
        folder: Where it runs.
        largest: Bytes beyond which no file grows, as on a full disk; None for no limit.
    """
    folder.mkdir(exist_ok=True)
    process = _context.Process(target=_run, args=(command, folder, largest))
    process.start()
    return process


def _run(command: Command, folder: Path, largest: int | None) -> None:
    os.setsid()
    os.chdir(folder)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if largest is not None:  # what it says must not be cut with the rest
        log = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log).stdin.fileno()  # type: ignore[union-attr]
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    from fundusseg.class_paths import trust
    from fundusseg.cli import run

    trust(["tests"])
    torch.set_num_threads(1)
    if largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    sys.argv = [f"fundusseg {command.verb}", *command.arguments]
    run(import_module(f"fundusseg.{command.verb}").main)


def run_to_end(command: Command, folder: Path, seconds: float = 300) -> float:
    """Run a command to its end; the seconds that it took."""
    begun = time.monotonic()
    process = start(command, folder)
    process.join(seconds)
    if process.exitcode not in command.codes:
        kill(process, True)
        raise AssertionError(f"{command.verb} ended with {process.exitcode}: {(folder / LOG).read_text()[-2000:]}")
    return time.monotonic() - begun


def kill(process: BaseProcess, group: bool) -> bool:
    """SIGKILL, to the process or to its whole group; whether it was still at work."""
    working = process.exitcode is None
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid or 0, signal.SIGKILL)
        if group:
            os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return working


def killed(command: Command, folder: Path, times: int, longest: float, chance: random.Random) -> list[float]:
    """Kill a command at random moments and give it again, then let it come to its end.

    Args:
        command: The command.
        folder: Where it runs, each time.
        times: Kills at most; a run that has ended before its moment is the last.
        longest: Seconds that a run takes undisturbed.
        chance: Decides the moments, and whether the processes that it started are killed with it.

    Returns:
        Seconds after which it was killed.
    """
    moments: list[float] = []
    for _ in range(times):
        process = start(command, folder)
        begun, moment = time.monotonic(), chance.uniform(0.05, longest)
        process.join(moment)
        if not kill(process, group=True):
            break
        moments.append(time.monotonic() - begun)
    run_to_end(command, folder)
    return moments


def results(folder: Path, *passed_over: str) -> dict[str, str]:
    """Digest of every file below a folder by its path.

    Args:
        folder: The folder.
        passed_over: Patterns of paths that are no results: logs, times, TensorBoard's own files.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not any(name.match(pattern) or name.parts[0] == pattern for pattern in (LOG, *passed_over)):
            found[str(name)] = file_digest(path) if path.is_file() else "folder"
    return found


def unlike(one: dict[str, str], two: dict[str, str]) -> list[str]:
    """Paths that are in one alone, or whose content differs."""
    missing = [f"missing: {name}" for name in one.keys() - two.keys()]
    left = [f"left over: {name}" for name in two.keys() - one.keys()]
    return sorted(
        [*missing, *left, *(f"differs: {name}" for name in one.keys() & two.keys() if one[name] != two[name])]
    )
