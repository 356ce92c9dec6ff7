import pytest
import torch
from lightning.pytorch import Callback, Trainer

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.preparation import Preparation
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.models import UNet, checkpoint
from fundusseg.training.losses import DiceLoss
from fundusseg.training.schedules import Cosine, OneCycle, Plateau
from fundusseg.training.scores import ALL
from fundusseg.training.task import SegmentationTask


@pytest.fixture
def data(tmp_path) -> FundusDataModule:
    datasets = [Phantom(count=24, size=96), Phantom(count=8, size=96, seed=1, name="disc_only", regions=("disc",))]
    return FundusDataModule(datasets, image_size=32, batch_size=8, cache_dir=str(tmp_path))


def task(data: FundusDataModule, **options) -> SegmentationTask:
    torch.manual_seed(0)
    network = UNet(start_channels=4, depth=2)
    return SegmentationTask(network, preparation=data.preparation, sources=data.sources, **options)


def trainer(tmp_path, **options) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **options,
    )


@pytest.mark.slow
def test_learns_scores_and_saves(data, tmp_path):
    mine = task(data)
    run = trainer(tmp_path)
    run.fit(mine, datamodule=data)
    run.save_checkpoint(tmp_path / "mine.ckpt")
    run.test(mine, datamodule=data, verbose=False)
    found, _ = checkpoint.load(tmp_path / "mine.ckpt")
    assert found.preparation == data.preparation and found.split == data.split.anonymous()
    assert found.thresholds == {"disc": 0.5, "cup": 0.5} and found.sources == data.sources
    again = SegmentationTask.load_from_checkpoint(tmp_path / "mine.ckpt")
    assert again.sources == data.sources and again.preparation == data.preparation
    trainer(tmp_path).test(again, datamodule=data, verbose=False)
    assert again.results["test"] == mine.results["test"]
    assert {s.n + s.undefined for s in again.results["test"] if (s.source, s.region) == (ALL, "disc")} == {
        len(data.split.test)
    }


class Modes(Callback):
    """Which modules do not train."""

    def on_train_batch_start(self, trainer, pl_module, *args) -> None:
        self.at_rest = {name for name, module in pl_module.model.named_modules() if not module.training}


@pytest.mark.slow
def test_a_task_that_was_loaded_trains_all_of_its_network(data, tmp_path):
    run, modes = trainer(tmp_path), Modes()
    run.fit(task(data), datamodule=data)
    run.save_checkpoint(tmp_path / "mine.ckpt")
    again = SegmentationTask.load_from_checkpoint(tmp_path / "mine.ckpt")
    assert not again.model.training, "its predictions are those of the file"
    trainer(tmp_path, callbacks=[modes]).fit(again, datamodule=data)
    assert modes.at_rest == set()


@pytest.mark.slow
def test_logged_names(data, tmp_path):
    run = trainer(tmp_path)
    run.fit(task(data), datamodule=data)
    logged = set(run.logged_metrics)
    assert {"train/loss", "val/loss", "val/dice", "val/disc_dice", "val/vertical_cdr_error"} <= logged
    assert {"val_phantom/cup_iou", "val_disc_only/disc_dice"} <= logged
    assert not any(name.startswith("val_disc_only/cup") for name in logged)


@pytest.mark.slow
def test_unlabelled_cup_moves_nothing_that_only_the_cup_uses(data):
    mine = task(data)
    data.prepare_data()
    data.setup()
    batch = next(iter(data.train_dataloader()))
    batch["valid"] = torch.tensor([[True, False]]).expand(8, 2)
    mine._score(batch, "train")["loss"].backward()
    head = next(m for m in reversed(list(mine.model.modules())) if isinstance(m, torch.nn.Conv2d))
    assert head.weight.grad[0].abs().sum() > 0
    assert head.weight.grad[1].abs().sum() == 0


@pytest.mark.slow
def test_padding_changes_no_score(data, tmp_path):
    results = []
    for size in (5, 8):
        data.batch_size = size
        mine = task(data)
        trainer(tmp_path).test(mine, datamodule=data, verbose=False)
        results.append({(s.source, s.region, s.metric): (round(s.value, 5), s.n) for s in mine.results["test"]})
    assert results[0] == results[1]


@pytest.mark.slow
def test_two_runs_give_the_same_weights(data, tmp_path):
    states = []
    for _ in range(2):
        mine = task(data)
        trainer(tmp_path).fit(mine, datamodule=data)
        states.append(mine.model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("schedule", [None, OneCycle(), Cosine(), Plateau()])
@pytest.mark.slow
def test_every_schedule_trains(data, tmp_path, schedule):
    mine = task(data, schedule=schedule)
    run = trainer(tmp_path)
    run.fit(mine, datamodule=data)
    rate = run.optimizers[0].param_groups[0]["lr"]
    assert rate == pytest.approx(2e-3) if isinstance(schedule, Plateau | None) else rate < 1e-3


def test_network_that_does_not_fit_the_data():
    with pytest.raises(ConfigurationError, match="network of 1 output channels for the regions disc, cup"):
        SegmentationTask(UNet(out_channels=1))
    with pytest.raises(ConfigurationError, match="96"):
        SegmentationTask(UNet(depth=4), preparation=Preparation(image_size=90))


@pytest.mark.slow
def test_lightnings_own_way_loads_a_file_of_the_command_line(data, tmp_path, monkeypatch):
    """Its hyper-parameters are the whole YAML, whose ``model`` is no network; no class that they name is imported."""
    (tmp_path / "strange.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    first = task(data)
    first.configuration = "model: {loss: {class_path: strange.Loss}}"
    first.save_hyperparameters({"model": {"model": {"class_path": "strange.Net"}}, "seed_everything": 1})
    run = trainer(tmp_path, limit_train_batches=1, limit_val_batches=1)
    run.fit(first, datamodule=data)
    first.thresholds.copy_(torch.tensor([0.4, 0.6]))
    run.save_checkpoint(tmp_path / "cli.ckpt")
    again = SegmentationTask.load_from_checkpoint(tmp_path / "cli.ckpt", map_location="cpu", loss=DiceLoss())
    assert again.sources == first.sources and again.configuration == first.configuration
    assert again.thresholds.tolist() == first.thresholds.tolist() and isinstance(again.loss, DiceLoss)
    image = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(again.eval()(image), first.eval()(image))


@pytest.mark.slow
def test_a_compiled_training_is_the_same_training(data, tmp_path):
    weights = []
    for compiled in (False, True):
        torch.manual_seed(0)
        network = UNet(start_channels=2, depth=1)
        mine = SegmentationTask(network, preparation=data.preparation, sources=data.sources, compile=compiled)
        trainer(tmp_path, limit_train_batches=2).fit(mine, datamodule=data)
        assert compiled == (mine._compiled is not None and mine._compiled.is_compiled)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
        assert not any("_orig_mod" in name for name in mine.state_dict())
    assert torch.allclose(*weights, atol=1e-3)
