"""Torch, onnxruntime and OpenVINO beside each other: pictures a second, seconds to start, and whose labels differ.

    python tools/compare_runtimes.py [PHOTOGRAPHS ...] [--checkpoint fundus.bundle] [--threads 2]

Pictures a second are those of the segmenter alone, in batches of one and of four, as the views of one photograph are;
the runtimes take turns (A B C A B C ...). To start is a process of its own, which reads the bundle and predicts one
photograph; graphs are exported once, in the first process, which is shown apart. Of photographs, each runtime's label
maps are compared with torch's pixel by pixel, and of those that differ how far their probabilities are from the
threshold.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from fundusseg.imaging.image_files import read_photograph
from fundusseg.inference import Bundle, Predictor
from fundusseg.inference.pretrained import pretrained_bundle

RUNTIMES = ("torch", "onnx", "openvino")
BATCHES = (1, 4)
_START = """
import sys
import torch
from fundusseg.datasets import Phantom
from fundusseg.inference import Predictor
torch.set_num_threads(int(sys.argv[3]))
Predictor.from_checkpoint(sys.argv[1], runtime=sys.argv[2])(Phantom(count=1, size=400)[0].image)
"""


def speeds(checkpoint: Path, rounds: int, seconds: float) -> None:
    """Print pictures a second of every runtime."""
    networks = {runtime: Bundle.load(checkpoint, runtime=runtime).segmenters[0] for runtime in RUNTIMES}
    side = networks["torch"].description.preparation.image_size
    print(f"\n{'pictures/s of the segmenter':32}{'min':>9}{'median':>9}{'max':>9}   times torch")
    for batch in BATCHES:
        pictures = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
        found: dict[str, list[float]] = {runtime: [] for runtime in RUNTIMES}
        for turn in range(rounds + 1):
            for runtime, network in networks.items():
                start, count = time.perf_counter(), 0
                while (taken := time.perf_counter() - start) < seconds:
                    network(pictures)
                    count += batch
                if turn:  # the first warms up
                    found[runtime].append(count / taken)
        for runtime, rates in found.items():
            spread = "".join(f"{value:>9.1f}" for value in (min(rates), statistics.median(rates), max(rates)))
            ratio = statistics.median(one / other for one, other in zip(rates, found["torch"], strict=True))
            print(f"{f'{runtime}, batches of {batch}':32}{spread}   {ratio:.2f}")


def starts(checkpoint: Path, rounds: int, threads: int) -> None:
    """Print seconds from a process' start to its first prediction."""
    print(f"\n{'seconds to the first prediction':32}{'first':>9}{'min':>9}{'median':>9}{'max':>9}")
    found: dict[str, list[float]] = {runtime: [] for runtime in RUNTIMES}
    for _ in range(rounds + 1):
        for runtime in RUNTIMES:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", _START, str(checkpoint), runtime, str(threads)], check=True)
            found[runtime].append(time.perf_counter() - start)
    for runtime, (first, *later) in found.items():
        values = (first, min(later), statistics.median(later), max(later))
        print(f"{runtime:32}" + "".join(f"{value:>9.2f}" for value in values))


def differences(checkpoint: Path, files: list[Path]) -> None:
    """Print in how many pixels the label maps differ, and how near to the threshold those are."""
    predictors = {runtime: Predictor.from_checkpoint(checkpoint, runtime=runtime) for runtime in RUNTIMES}
    cuts = np.array([*predictors["torch"].thresholds.values()])[:, None, None]
    apart = dict.fromkeys(RUNTIMES, 0)
    maps, farthest, ratio = dict(apart), dict.fromkeys(apart, 0.0), dict.fromkeys(apart, 0.0)
    labelled = 0
    for file in files:
        photograph = read_photograph(file)
        found = {runtime: predictor(photograph, name=file.name) for runtime, predictor in predictors.items()}
        usual = found["torch"]
        labelled += int((usual.label_map > 0).sum())
        for runtime, other in found.items():
            if (differ := other.label_map != usual.label_map).any():
                maps[runtime] += 1
                apart[runtime] += int(differ.sum())
                near = np.abs(usual.probabilities - cuts).min(axis=0)[differ].max()
                farthest[runtime] = max(farthest[runtime], float(near))
            change = abs(other.measures.vertical_cdr - usual.measures.vertical_cdr)
            ratio[runtime] = float(np.nanmax([ratio[runtime], change]))
    print(f"\n{len(files)} photographs, {labelled:,} pixels of disc and cup; beside torch")
    for runtime in RUNTIMES[1:]:
        print(
            f"{runtime}: {apart[runtime]} pixels of {maps[runtime]} label maps differ, at most {farthest[runtime]:.1e} "
            f"from the threshold; the vertical ratio by at most {ratio[runtime]:.1e}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="*", type=Path, help="files whose label maps are compared")
    parser.add_argument("--checkpoint", type=Path, help="a bundle or checkpoint [the package's own]")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3, help="0 compares labels alone")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    checkpoint = given.checkpoint or pretrained_bundle()
    # Graphs are kept in a folder of this run's own, so that the first start is one.
    with tempfile.TemporaryDirectory() as cache, patch.dict(os.environ, {"XDG_CACHE_HOME": cache}):
        if given.rounds:
            starts(checkpoint, given.rounds, given.threads)
            speeds(checkpoint, given.rounds, given.seconds)
        if given.photographs:
            differences(checkpoint, given.photographs)


if __name__ == "__main__":
    main()
