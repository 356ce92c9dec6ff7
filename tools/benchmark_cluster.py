"""What Ray costs on one machine: start, memory, and the rate of `predict` and of short jobs beside a run without it.

    python tools/benchmark_cluster.py PHOTOGRAPHS --checkpoint fundus.bundle --actors 1 2 4 --rounds 2 --jobs 12

Each round runs `predict` over the photographs in one process, then with each number of actors, and the same over a
single photograph, which tells the start; then as many short jobs, each a fresh Python that prints a command's help, by
two local workers and by two of Ray. The rounds follow one another, so that what else the machine does falls on all.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from fundusseg.cluster.connection import connected
from fundusseg.cluster.resources import Resources
from fundusseg.cluster.study_pool import RayPool
from fundusseg.inference.photograph_list import find_photographs
from fundusseg.studies.job_list import Job, JobList
from fundusseg.studies.job_runner import LocalPool, run_jobs

ENGINE = ("gcs_server", "raylet", "monitor", "dashboard", "agent", "log_monitor")
"""What Ray's own processes are called by."""


def main() -> None:
    """Time, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--trust", default="fundusseg")
    parser.add_argument("--actors", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=0)
    given = parser.parse_args()
    count = len(find_photographs([str(given.photographs)], Path("nowhere")).photographs)
    one = str(find_photographs([str(given.photographs)], Path("nowhere")).photographs[0].path)
    seconds: dict[str, list[float]] = defaultdict(list)
    memory: list[float] = []
    for _ in range(given.rounds):
        for actors in (0, *given.actors):
            name = f"{actors} actors" if actors else "one process"
            for what, label in ((one, f"{name}, 1 photograph"), (str(given.photographs), f"{name}, {count}")):
                seconds[label].append(predict(what, given, actors, memory))
        if given.jobs:
            for pool in ("local", "Ray"):
                seconds[f"{given.jobs} jobs by two workers, {pool}"].append(study(given.jobs, pool == "Ray"))
    for name, each in seconds.items():
        print(f"{name}: {statistics.median(each):.1f} s ({', '.join(f'{one:.1f}' for one in each)})")
    for name in ("one process", *(f"{actors} actors" for actors in given.actors)):
        more = statistics.median(seconds[f"{name}, {count}"]) - statistics.median(seconds[f"{name}, 1 photograph"])
        print(f"{name}: {(count - 1) / more:.1f} photographs a second once it runs")
    if memory:
        print(f"Ray's own processes: {max(memory) / 2**20:.0f} MB resident at most")


def predict(what: str, given: argparse.Namespace, actors: int, memory: list[float]) -> float:
    """Seconds of a run; notes what Ray's own processes take."""
    with tempfile.TemporaryDirectory() as output:
        options = ["--checkpoint", given.checkpoint, "--trust", given.trust, "--output", output]
        if actors:
            share = min(1.0, (os.cpu_count() or 1) / actors)
            options += ["--cluster=local", f"--cluster_jobs={actors}", f"--cluster_cpus={share}"]
        begun, over = time.monotonic(), threading.Event()
        process = subprocess.Popen(
            [sys.executable, "-m", "fundusseg.predict", what, *options], stdout=subprocess.DEVNULL
        )
        watcher = threading.Thread(target=watch, args=(process.pid, memory, over))
        if actors:
            watcher.start()
        code = process.wait()
        taken = time.monotonic() - begun
        over.set()
        if code != 0:
            raise SystemExit(f"predict ended with {code}")
        if actors:
            watcher.join()
    return taken


def watch(pid: int, memory: list[float], over: threading.Event) -> None:
    """Note every half second what the processes of Ray below another one hold."""
    while not over.wait(0.5):
        parents, sizes = {}, {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                name = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                pages = int((path / "statm").read_text().split()[1])
            except OSError:  # it has ended
                continue
            if any(word in name for word in ENGINE) and not name.startswith("ray::"):
                sizes[int(path.name)] = pages * os.sysconf("SC_PAGE_SIZE")
        memory.append(float(sum(size for one, size in sizes.items() if is_below(one, pid, parents))))


def is_below(one: int, pid: int, parents: dict[int, int]) -> bool:
    """Whether a process was started by another, or by what that started."""
    while one in parents and one != pid:
        one = parents[one]
    return one == pid


def study(count: int, on_ray: bool) -> float:
    """Seconds of as many jobs, the engine's start and end included."""
    with tempfile.TemporaryDirectory() as place:
        folder, begun = Path(place), time.monotonic()
        jobs = JobList(folder, [Job(f"{number:02}", ("fundusseg.predict", "--help")) for number in range(count)])
        if on_ray:
            resources = Resources("local", jobs=2)
            with connected(resources) as fit:
                run_jobs(jobs, RayPool(folder, {}, resources, fit), lambda *_: None)
        else:
            run_jobs(jobs, LocalPool(folder, 2, {}), lambda *_: None)
        if jobs.left() or jobs.failed:
            raise SystemExit(f"jobs that failed: {jobs.failed}")
        return time.monotonic() - begun


if __name__ == "__main__":
    main()
