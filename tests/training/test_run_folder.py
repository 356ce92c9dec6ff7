"""Each run has a folder of its own, below the root that was given."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from fundusseg import fit
from fundusseg.training.run_folder import claim, put_below
from tests.commands.test_cli import TINY


def logger(folder) -> TensorBoardLogger:
    return TensorBoardLogger(str(folder), name="")


def test_runs_begun_at_once_get_a_folder_each(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        folders = [*threads.map(lambda _: claim(logger(tmp_path)), range(40))]
    assert sorted(folder.name for folder in folders) == sorted(f"version_{number}" for number in range(40))
    mine = logger(tmp_path)
    assert str(claim(mine)) == mine.log_dir


def test_a_version_that_was_given_is_kept(tmp_path):
    assert claim(TensorBoardLogger(str(tmp_path), name="", version="fit")) is None
    assert claim(None) is None and not list(tmp_path.iterdir())


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
