"""Averaged weights: the first ones are forgotten, and batch norm's statistics suit the average."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.models import UNet
from fundusseg.training.averaging import AveragedWeights, _mixed
from fundusseg.training.task import SegmentationTask


class OneWeight(LightningModule):
    """A network of one weight in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.bfloat16))


def averaged(averaging, values):
    """The average after these values, from 1."""
    average = torch.tensor(1.0)
    for steps, now in values:
        average = _mixed(average, torch.tensor(now), averaging._left(steps))
    return average.item()


def test_average_follows_the_growing_decay():
    expected, values = 1.0, ((1, 3.0), (2, 5.0), (50, 9.0))
    for steps, now in values:
        left = min(0.5, (1 + steps) / (10 + steps))
        expected = left * expected + (1 - left) * now
    assert averaged(AveragedWeights(decay=0.5), values) == pytest.approx(expected)


def test_the_first_weights_are_taken_whole():
    assert averaged(AveragedWeights(), [(0, 3.0)]) == 3.0


def test_the_first_statistics_are_forgotten():
    values = [(steps, 1e-4) for steps in range(1, 200)]
    assert averaged(AveragedWeights(decay=0.98), values) == pytest.approx(1e-4, rel=1e-3)


def test_whole_numbers_stay_whole():
    assert _mixed(torch.tensor(3), torch.tensor(9), AveragedWeights()._left(1)).dtype == torch.int64


@pytest.mark.slow
def test_checkpoints_and_the_network_hold_the_average(tmp_path):
    data = FundusDataModule([Phantom(count=24, size=96)], image_size=32, batch_size=4, cache_dir=str(tmp_path))
    task = SegmentationTask(UNet(start_channels=4, depth=2), preparation=data.preparation, sources=data.sources)
    settings = {"enable_progress_bar": False, "logger": False, "accelerator": "cpu", "enable_model_summary": False}
    trainer = Trainer(max_epochs=2, callbacks=[AveragedWeights()], default_root_dir=tmp_path, **settings)
    trainer.fit(task, datamodule=data)
    saved = torch.load(next(tmp_path.rglob("*.ckpt")), weights_only=True)
    name = "model.segmentation_head.weight"
    assert torch.equal(task.state_dict()[name], saved["state_dict"][name])
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])


def test_the_average_of_a_bfloat16_network_moves():
    task, averaging, trainer = OneWeight(), AveragedWeights(), SimpleNamespace(global_step=0)
    averaging.setup(trainer, task, "fit")
    averaging._average_model.n_averaged += 1000  # the decay has grown
    task.weight.data *= 1.125
    for _ in range(1000):
        trainer.global_step += 1
        averaging.on_train_batch_end(trainer, task)
    assert averaging._average_model.module.weight.item() == pytest.approx(1.125, abs=1e-4)


def test_a_validation_does_not_round_the_average_of_a_bfloat16_network():
    task, averaging, trainer = OneWeight(), AveragedWeights(), SimpleNamespace()
    averaging.setup(trainer, task, "fit")
    average = averaging._average_model.module.weight
    average.data.fill_(1 / 3)
    averaging.on_validation_epoch_start(trainer, task)
    assert task.weight.item() == float(torch.tensor(1 / 3).bfloat16()), "what is validated is the average"
    averaging.on_validation_epoch_end(trainer, task)
    assert task.weight.item() == 1 and average.item() == float(torch.tensor(1 / 3))


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ConfigurationError, match="decay"):
        AveragedWeights(decay=decay)
