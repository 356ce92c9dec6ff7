"""A stopped training and the same command again: the weights, the losses and the files of one that was not stopped."""

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
from fundusseg.preemption import EXIT_CODE
from fundusseg.sampling import SourceSampler
from tests.interruption import MOMENT

EMA = "{class_path: lightning.pytorch.callbacks.EMAWeightAveraging, init_args: {decay: 0.8}}"
TWO_STAGE = "{class_path: fundusseg.finetuning.TwoStage, init_args: {frozen_epochs: 1}}"
ROOT = Path(__file__).parents[1]


def command(cache: Path, *arguments: str, group: bool = False) -> list[str]:
    """A tiny training with dropout and averaged weights: 5 steps of 3 pictures in each of 3 epochs."""
    interruption = f"{{class_path: tests.interruption.Interruption, init_args: {{group: {str(group).lower()}}}}}"
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


def run_here(folder: Path, arguments: Sequence[str], moment: str = "") -> int:
    """Run in this process; the exit code."""
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv(MOMENT, moment)
        return fit.main(list(arguments))


def run_alone(folder: Path, arguments: Sequence[str], moment: str = "", **environment: str) -> Any:
    """Run in a process of its own, the head of its own group."""
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "fundusseg.fit", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), MOMENT: moment, **environment},
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
    """Where two checkpoints' contents differ, counters and random state included.

    ``current_score`` is what Lightning says in its progress bar; it is not restored, and decides nothing.
    """
    if place.endswith("/current_score"):
        return []
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
    assert logged(one) == logged(two)
    assert (one / "runs/version_0/test.json").read_text() == (two / "runs/version_0/test.json").read_text()


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache) -> Path:
    """A run that was not stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert run_here(folder, command(cache)) == 0
    assert checkpoints(folder) == {f"runs/version_0/checkpoints/{name}.ckpt" for name in ("best", "last")}
    return folder


def test_stopped_anywhere_the_same_command_continues_to_the_same_weights(whole, cache, tmp_path, capsys):
    # In the first epoch; in its last batch; in a validation; in the last validation; in the test.
    for moment in ("train:2", "train:3", "val:1", "train:2", "val:1", "test:1"):
        assert run_here(tmp_path, command(cache), moment) == EXIT_CODE, moment
        said = capsys.readouterr().out
        saved = next((tmp_path / "runs" / "version_0").glob("preempted-*.ckpt"))
        assert f"saved in runs/version_0/{saved.name}: the same command continues from there" in said
    assert run_here(tmp_path, command(cache)) == 0
    assert "Continues the run in runs/version_0" in capsys.readouterr().out
    assert_same_run(whole, tmp_path)
