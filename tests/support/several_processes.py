"""A small training by one process or several, and what they must have in common."""

import json
from pathlib import Path

import pytest

from fundusseg import fit as verb
from tests.support.stopped_run import logged, start

ARGUMENTS = (
    "--data.image_size=32",
    "--data.batch_size=4",
    "--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {count: 20, size: 96}}]",
    "--model.model=fundusseg.models.UNet",
    "--model.model.start_channels=4",
    "--model.model.depth=2",
    "--model.model.batch_norm=false",  # whose statistics are each process's own, unless --trainer.sync_batchnorm
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
)


def arguments(folder: Path, epochs: int) -> list[str]:
    """Of `fit`, in a folder of its own beside a cache."""
    return [*ARGUMENTS, f"--data.cache_dir={folder.parent / 'cache'}", f"--trainer.max_epochs={epochs}"]


def fit(folder: Path, *command: str, epochs: int = 2) -> str:
    """Train by a command; what it says."""
    folder.mkdir()
    done = start(folder, *command, *arguments(folder, epochs), OMP_NUM_THREADS="1", MASTER_ADDR="127.0.0.1")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def fit_here(folder: Path, epochs: int = 2) -> None:
    """Train in this process."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert verb.main(arguments(folder, epochs)) == 0


def assert_same_training(one: Path, several: Path) -> None:
    """The same losses and scores to 1e-5, the same split, every picture scored once."""
    alone, together = logged(one), logged(several)
    names = [name for name in alone if name.endswith("/loss") or "dice" in name]
    assert {"train/loss", "val/loss", "val/dice", "test/dice"} <= set(names)
    for name in names:
        assert alone[name].keys() == together[name].keys(), name
        assert list(together[name].values()) == pytest.approx(list(alone[name].values()), abs=1e-5), name
    runs = [folder / "runs" / "version_0" for folder in (one, several)]
    assert runs[0].joinpath("split.json").read_bytes() == runs[1].joinpath("split.json").read_bytes()
    tests = [json.loads((run / "test.json").read_text()) for run in runs]
    counts = [[row["n"] for row in test["scores"]] for test in tests]
    assert counts[0] == counts[1], "no picture is counted twice"
    settings = [(run / "config.yaml").read_text() for run in runs]
    assert settings[0] == settings[1], "how many processes there were is no setting: it runs again anywhere"
