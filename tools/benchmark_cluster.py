"""What Ray costs on one machine: start, memory, and the rate of `predict` and of short trainings beside none of it.

    python tools/benchmark_cluster.py PHOTOGRAPHS --checkpoint fundus.bundle --actors 1 2 4 --rounds 3 --jobs 12
    python tools/benchmark_cluster.py PHOTOGRAPHS --make 2000 --rounds 3

A round runs `predict` over one photograph, which tells the start, in one process and with Ray; over all of them in one
process and with each number of actors; then as many trainings of a few seconds, each `fit` in a process of its own, by
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
from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import write_png
from fundusseg.inference.photograph_list import find_photographs
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.studies.job_list import Job, JobList
from fundusseg.studies.job_runner import LocalPool, run_jobs

ENGINE = ("gcs_server", "raylet", "monitor", "dashboard", "agent", "log_monitor")
"""What Ray's own processes are called by."""

TRAINING = (
    "fundusseg.fit",
    "--data.image_size=32",
    "--data.batch_size=4",
    "--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {count: 20, size: 96}}]",
    "--model.model=fundusseg.models.UNet",
    "--model.model.start_channels=4",
    "--model.model.depth=2",
    "--trainer.max_epochs=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.accelerator=cpu",
    "--trainer.logger=TensorBoardLogger",
)
"""A training of a few steps: most of it is Python that starts."""


def main() -> None:
    """Time, and print the least, the median and the most of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--make", type=int, default=0, help="draw so many there first, of 128 x 128 pixels")
    parser.add_argument("--checkpoint", default=str(pretrained_bundle()))
    parser.add_argument("--trust", default="fundusseg")
    parser.add_argument("--actors", nargs="*", type=int, default=[1, 2], help="none leaves predict out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=0, help="trainings; 0 leaves them out")
    given = parser.parse_args()
    if given.make:
        draw(given.photographs, given.make)
    photographs = find_photographs([str(given.photographs)], Path("nowhere")).photographs
    one, every = (str(photographs[0].path), 1), (str(given.photographs), len(photographs))
    todo = (
        [(one, 0), (one, given.actors[0]), *((every, actors) for actors in (0, *given.actors))] if given.actors else []
    )
    seconds: dict[str, list[float]] = defaultdict(list)
    memory: list[float] = []
    for _ in range(given.rounds):
        for (what, count), actors in todo:
            seconds[label(actors, count)].append(predict(what, given, actors, memory))
            show(label(actors, count), seconds)
        for pool in ("local", "Ray") if given.jobs else ():
            name = f"{given.jobs} trainings by two workers, {pool}"
            seconds[name].append(study(given.jobs, pool == "Ray"))
            show(name, seconds)
    print()
    for name, each in seconds.items():
        least, middle, most = min(each), statistics.median(each), max(each)
        print(f"{name}: {least:.1f} s, {middle:.1f} s, {most:.1f} s (least, median, most of {len(each)})")
    for actors in (0, *given.actors) if given.actors else ():
        start = statistics.median(seconds[label(min(actors, given.actors[0]), 1)])
        more = statistics.median(seconds[label(actors, every[1])]) - start
        print(f"{label(actors, every[1])}: {(every[1] - 1) / more:.1f} a second once it runs")
    if memory:
        print(f"Ray's own processes: {max(memory) / 2**20:.0f} MB resident at most")


def label(actors: int, count: int) -> str:
    """What is timed."""
    # Of one photograph there is one block, whatever the actors.
    who = "one process" if not actors else "Ray" if count == 1 else f"Ray, {actors} actors"
    return f"{count} photographs, {who}" if count > 1 else f"1 photograph, {who}"


def show(name: str, seconds: dict[str, list[float]]) -> None:
    """Say what was timed last."""
    print(f"round {len(seconds[name])}: {name}: {seconds[name][-1]:.1f} s", flush=True)


def draw(folder: Path, count: int) -> None:
    """Draw photographs of known discs."""
    folder.mkdir(parents=True, exist_ok=True)
    phantom = Phantom(count=count, size=128)
    for number, record in enumerate(phantom.index()):
        write_png(folder / f"{number:06}.png", phantom.load(record).image)


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
        if code not in (0, 1):  # 1: a drawn photograph may hold no disc for the network
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
    """Seconds of as many trainings, the engine's start and end included."""
    with tempfile.TemporaryDirectory() as place:
        folder, begun = Path(place), time.monotonic()
        own = [("--trainer.logger.init_args.save_dir", f"{place}/runs/{number:02}") for number in range(count)]
        jobs = JobList(folder, [Job(f"{n:02}", (*TRAINING, "--data.cache_dir", place, *own[n])) for n in range(count)])
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
