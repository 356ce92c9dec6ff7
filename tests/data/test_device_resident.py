"""Batches that are drawn on the device: the same pictures as the host's, and nothing sent but what to draw."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fundusseg.data import device_resident
from fundusseg.data.augmentation import Augmentation
from fundusseg.data.static_variants import Variants
from fundusseg.errors import ConfigurationError
from fundusseg.training.preemption import EXIT_CODE
from tests.support.stopped_run import assert_same_run, command, run_here
from tests.support.two_phantoms import module
from tests.support.virtual import on_devices

ROOT = Path(__file__).parents[2]


def batches(data, loader):
    return [data.on_after_batch_transfer(batch, 0) for batch in loader]


def assert_equal(one, two):
    assert len(one) == len(two) > 0
    for first, second in zip(one, two, strict=True):
        assert set(first) == set(second)
        for key in first:
            assert first[key].dtype == second[key].dtype and torch.equal(first[key], second[key]), key


def both(tmp_path, **options):
    """The resident module, and the usual one without augmentation."""
    options["variants"] = Variants(copies=2, brightness=(0.9, 1.1))
    usual = module(tmp_path, train_augmentation=Augmentation(), **options)
    return module(tmp_path, device_resident=True, **options), usual


@pytest.mark.slow
def test_batches_are_the_usual_ones_flipped_by_the_draws_bits(tmp_path):
    data, usual = both(tmp_path)
    loader, plain = data.train_dataloader(), usual.train_dataloader()
    shown = batches(data, loader)
    seeds = [seed for _, seed in plain.sampler]
    expected = list(plain)
    for number, batch in enumerate(expected):
        for place in range(len(batch["index"])):
            seed = seeds[number * len(batch["index"]) + place]
            axes = [axis for bit, axis in ((1, -1), (2, -2)) if seed & bit]
            for key in ("image", "target"):
                batch[key][place] = batch[key][place].flip(axes)
    assert_equal(shown, expected)
    assert {seed % 4 for seed in seeds} == {0, 1, 2, 3}


@pytest.mark.slow
def test_an_empty_augmentation_leaves_the_flips_out(tmp_path):
    usual = module(tmp_path, train_augmentation=Augmentation())
    data = module(tmp_path, train_augmentation=Augmentation(), device_resident=True)
    assert_equal(batches(data, data.train_dataloader()), list(usual.train_dataloader()))


@pytest.mark.slow
def test_epochs_differ_and_are_repeated_by_seed(tmp_path):
    def images(epoch: int, **options) -> torch.Tensor:
        data = module(tmp_path, device_resident=True, **options)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return torch.cat([batch["image"] for batch in batches(data, loader)])

    assert torch.equal(images(1), images(1))
    assert not torch.equal(images(0), images(1))
    assert not torch.equal(images(0), images(0, seed=1))


@pytest.mark.parametrize("options", [{}, {"eval_augmentation": Augmentation.standard()}])
@pytest.mark.slow
def test_evaluation_is_the_usual_one(tmp_path, options):
    data, usual = both(tmp_path, batch_size=7, **options)
    assert_equal(batches(data, data.val_dataloader()), list(usual.val_dataloader()))
    assert_equal(batches(data, data.test_dataloader()), list(usual.test_dataloader()))


def test_what_the_host_would_compute_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"train_augmentation of HorizontalFlip, .* beside device_resident"):
        module(tmp_path, device_resident=True, train_augmentation=Augmentation.standard())


@pytest.mark.slow
def test_what_does_not_fit_is_refused(tmp_path, monkeypatch):
    data = module(tmp_path, device_resident=True)
    count = len(data.split.train)
    needed = count * (5 * 32 * 32 + 2 + 4 + 8 + 8)
    monkeypatch.setattr(device_resident, "free_memory", lambda device: needed - 1)
    with pytest.raises(ConfigurationError, match=f"{needed:,} bytes for {needed - 1:,} free bytes on cpu"):
        data.train_dataloader()
    monkeypatch.setattr(device_resident, "free_memory", lambda device: needed)
    data.train_dataloader()


@pytest.mark.slow
def test_a_whole_run_equals_the_usual_one_stopped_or_not(tmp_path):
    plain = "--data.train_augmentation=fundusseg.data.Augmentation"
    cache = tmp_path / "cache"
    assert run_here(tmp_path / "usual", command(cache, plain)) == 0
    arguments = command(cache, plain, "--data.device_resident=true")
    assert run_here(tmp_path / "resident", arguments, "train:7") == EXIT_CODE
    assert run_here(tmp_path / "resident", arguments) == 0
    scores = [(tmp_path / name / "runs/version_0/test.json").read_text() for name in ("usual", "resident")]
    assert scores[0] == scores[1]
    flipped = command(cache, "--data.device_resident=true")
    assert run_here(tmp_path / "whole", flipped) == 0
    assert run_here(tmp_path / "stopped", flipped, "train:4") == EXIT_CODE
    assert run_here(tmp_path / "stopped", flipped) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


COUNT = """
import sys
from pathlib import Path
import torch, torch_xla, torch_xla.debug.metrics as metrics
from fundusseg.data.device_resident import ResidentSet
from tests.support.two_phantoms import module

def figure(name, place):
    return (metrics.metric_data(name) or (0, 0))[place]

data = module(Path(sys.argv[1]), device_resident=True)
loader = data.train_dataloader()
here = data._resident["train"]
there = ResidentSet(loader.dataset, torch_xla.device())
for epoch in range(3):
    loader.sampler.set_epoch(epoch)
    sums, before = [], (figure("OutboundData", 1), figure("CompileTime", 0))
    for batch in loader:
        drawn = there.batch(batch["train"].to(torch_xla.device()))
        sums.append(torch.stack([drawn[key].sum(dtype=torch.int32) for key in ("image", "target", "index", "source")]))
        torch_xla.sync()
    sent, compiled = figure("OutboundData", 1) - before[0], figure("CompileTime", 0) - before[1]
    expected = [[int(b[key].sum()) for key in ("image", "target", "index", "source")]
                for b in (here.batch(batch["train"]) for batch in loader)]
    fallbacks = [name for name in metrics.counter_names() if name.startswith("aten::")]
    same = [total.tolist() for total in sums] == expected
    print(epoch, len(sums), int(sent), int(compiled), same, fallbacks)
"""


@on_devices
@pytest.mark.slow
def test_on_xla_only_the_draws_are_sent(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PJRT_DEVICE": "CPU"}
    run = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    first, *later = run.stdout.strip().splitlines()
    assert first.endswith("True []")
    # 5 batches of 4 draws of 4 numbers of 8 bytes; no compilation; the batches of the CPU; no operator on the host.
    assert later == [f"{epoch} 5 {5 * 4 * 4 * 8} 0 True []" for epoch in (1, 2)]
