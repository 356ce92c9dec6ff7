"""A run that goes on with another rate, length or batch ends annealed, with the rate that was given."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.models import UNet
from fundusseg.training.resumed_schedule import require_steps_left
from fundusseg.training.schedules import Cosine, OneCycle, Plateau
from fundusseg.training.task import SegmentationTask

CYCLE = OneCycle()


class Rates(Callback):
    """Keeps the rate and weight decay of each step."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.decays: list[float] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])
        self.decays.append(optimizer.param_groups[0]["weight_decay"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("resumed")


def go(
    folder, epochs, resume=None, rate=1e-2, schedule=CYCLE, batch=2, decay=0.01, save="", kind=torch.optim.AdamW
) -> Rates:
    data = FundusDataModule([Phantom(count=16, size=64)], image_size=32, batch_size=batch, cache_dir=str(folder))
    task = SegmentationTask(
        UNet(start_channels=2, depth=1),
        optimizer=lambda parameters: kind(parameters, lr=rate, weight_decay=decay),
        schedule=schedule,
        preparation=data.preparation,
        sources=data.sources,
    )
    rates = Rates()
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=[rates],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        accelerator="cpu",
        default_root_dir=folder,
    )
    trainer.fit(task, data, ckpt_path=resume)
    if save:
        trainer.save_checkpoint(folder / save)
    return rates


@pytest.fixture(scope="module")
def finished(folder) -> Path:
    go(folder, 2, save="finished.ckpt")
    return folder / "finished.ckpt"


@pytest.mark.parametrize("schedule", [OneCycle(), Cosine(), Plateau(), None])
@pytest.mark.slow
def test_more_epochs_follow_the_longer_schedule_from_the_step_reached(folder, schedule):
    go(folder, 2, schedule=schedule, save="two.ckpt")
    whole = go(folder, 4, schedule=schedule).rates
    more = go(folder, 4, folder / "two.ckpt", schedule=schedule).rates
    assert more == pytest.approx(whole[len(whole) // 2 :])


@pytest.mark.slow
def test_a_new_rate_and_decay_are_used(folder, finished):
    usual = go(folder, 4, finished)
    other = go(folder, 4, finished, rate=1e-3, decay=0.2)
    assert other.rates == pytest.approx([rate / 10 for rate in usual.rates]) and set(other.decays) == {0.2}
    constant = go(folder, 4, finished, rate=3e-4, schedule=None)
    assert set(constant.rates) == {3e-4}


@pytest.mark.parametrize("kind", [torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.SGD, torch.optim.Adam])
def test_another_kind_of_optimiser_starts_with_moments_of_its_own(folder, finished, kind):
    go(folder, 3, finished, kind=kind, save="other.ckpt")
    state = torch.load(folder / "other.ckpt", weights_only=True)["optimizer_states"][0]["state"]
    assert ("exp_avg" in state.get(0, {})) == (kind is torch.optim.Adam)


def test_a_run_that_is_over_is_told_so_where_a_setting_would_have_no_effect():
    over = {"loops": {"fit_loop": {"epoch_progress": {"current": {"processed": 2}}}}, "global_step": 10}
    require_steps_left(over, 2, -1, False)  # tested again
    require_steps_left(over, 3, -1, True)
    require_steps_left({}, 1, -1, True)
    for epochs, steps, changed, words in ((2, -1, True, "max_epochs 2"), (1, -1, False, "trained 2 epochs")):
        with pytest.raises(ConfigurationError, match=words):
            require_steps_left(over, epochs, steps, changed)
    with pytest.raises(ConfigurationError, match="max_steps 10 for a run that has trained 10 steps"):
        require_steps_left(over, -1, 10, True)


@pytest.mark.slow
def test_another_batch_ends_annealed_too(folder, finished):
    rates = go(folder, 4, finished, batch=5).rates
    assert rates[-1] == pytest.approx(go(folder, 4, batch=5).rates[-1]) and rates[-1] < 1e-4
    assert rates == pytest.approx(go(folder, 4, batch=5).rates[-len(rates) :])


def test_another_kind_of_schedule_is_taken(folder, finished):
    assert go(folder, 4, finished, schedule=Cosine()).rates[-1] < 1e-3


@pytest.mark.slow
def test_an_older_checkpoint_that_says_nothing_is_extended(folder, finished):
    content = torch.load(finished, weights_only=True)
    del content["fundusseg_schedule"]
    torch.save(content, folder / "older.ckpt")
    whole = go(folder, 4).rates
    assert go(folder, 4, folder / "older.ckpt").rates == pytest.approx(whole[len(whole) // 2 :])
