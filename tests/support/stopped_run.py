"""A tiny training, stopped where one says, and what two runs have in common."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fundusseg import fit
from tests.support.interruption import MOMENT, SIGNALS

EMA = "{class_path: lightning.pytorch.callbacks.EMAWeightAveraging, init_args: {decay: 0.8}}"


TWO_STAGE = "{class_path: fundusseg.training.TwoStage, init_args: {frozen_epochs: 1}}"


ROOT = Path(__file__).parents[2]


def command(cache: Path, *arguments: str, group: bool = False) -> list[str]:
    """A tiny training with dropout and averaged weights: 5 steps of 3 pictures in each of 3 epochs."""
    interruption = (
        f"{{class_path: tests.support.interruption.Interruption, init_args: {{group: {str(group).lower()}}}}}"
    )
    return [
        f"--data.cache_dir={cache}",
        "--data.image_size=32",
        "--data.batch_size=3",
        "--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {count: 24, size: 96}}]",
        "--model.model=fundusseg.models.UNet",
        "--model.model.start_channels=4",
        "--model.model.depth=2",
        "--model.model.dropout=0.3",
        "--trainer.max_epochs=3",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
        f"--trainer.callbacks=[{interruption}, {EMA}, {TWO_STAGE}]",
        *arguments,
    ]


def run_here(folder: Path, arguments: Sequence[str], moment: str = "", signals: str = "SIGTERM") -> int:
    """Run in this process; the exit code."""
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv(MOMENT, moment)
        patch.setenv(SIGNALS, signals)
        return fit.main(list(arguments))


def run_alone(folder: Path, arguments: Sequence[str], moment: str = "", signals: str = "SIGTERM") -> Any:
    """Run in a process of its own."""
    # Sums over other numbers of threads are rounded in another order.
    threads = str(torch.get_num_threads())
    environment = {MOMENT: moment, SIGNALS: signals, "OMP_NUM_THREADS": threads}
    return start(folder, "-m", "fundusseg.fit", *arguments, **environment)


def start(folder: Path, *command: str, **environment: str) -> Any:
    """Start Python, as the head of its own group."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )


def checkpoints(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.ckpt")}


def content(folder: Path, name: str) -> Any:
    return torch.load(folder / "runs" / "version_0" / "checkpoints" / name, weights_only=True)


def differences(one: Any, two: Any, tolerance: float = 0.0, place: str = "") -> list[str]:
    """Where two checkpoints' contents differ, counters and random state included."""
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        same = torch.allclose(one, two, rtol=tolerance, atol=tolerance) if tolerance else torch.equal(one, two)
        return [] if same else [place]
    if isinstance(one, Mapping):
        keys = [f"{place}: {sorted(map(str, set(one) ^ set(two)))}"] if set(one) != set(two) else []
        return keys + [
            d for key in set(one) & set(two) for d in differences(one[key], two[key], tolerance, f"{place}/{key}")
        ]
    if isinstance(one, list | tuple) and len(one) == len(two):
        return [
            d
            for n, pair in enumerate(zip(one, two, strict=True))
            for d in differences(*pair, tolerance, f"{place}/{n}")
        ]
    return [] if one == two else [f"{place}: {one} != {two}"]


def logged(folder: Path) -> dict[str, dict[int, float]]:
    """Every scalar that TensorBoard was given, by name and step."""
    events = EventAccumulator(str(folder / "runs" / "version_0"))
    events.Reload()
    return {name: {e.step: e.value for e in events.Scalars(name)} for name in events.Tags()["scalars"]}


def assert_same_run(one: Path, two: Path) -> None:
    """Bit for bit."""
    assert checkpoints(one) == checkpoints(two)
    for name in ("best.ckpt", "last.ckpt"):
        assert not differences(content(one, name), content(two, name))
        first, second = ((run / "runs/version_0/checkpoints" / name).read_bytes() for run in (one, two))
        assert first == second, f"{name}: equal content in other bytes"
    assert logged(one) == logged(two)
    assert (one / "runs/version_0/test.json").read_text() == (two / "runs/version_0/test.json").read_text()
