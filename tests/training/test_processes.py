"""Several processes train as one does: the same draws, the same global batch, the same losses, every score once."""

import os
import sys
from types import SimpleNamespace

import pytest

from fundusseg import fit as verb
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from tests.support.several_processes import arguments, assert_same_training, fit, fit_here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="gloo listens otherwise on Windows"),
]

COUNT = int(os.environ.get("FUNDUSSEG_PROCESSES", "2"))
"""4 are run by hand."""

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={COUNT}", "-m", "fundusseg.fit")


def test_several_processes_train_as_one(tmp_path):
    fit_here(tmp_path / "one")
    said = fit(tmp_path / "several", *TORCHRUN)
    assert said.count("Model card:") == 1, "one process writes and speaks"
    assert_same_training(tmp_path / "one", tmp_path / "several")


def test_batch_norm_over_all_processes_takes_gpus(tmp_path, monkeypatch):
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "GROUP_RANK": 0, "LOCAL_WORLD_SIZE": 2, "WORLD_SIZE": 4}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    with pytest.raises(ConfigurationError, match=r"got --trainer\.sync_batchnorm true for 4 processes without GPUs"):
        verb.main([*arguments(tmp_path / "one", 1), "--trainer.sync_batchnorm=true"])


def test_a_batch_that_cannot_be_shared_is_refused():
    data = FundusDataModule([Phantom(count=6, size=64)], batch_size=5)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0, strategy=None)
    with pytest.raises(ConfigurationError, match=r"a batch of 5 for 2 processes; .*multiple of 2"):
        data._process()
    data.batch_size = 6
    assert data._process() == (0, 2, 3), "batch_size is that of all processes together"
