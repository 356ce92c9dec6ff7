"""How long a photograph takes from its file to its numbers, stage by stage, and how much memory the largest needs.

    python tools/benchmark_predict.py --checkpoint fundus.bundle PHOTOGRAPHS
    python tools/benchmark_predict.py --checkpoint fundus.bundle PHOTOGRAPHS --rounds 5 --views 1
    python tools/benchmark_predict.py --checkpoint fundus.bundle PHOTOGRAPHS --precision bf16 --compile

Stages are the functions that `predict` calls, timed one photograph after the other in one thread; `predict` itself
reads and writes beside the network: `in steady state` is its time for each photograph once it runs. The start is one
photograph from the shell to its files. The memory is the peak of a fresh process that predicts one picture of 60
megapixels, made here from the first photograph.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch

from fundusseg.imaging import quality
from fundusseg.imaging.image_files import encode_jpeg, read_photograph
from fundusseg.inference import output_files, predictor
from fundusseg.inference.eye_side import EyeReader
from fundusseg.inference.photograph_list import find_photographs
from fundusseg.inference.photograph_stages import photograph_rows
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.run_journal import Journal
from fundusseg.inference.square import SegmentedSquare
from fundusseg.xla.process import prepare_process

STAGES = (
    (Predictor, "assess", "field of view, quality: colour, light"),
    (Predictor, "locate", "localiser"),
    (Predictor, "segment", "segmenter and label map"),
    (SegmentedSquare, "spread", "spread over views"),
    (predictor, "measure", "measures"),
    (EyeReader, "__call__", "eye"),
    (SegmentedSquare, "outlines", "outlines"),
    (quality, "sharpness", "quality: sharpness"),
)
LARGE = (6708, 8944)
"""Rows and columns of 60 megapixels."""


def main() -> None:
    """Time, then measure the memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", nargs="+")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--views", type=int, default=None)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=10, help="photographs of each round")
    parser.add_argument("--large", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    prepare_process()
    how = {"precision": settings.precision, "compiled": settings.compile, "views": settings.views}
    made = Predictor.from_checkpoint(settings.checkpoint, **how)
    if settings.large:
        made(read_photograph(settings.photographs[0]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    photographs = find_photographs(settings.photographs, Path("nowhere")).photographs[: settings.limit]
    show([time_round(made, photographs) for _ in range(settings.rounds + 1)][1:], len(photographs))
    line("in steady state, ms a photograph", [1000 * steady(made, photographs) for _ in range(settings.rounds)])
    line("one photograph from the shell, s", [start(settings, photographs[0].path) for _ in range(settings.rounds)])
    print(f"peak memory on 60 megapixels: {peak(settings, photographs[0].path) / 1024:.0f} MiB")


def time_round(made: Predictor, photographs: list[Any]) -> dict[str, float]:
    """Seconds of each stage, summed over the photographs."""
    spent: dict[str, float] = defaultdict(float)
    regions = made.description.preparation.regions
    with tempfile.TemporaryDirectory() as folder, watched(spent), Journal(Path(folder), {}) as journal:
        for photograph in photographs:
            start = time.perf_counter()
            image = read_photograph(photograph.path)
            read = time.perf_counter()
            found = output_files.photograph_result(photograph, image, made(image, name=photograph.path.name))
            predicted = time.perf_counter()
            output_files.write_result(journal, photograph, found, regions)
            written = time.perf_counter()
            for name, seconds in (
                ("read", read - start),
                ("predict", predicted - read),
                ("write", written - predicted),
                ("in all", written - start),
            ):
                spent[name] += seconds
    return spent


@contextmanager
def watched(spent: dict[str, float]) -> Iterator[None]:
    """Count the time of every stage inside of a prediction."""

    def timed(inner: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                spent[name] += time.perf_counter() - start

        return call

    patches = [patch.object(owner, name, timed(getattr(owner, name), label)) for owner, name, label in STAGES]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def show(rounds: list[dict[str, float]], count: int) -> None:
    """Milliseconds of a photograph: min, median and max over the rounds."""
    print(f"{count} photographs, {len(rounds)} rounds, {torch.get_num_threads()} threads; ms of a photograph")
    print(f"{'stage':34}{'min':>8}{'median':>8}{'max':>8}")
    order = ("read", "predict", *(label for _, _, label in STAGES), "write", "in all")
    for name in order:
        times = sorted(1000 * spent[name] / count for spent in rounds)
        indent = "  " if name in {label for _, _, label in STAGES} else ""
        print(f"{indent + name:34}{times[0]:8.1f}{statistics.median(times):8.1f}{times[-1]:8.1f}")


def steady(made: Predictor, photographs: list[Any]) -> float:
    """Seconds of each photograph where the next are read and the last are written meanwhile."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder), {}) as journal:
        start = time.perf_counter()
        done = sum(not row["error"] for _, row in photograph_rows(made, photographs, journal))
        return (time.perf_counter() - start) / done


def start(settings: argparse.Namespace, photograph: Path) -> float:
    """Seconds from the command to the files of one photograph, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fundusseg.predict", str(photograph), "--output", folder]
        command += ["--checkpoint", settings.checkpoint, *options(settings)]
        begun = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        return time.perf_counter() - begun


def options(settings: argparse.Namespace) -> list[str]:
    """Those of how to compute, as `predict` takes them."""
    views = ["--views", str(settings.views)] if settings.views else []
    compiled = ["--compile", "true"] if settings.compile else []
    return [*views, *compiled, "--precision", settings.precision]


def line(name: str, values: list[float]) -> None:
    """Min, median and max of a few measurements."""
    print(f"{name:34}{min(values):8.2f}{statistics.median(values):8.2f}{max(values):8.2f}")


def peak(settings: argparse.Namespace, photograph: Path) -> float:
    """KiB that a fresh process needs for a photograph of 60 megapixels."""
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.jpg"
        pixels = cv2.resize(read_photograph(photograph), LARGE[::-1], interpolation=cv2.INTER_LINEAR)
        large.write_bytes(encode_jpeg(np.ascontiguousarray(pixels)))
        del pixels
        more = [option for option in options(settings) if option != "true"]  # a flag here
        command = [sys.executable, __file__, str(large), "--checkpoint", settings.checkpoint, "--large", *more]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
