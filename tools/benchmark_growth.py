"""What grows with the number of photographs or trainings: seconds and memory at 1, 10 and 100 times.

    python tools/benchmark_growth.py evaluation 1000 10000 100000
    python tools/benchmark_growth.py study 2 20 200
    python tools/benchmark_growth.py prepare 100 1000 10000 --folder PHOTOGRAPHS

Each number is measured in a process of its own, whose peak memory is printed beside its seconds.

- evaluation: the estimates with their intervals, and the files, of as many scored photographs of four sources, two eyes
  a patient. Their numbers are those of `compare` for drawn discs and cups, each a little different.
- study: the rows of as many trainings gathered and published, each of 400 test photographs of four sources. Nine
  things are trained on (each source, all, all but one), again and again with other seeds.
- prepare: as many photographs of 1600 x 1600 prepared by the command, and opened again for a training, which looks for
  duplicates. They are drawn at 256 x 256, enlarged, and lie in --folder, where they are found again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Folder, Phantom
from fundusseg.evaluation.dictionaries import write_dictionaries
from fundusseg.evaluation.estimates import make_estimates
from fundusseg.evaluation.tables import markdown_tables
from fundusseg.measures.calibration_error import Reliability
from fundusseg.measures.picture_scores import compare
from fundusseg.reports.files import write_csv
from fundusseg.sample import CUP, DISC
from fundusseg.studies.collect import collect_rows
from fundusseg.studies.publication import publish_study
from fundusseg.studies.trainings import trainings

SOURCES = ("one", "two", "three", "four")
DRAWN, SIDE = 256, 1600
TESTED = 400  # photographs of each training of a study


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long it took, and of that what this process computed."""
    start, computed = time.perf_counter(), time.process_time()
    yield
    taken, computed = time.perf_counter() - start, time.process_time() - computed
    print(f"  {what:36}{taken:>9.2f} s, computing {computed:.2f} s", flush=True)


def scored_rows(count: int, seed: int = 0) -> tuple[list[dict[str, Any]], list[dict[str, Reliability]]]:
    """Rows of scored photographs, and their pixels by probability."""
    random = np.random.default_rng(seed)
    known = []
    for sample in Phantom(count=40, size=96):
        truth = {region: sample.of(region)[0].mask for region in (DISC, CUP)}
        labels = (np.roll(truth[DISC], 2, 0).astype(np.uint8) + np.roll(truth[CUP], 1, 1)).clip(max=2)
        pixels = {r: Reliability.of(mask * np.float32(0.9), mask) for r, mask in truth.items()}
        known.append((compare(labels, truth, eye=sample.record.eye), pixels))
    rows, calibration = [], []
    for number in range(count):
        numbers, pixels = known[number % len(known)]
        noise = random.normal(0, 0.01, len(numbers)).tolist()
        row = {"protocol": "automatic_roi", "method": "model", "source": SOURCES[number % 4], "name": f"{number}"}
        row |= {"patient": f"{number // 8}", "diagnosis": "glaucoma" if number % 3 else "healthy", "eye": "OD"}
        row |= {"seen": "no", "labelled": "disc cup", "verdict": "ok", "error": ""}
        rows.append(row | {name: value + more for (name, value), more in zip(numbers.items(), noise, strict=True)})
        calibration.append(pixels)
    return rows, calibration


def evaluation(count: int, folder: Path) -> None:
    """Estimates and files of scored photographs."""
    with timed("rows made up"):
        rows, calibration = scored_rows(count)
    with timed("estimates with intervals"):
        estimates = make_estimates(rows, calibration)
    with timed("files"):
        write_csv(rows, folder / "images.csv")
        write_dictionaries(folder, {})
        (folder / "table.md").write_text(markdown_tables(estimates))
    print(f"  {len(estimates)} estimates")


def study(count: int, folder: Path) -> None:
    """Gather and publish the rows of trainings."""
    chosen = trainings(SOURCES, ("each", "all", "all_but_one"), [0], range(count))[:count]
    for number, training in enumerate(chosen):
        write_csv(scored_rows(TESTED, number)[0], folder / "runs" / training.key / "evaluation" / "images.csv")
    with timed("gathered"):
        rows = collect_rows(folder / "runs", chosen)
    with timed("published"):
        tables = publish_study(rows, {}, {}, folder / "results")
    print(f"  {len(rows)} rows, {sum(len(table.comparisons) for table in tables)} comparisons")


def draw(folder: Path, numbers: range) -> None:
    """Draw photographs that are not there yet, with masks, in the layout of `Folder`."""
    phantoms = Phantom(count=numbers.stop, size=DRAWN)
    for number in numbers:
        image, mask = folder / "images" / f"{number:06}.jpg", folder / "masks" / f"{number:06}.png"
        if mask.exists():
            continue
        sample = phantoms[number]
        noise = np.random.default_rng(number).normal(0, 3, (SIDE, SIDE, 1)).astype(np.float32)
        large = cv2.resize(sample.image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(image), (large + noise).clip(0, 255).astype(np.uint8)[..., ::-1])
        labels = sample.of(DISC)[0].mask.astype(np.uint8) + sample.of(CUP)[0].mask
        cv2.imwrite(str(mask), cv2.resize(labels, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST))


def photographs(folder: Path, count: int) -> Path:
    """A folder of as many; drawn by all cores where it is not there."""
    place = folder / f"{count}"
    for part in ("images", "masks"):
        (place / part).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(draw, place), (range(n, min(n + 50, count)) for n in range(0, count, 50))))
    return place


def prepare(count: int, folder: Path) -> None:
    """Prepare photographs by the command, and open them again."""
    with timed("drawn"):
        place = photographs(folder, count)
    with tempfile.TemporaryDirectory() as output:
        section = json.dumps([{"class_path": "fundusseg.datasets.Folder", "init_args": {"root": str(place)}}])
        own = [f"--data.datasets={section}", f"--data.cache_dir={output}/cache", f"--output={output}/out"]
        own.append("--data.drop_duplicates_from=[folder]")  # drawn fundi are more alike than eyes
        with timed("prepared"):
            run = subprocess.run([sys.executable, "-m", "fundusseg.prepare", *own], capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stderr[-2000:])
        print("  " + "\n  ".join(run.stdout.splitlines()[-3:]))
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"  {'memory of the command':36}{largest / 2**10:>9.0f} MiB")
        for name in ("first", "second"):
            with timed(f"opened for a training, the {name} time"):
                FundusDataModule([Folder(place)], cache_dir=f"{output}/cache", drop_duplicates_from=["folder"]).setup()


def main() -> int:
    """Measure what was asked for; returns the exit code."""
    parts: dict[str, Callable[[int, Path], None]] = {"evaluation": evaluation, "study": study, "prepare": prepare}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=parts)
    parser.add_argument("counts", nargs="+", type=int)
    parser.add_argument("--folder", type=Path, help="where photographs are kept; a folder that is removed by default")
    asked = parser.parse_args()
    if len(asked.counts) > 1:
        kept = ["--folder", str(asked.folder)] if asked.folder else []
        codes = [subprocess.run([sys.executable, __file__, asked.part, str(n), *kept]).returncode for n in asked.counts]
        return max(codes)
    (count,) = asked.counts
    print(f"{asked.part} of {count}")
    with tempfile.TemporaryDirectory() as scratch:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        parts[asked.part](count, asked.folder or Path(scratch))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"  {'memory beyond the libraries':36}{grown / 2**10:>9.0f} MiB", flush=True)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(main())
