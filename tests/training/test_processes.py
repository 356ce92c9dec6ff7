"""Several processes train as one does: the same draws, the same global batch, the same losses, every score once."""

import json
import sys
from types import SimpleNamespace

import pytest

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from tests.support.stopped_run import logged, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="gloo listens otherwise on Windows"),
]

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "fundusseg.fit")
ARGUMENTS = (
    "--data.image_size=32",
    "--data.batch_size=4",
    "--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {count: 20, size: 96}}]",
    "--model.model=fundusseg.models.UNet",
    "--model.model.start_channels=4",
    "--model.model.depth=2",
    "--model.model.batch_norm=false",  # whose statistics are each process's own, unless --trainer.sync_batchnorm
    "--trainer.max_epochs=2",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
)
ELSEWHERE = ("--trainer.strategy=ddp", "--trainer.devices=2")


def fit(folder, cache, *command):
    folder.mkdir()
    done = start(
        folder, *command, *ARGUMENTS, f"--data.cache_dir={cache}", OMP_NUM_THREADS="1", MASTER_ADDR="127.0.0.1"
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def test_two_processes_train_as_one(tmp_path):
    cache = tmp_path / "cache"
    fit(tmp_path / "one", cache, "-m", "fundusseg.fit")
    said = fit(tmp_path / "two", cache, *TORCHRUN, *ELSEWHERE)
    assert said.count("Model card:") == 1, "one process writes and speaks"
    one, two = logged(tmp_path / "one"), logged(tmp_path / "two")
    names = [name for name in one if name.endswith("/loss") or "dice" in name]
    assert {"train/loss", "val/loss", "val/dice", "test/dice"} <= set(names)
    for name in names:
        assert one[name].keys() == two[name].keys(), name
        assert list(two[name].values()) == pytest.approx(list(one[name].values()), abs=1e-5), name
    runs = [tmp_path / place / "runs" / "version_0" for place in ("one", "two")]
    assert runs[0].joinpath("split.json").read_bytes() == runs[1].joinpath("split.json").read_bytes()
    tests = [json.loads((run / "test.json").read_text()) for run in runs]
    counts = [[row["n"] for row in test["scores"]] for test in tests]
    assert counts[0] == counts[1], "no picture is counted twice"


def test_a_batch_that_cannot_be_shared_is_refused():
    data = FundusDataModule([Phantom(count=6, size=64)], batch_size=5)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0, strategy=None)
    with pytest.raises(ConfigurationError, match=r"a batch of 5 for 2 processes; .*multiple of 2"):
        data._process()
    data.batch_size = 6
    assert data._process() == (0, 2, 3), "batch_size is that of all processes together"
