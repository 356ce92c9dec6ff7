"""A training that has gone wrong: it stops, it says where, and nothing recommends what it left."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from fundusseg import fit
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom
from fundusseg.errors import CheckpointError, TrainingError
from fundusseg.models import Network, UNet, checkpoint
from fundusseg.training.health import TerminateOnNaN
from fundusseg.training.scores import SegmentationScores
from fundusseg.training.task import SegmentationTask
from tests.support.tiny import TINY


class Constant(Network):
    """Gives every pixel of every picture the same logit."""

    divisor = 1

    def __init__(self, in_channels: int = 3, out_channels: int = 2) -> None:
        super().__init__(in_channels, out_channels, mean=[0.5], std=[0.5])
        self.encoder, self.decoder, self.segmentation_head = nn.Identity(), nn.Identity(), nn.Identity()
        self.bias = nn.Parameter(torch.full((out_channels, 1, 1), -1.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.bias.expand(len(image), -1, *image.shape[2:])


def run(folder, monkeypatch, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    return fit.main([*TINY, f"--data.cache_dir={folder}/cache", *arguments])


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_step_it_comes_up_in(tmp_path, monkeypatch):
    rate = ["--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=1e30", "--model.schedule=null"]
    with pytest.raises(TrainingError, match=r"loss of (nan|inf) in step \d, batch \d of epoch 1; .*learning rate"):
        run(tmp_path, monkeypatch, *rate, "--trainer.max_epochs=3")
    assert not [*tmp_path.rglob("*.md"), *tmp_path.rglob("*.ckpt")]


@pytest.mark.slow
def test_where_no_step_is_looked_at_the_validation_stops_it(tmp_path):
    data = FundusDataModule([Phantom(count=24, size=96)], image_size=32, batch_size=4, cache_dir=str(tmp_path))
    task = SegmentationTask(UNet(start_channels=4, depth=2), preparation=data.preparation, sources=data.sources)
    nn.init.constant_(task.model.segmentation_head.weight, torch.nan)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    with pytest.raises(TrainingError, match="loss of nan over the val set in epoch 1"):
        trainer.validate(task, datamodule=data, verbose=False)


def test_several_processes_leave_it_to_the_epoch():
    watch, trainer = TerminateOnNaN(), SimpleNamespace(world_size=2)
    watch.on_train_batch_end(trainer, SimpleNamespace(device=torch.device("cpu")), {}, None, 0)
    assert not watch._pending


@pytest.mark.slow
def test_weights_that_are_not_finite_are_not_loaded(tmp_path, monkeypatch):
    assert run(tmp_path, monkeypatch) == 0
    path = tmp_path / "runs/version_0/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["model.segmentation_head.bias"][0] = torch.inf
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"not finite in .*last\.ckpt: segmentation_head\.bias"):
        checkpoint.load(path)


@pytest.mark.slow
def test_a_network_that_predicts_the_same_for_all_is_not_recommended(tmp_path, monkeypatch, capsys):
    assert run(tmp_path, monkeypatch, "--model.model=tests.training.test_health.Constant") == 0
    card = (tmp_path / "runs/version_0/checkpoints/best.md").read_text()
    said = "The prediction of disc and cup is the same for every test picture"
    assert said in card and said in capsys.readouterr().out
    assert "fundusseg.evaluate" not in card


def test_only_what_is_the_same_in_all_pictures_is_constant():
    scores, masks = SegmentationScores(["disc", "cup"], ["a"]), torch.zeros(3, 2, 8, 8, dtype=torch.bool)
    masks[:, :, 2:4, 2:4] = True
    masks[1, 1] = masks[1, 1].roll(1, 0)  # of the same size, in another place
    ones, source = torch.ones(3), torch.zeros(3, dtype=torch.int64)
    scores.update(masks[:1], masks[:1], ones[:1, None].bool().expand(-1, 2), ones[:1], source[:1])
    assert scores.constant() == [], "one picture is no evidence"
    scores.update(masks, masks, torch.ones(3, 2).bool(), ones, source)
    assert scores.constant() == ["disc"]
    unlike = masks.roll(1, 2)
    scores.update(unlike, masks, torch.zeros(3, 2).bool(), ones, source)
    scores.update(unlike, masks, torch.ones(3, 2).bool(), 0 * ones, source)
    assert scores.constant() == ["disc"], "what is not labelled, and what pads a batch, does not count"
    scores.update(unlike, masks, torch.ones(3, 2).bool(), ones, source)
    assert scores.constant() == []
