"""Each run has a folder of its own, below the root that was given."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from fundusseg import fit
from fundusseg.training.run_folder import claim, put_below
from tests.commands.test_cli import TINY
from tests.support import stopped_run


def trainer(logger, **settings) -> Trainer:
    return Trainer(accelerator="cpu", logger=logger or False, **settings)


def logger(folder) -> TensorBoardLogger:
    return TensorBoardLogger(str(folder), name="")


def test_runs_begun_at_once_get_a_folder_each(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        folders = [*threads.map(lambda _: claim(trainer(logger(tmp_path))), range(40))]
    assert sorted(folder.name for folder in folders) == sorted(f"version_{number}" for number in range(40))
    mine = logger(tmp_path)
    assert str(claim(trainer(mine))) == mine.log_dir


def test_without_a_logger_each_run_has_a_folder_too(tmp_path):
    runs = [trainer(None, default_root_dir=str(tmp_path)) for _ in range(2)]
    folders = [claim(run) for run in runs]
    assert folders == [tmp_path / "runs" / f"version_{number}" for number in range(2)]
    assert [Path(run.default_root_dir) for run in runs] == folders


def test_a_version_that_was_given_is_kept(tmp_path):
    assert claim(trainer(TensorBoardLogger(str(tmp_path), name="", version="fit"))) is None
    trial = trainer(None, default_root_dir=str(tmp_path), fast_dev_run=True)
    assert claim(trial) is None and not list(tmp_path.iterdir())


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    checkpoints = claim(trainer(logger(tmp_path))) / "checkpoints"
    checkpoints.mkdir()
    for name in ("last.ckpt", f".last.ckpt.{socket.gethostname()}-{2**30}.partial"):
        (checkpoints / name).write_text("")
    claim(trainer(logger(tmp_path)))
    assert [path.name for path in checkpoints.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_a_run_without_a_logger_that_was_stopped_goes_on_in_its_folder(tmp_path):
    arguments = stopped_run.command(tmp_path / "cache", "--trainer.logger=false")
    assert stopped_run.run_here(tmp_path, arguments, "train:8") == 143
    assert stopped_run.run_here(tmp_path, arguments) == stopped_run.run_here(tmp_path, arguments) == 0
    held = [{str(path.relative_to(run)) for path in run.rglob("*.*")} for run in sorted((tmp_path / "runs").iterdir())]
    assert len(held) == 2 and held[0] == held[1] >= {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "test.json"}


@pytest.mark.parametrize("root", [None, "relative", "absolute"])
def test_the_root_decides(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    root = str(tmp_path / "there") if root == "absolute" else root
    for one in (TensorBoardLogger("runs", name=""), CSVLogger("runs", name="")):
        put_below(one, root)
        assert (tmp_path / one.root_dir).resolve() == tmp_path / (root or "") / "runs"
    fixed = TensorBoardLogger(str(tmp_path / "fixed"), name="")
    put_below(fixed, root)
    assert fixed.root_dir.rstrip("/") == str(tmp_path / "fixed")


@pytest.mark.slow
def test_fit_goes_below_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = f"--data.cache_dir={tmp_path}/cache"
    assert fit.main([*TINY, cache, "--trainer.default_root_dir=out"]) == 0
    assert (tmp_path / "out/runs/version_0/checkpoints/best.ckpt").is_file() and not (tmp_path / "runs").exists()
