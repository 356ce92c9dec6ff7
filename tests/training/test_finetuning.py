"""Two stages of training, and averaged weights: what stands still, what moves, at which rate, and after a resume."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import nn

from fundusseg import fit
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.models import MobileUNet, SMPModel, UNet, checkpoint
from fundusseg.training.callbacks import ContourPanel
from fundusseg.training.cli import FundusCLI
from fundusseg.training.finetuning import TwoStage, stages, trainable
from fundusseg.training.schedules import Cosine, OneCycle, Plateau
from fundusseg.training.task import SegmentationTask
from tests.support.retest import retest
from tests.support.tiny import TINY

NETWORKS = {
    "native": lambda: UNet(start_channels=4, depth=2),
    "dropout": lambda: UNet(start_channels=4, depth=2, dropout=0.5, max_pool=False),
    "mobile": MobileUNet,
    "library": lambda: SMPModel("Unet", "resnet18", options={"decoder_channels": [8, 8, 8, 4, 4]}),
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def data(tmp_path) -> FundusDataModule:
    return FundusDataModule([Phantom(count=16, size=96)], image_size=32, batch_size=4, cache_dir=str(tmp_path))


def new_task(data: FundusDataModule, network: str = "native", **options) -> SegmentationTask:
    torch.manual_seed(0)
    return SegmentationTask(NETWORKS[network](), preparation=data.preparation, sources=data.sources, **options)


def trainer(folder: Path, *callbacks: Callback, epochs: int = 4, **options) -> Trainer:
    settings = {"max_epochs": epochs, "enable_checkpointing": False, "num_sanity_val_steps": 0, **options}
    return Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **settings,
    )


class Diary(Callback):
    """Keeps the network's state and the groups' rates at the end of each epoch, the first state at the start."""

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []
        self.rates: list[dict[str, float]] = []

    def on_train_start(self, trainer, pl_module):
        self.states.append({name: value.clone() for name, value in pl_module.model.state_dict().items()})

    def on_train_epoch_end(self, trainer, pl_module):
        self.on_train_start(trainer, pl_module)
        groups = trainer.optimizers[0].param_groups
        self.rates.append({group.get("name", ""): group["lr"] for group in groups})

    def moved(self, epoch: int) -> set[str]:
        """Names of the tensors that are not bit for bit what they were before an epoch."""
        before, after = self.states[epoch : epoch + 2]
        return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.slow
def test_encoder_stands_still_then_moves(data, tmp_path, network):
    diary, task = Diary(), new_task(data, network)
    encoder = {f"encoder.{name}" for name in task.model.encoder.state_dict()}
    assert any("running_mean" in name for name in encoder)
    trainer(tmp_path, TwoStage(2), diary, epochs=3).fit(task, datamodule=data)
    for epoch in (0, 1):
        assert not encoder & diary.moved(epoch)
        assert any(name.startswith("decoder.") for name in diary.moved(epoch))
        assert any(name.startswith("segmentation_head.") for name in diary.moved(epoch))
    assert encoder <= diary.moved(2)
    assert all(parameter.requires_grad for parameter in task.model.parameters())


@pytest.mark.slow
def test_a_frozen_encoder_predicts_the_same_in_training(data, tmp_path):
    """Batch norm and dropout behave as in evaluation."""

    class Look(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            encoder = pl_module.model.encoder
            with torch.no_grad():
                pixels = pl_module.model.normalise(batch["image"])
                once, twice = encoder(pixels), encoder(pixels)
            same.append(all(torch.equal(a, b) for a, b in zip(once, twice, strict=True)))
            assert pl_module.model.decoder.training

    same: list[bool] = []
    trainer(tmp_path, TwoStage(1), Look(), epochs=2).fit(new_task(data, "dropout"), datamodule=data)
    half = len(same) // 2
    assert same == [True] * half + [False] * half


class Worse(Callback):
    """Logs a figure that no network improves."""

    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("worse", float(trainer.current_epoch))


@pytest.mark.parametrize("schedule", [None, OneCycle(), Cosine(), Plateau(monitor="worse", patience=0)])
@pytest.mark.slow
def test_rates_keep_their_proportion_under_every_schedule(data, tmp_path, schedule):
    plain, staged = Diary(), Diary()
    trainer(tmp_path, Worse(), plain).fit(new_task(data, schedule=schedule), datamodule=data)
    stages = TwoStage(2, encoder_rate=0.25)
    trainer(tmp_path, Worse(), stages, staged).fit(new_task(data, schedule=schedule), datamodule=data)
    for alone, both in zip(plain.rates, staged.rates, strict=True):
        assert both["decoder"] == pytest.approx(alone[""])
        assert both["encoder"] == pytest.approx(0.25 * both["decoder"])
    if schedule is not None:
        assert staged.rates[-1]["encoder"] < staged.rates[0]["encoder"]


@pytest.mark.parametrize(("network", "count"), [("native", 3), ("dropout", 3), ("mobile", 15), ("library", 6)])
@pytest.mark.slow
def test_rates_fall_from_stage_to_stage(data, tmp_path, network, count):
    diary, task = Diary(), new_task(data, network, schedule=None)
    trainer(tmp_path, TwoStage(1, encoder_rate=0.5, layer_decay=0.8), diary, epochs=2).fit(task, datamodule=data)
    names = [f"encoder_{number}" for number in reversed(range(count))]
    assert list(diary.rates[-1]) == ["decoder", *names]
    for above, name in enumerate(names):
        assert diary.rates[-1][name] == pytest.approx(2e-3 * 0.5 * 0.8**above)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_every_parameter_is_in_one_group(network, layer_decay):
    model = NETWORKS[network]()
    groups = TwoStage(layer_decay=layer_decay).groups(model)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


def test_stages_follow_the_levels():
    encoder = UNet(start_channels=2, depth=2, max_pool=False).encoder
    assert [len(part) for part in stages(encoder)] == [
        len(trainable(encoder.blocks[level])) + (len(trainable(encoder.downs[level])) if level < 2 else 0)
        for level in range(3)
    ]
    transformer = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3))
    transformer.register_parameter("position", nn.Parameter(torch.zeros(4)))
    assert [[tuple(p.shape) for p in part] for part in stages(transformer)] == [[(4,), (2, 2), (2,)], [(3, 2), (3,)]]
    assert [len(part) for part in stages(nn.Sequential(nn.Sequential(nn.Linear(2, 2))))] == [2]


@pytest.mark.slow
def test_what_the_network_itself_holds_fixed_stays_fixed(data, tmp_path):
    task, diary = new_task(data), Diary()
    task.model.encoder.blocks[0].requires_grad_(False)
    trainer(tmp_path, TwoStage(1), diary, epochs=2).fit(task, datamodule=data)
    moved = {name for name in diary.moved(1) if "running" not in name and "tracked" not in name}
    assert "encoder.blocks.1.layers.0.weight" in moved
    assert not any(name.startswith("encoder.blocks.0.") for name in moved)


class SaveEachEpoch(Callback):
    """Writes the run's state as the checkpoint callback does: at the end of validation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer, pl_module):
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")


@pytest.mark.parametrize("schedule", [OneCycle(), Plateau(patience=0, mode="max")])
@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.slow
def test_a_resumed_run_ends_where_the_whole_run_ends(data, tmp_path, epoch, schedule):
    """Stopped in the first stage, at its end, and in the second stage."""
    whole, again = new_task(data, schedule=schedule), new_task(data, schedule=schedule)
    options = {"frozen_epochs": 2, "layer_decay": 0.8}
    trainer(tmp_path, TwoStage(**options), SaveEachEpoch(tmp_path)).fit(whole, datamodule=data)
    diary = Diary()
    run = trainer(tmp_path, TwoStage(**options), diary)
    run.fit(again, datamodule=data, ckpt_path=tmp_path / f"{epoch}.ckpt")
    assert len(diary.rates) == 4 - epoch
    found, expected = again.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


class SaveInTheMiddle(Callback):
    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize(("step", "frozen"), [(1, True), (3, False)])
@pytest.mark.slow
def test_resume_within_an_epoch_enters_its_stage(data, tmp_path, step, frozen):
    """Two steps an epoch, of which the first is frozen."""
    path = tmp_path / "middle.ckpt"
    trainer(tmp_path, TwoStage(1), SaveInTheMiddle(path, step), epochs=2).fit(new_task(data), datamodule=data)
    task, seen = new_task(data), []

    class Look(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            encoder = pl_module.model.encoder
            seen.append((encoder.training, encoder.blocks[0].layers[0].weight.requires_grad))

    trainer(tmp_path, TwoStage(1), Look(), epochs=2).fit(task, datamodule=data, ckpt_path=path)
    assert seen[0] == (not frozen, not frozen)


@pytest.mark.slow
def test_nothing_frozen_is_left_behind(data, tmp_path):
    class Stop(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            assert not any(parameter.requires_grad for parameter in pl_module.model.encoder.parameters())
            trainer.should_stop = True

    class Break(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            raise OSError("the disk is full")

    def free() -> bool:
        return all(p.requires_grad for p in task.model.parameters()) and all(m.training for m in task.model.modules())

    task, diary = new_task(data), Diary()
    trainer(tmp_path, TwoStage(2), Stop()).fit(task, datamodule=data)
    assert free()
    with pytest.raises(OSError, match="disk"):
        trainer(tmp_path, TwoStage(2), Break()).fit(task, datamodule=data)
    assert free()
    trainer(tmp_path, diary, epochs=1).fit(task, datamodule=data)
    assert diary.moved(0) >= {f"encoder.{name}" for name in task.model.encoder.state_dict()}
    assert list(diary.rates[0]) == [""]
    trainer(tmp_path, TwoStage(2)).test(task, datamodule=data, verbose=False)
    assert all(parameter.requires_grad for parameter in task.model.parameters())


class Headless(nn.Module):
    """A network without an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)
        self.spec = {"class_path": "tests.training.test_finetuning.Headless", "init_args": {}}

    def forward(self, image):
        return self.layer(image / 255)


@pytest.mark.slow
def test_what_cannot_be_trained_in_two_stages(data, tmp_path):
    for wrong, words in (
        ({"frozen_epochs": -1}, "got frozen_epochs -1; expected 0 or more"),
        ({"encoder_rate": 0.0}, "got encoder_rate 0.0; expected a factor above 0"),
        ({"layer_decay": 1.5}, "got layer_decay 1.5; expected a factor above 0, up to 1"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            TwoStage(**wrong)
    with pytest.raises(ConfigurationError, match="network Headless without `encoder`"):
        trainer(tmp_path, TwoStage(1)).fit(SegmentationTask(Headless()), datamodule=data)
    for epochs in (1, 2):
        with pytest.raises(ConfigurationError, match=f"stage of 2 epochs in a training of {epochs} epochs"):
            trainer(tmp_path, TwoStage(2), epochs=epochs).fit(new_task(data), datamodule=data)
    with pytest.raises(ConfigurationError, match="stage of 4 steps in a training of 4 steps"):
        trainer(tmp_path, TwoStage(2), epochs=-1, max_steps=4).fit(new_task(data), datamodule=data)
    trainer(tmp_path, TwoStage(2), epochs=-1, max_steps=5).fit(new_task(data), datamodule=data)
    trainer(tmp_path, TwoStage(0), epochs=1).fit(new_task(data), datamodule=data)
    trainer(tmp_path, TwoStage(5), fast_dev_run=True).fit(new_task(data), datamodule=data)


STAGES = {"class_path": "fundusseg.training.TwoStage", "init_args": {"frozen_epochs": 1, "layer_decay": 0.9}}
AVERAGE = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": 0.8}}


def configuration(folder: Path, *callbacks: dict) -> str:
    path = folder / "extra.yaml"
    path.write_text(yaml.safe_dump({"trainer": {"callbacks": list(callbacks)}}))
    return f"--config={path}"


@pytest.mark.parametrize("callbacks", [[STAGES], [AVERAGE], [STAGES, AVERAGE]])
@pytest.mark.slow
def test_from_a_configuration_to_the_test_and_back(callbacks, tmp_path, monkeypatch):
    """The run tests the weights that its best checkpoint holds; its saved configuration runs again."""
    monkeypatch.chdir(tmp_path)
    arguments = [*TINY, "--trainer.max_epochs=3", f"--data.cache_dir={tmp_path}/cache"]
    assert fit.main([*arguments, configuration(tmp_path, *callbacks)]) == 0
    run = tmp_path / "runs" / "version_0"
    best = str(run / "checkpoints" / "best.ckpt")
    assert retest(best, tmp_path) == json.loads((run / "test.json").read_text())["scores"]
    assert fit.main([f"--config={run / 'config.yaml'}"]) == 0
    assert (tmp_path / "runs" / "version_1" / "test.json").read_text() == (run / "test.json").read_text()


@pytest.mark.slow
def test_wrong_stages_in_a_configuration_end_in_one_sentence_before_data_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong, words in (
        ({"frozen_epochs": 1}, "a frozen stage of 1 epochs in a training of 1 epochs"),
        ({"encoder_rate": -1}, "encoder_rate -1"),
    ):
        extra = configuration(tmp_path, {**STAGES, "init_args": wrong})
        with pytest.raises(ConfigurationError, match=words) as caught:
            fit.main([*TINY, f"--data.cache_dir={tmp_path}/cache", extra])
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "cache").exists()


class AverageByHand(Callback):
    """The exponential average of one tensor, its first value after the first step."""

    def __init__(self, decay: float) -> None:
        self.decay, self.value, self.at_epoch = decay, None, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        current = pl_module.model.segmentation_head.weight.detach().clone()
        self.value = current if self.value is None else self.decay * self.value + (1 - self.decay) * current

    def on_train_epoch_end(self, trainer, pl_module):
        self.at_epoch.append(self.value)


@pytest.mark.slow
def test_checkpoints_hold_the_averaged_weights_and_are_chosen_by_them(data, tmp_path):
    keep = ModelCheckpoint(tmp_path / "kept", "{epoch}", monitor="val/dice", mode="max", save_top_k=-1)
    by_hand, task = AverageByHand(0.8), new_task(data)
    run = trainer(tmp_path, EMAWeightAveraging(decay=0.8), by_hand, keep, epochs=3, enable_checkpointing=True)
    run.fit(task, datamodule=data)
    for epoch, expected in enumerate(by_hand.at_epoch):
        description, weights = checkpoint.load(tmp_path / "kept" / f"epoch={epoch}.ckpt")
        assert torch.allclose(weights["segmentation_head.weight"], expected, atol=1e-6)
        network = checkpoint.build(description, weights)
        again = SegmentationTask(network, preparation=data.preparation, sources=data.sources)
        trainer(tmp_path).validate(again, datamodule=data, verbose=False)
        score = keep.best_k_models[str(tmp_path / "kept" / f"epoch={epoch}.ckpt")]
        means = [s.value for s in again.results["val"] if (s.source, s.metric) == ("all", "dice")]
        assert sum(means) / len(means) == pytest.approx(float(score), abs=1e-6)


def test_the_contour_pictures_show_the_averaged_network(tmp_path, monkeypatch):
    """Averaging puts the trained weights back at the end of a validation, after the pictures and before the file."""
    monkeypatch.chdir(tmp_path)
    callbacks = FundusCLI([*TINY, configuration(tmp_path, AVERAGE)]).trainer.callbacks
    kinds = [type(callback) for callback in callbacks]
    assert kinds.index(ContourPanel) < kinds.index(EMAWeightAveraging) < kinds.index(ModelCheckpoint) == len(kinds) - 2


@pytest.mark.slow
def test_a_test_by_the_trainer_that_trained_takes_the_averaged_weights(data, tmp_path):
    task = new_task(data)
    run = trainer(tmp_path, EMAWeightAveraging(decay=0.8), SaveEachEpoch(tmp_path), epochs=2)
    run.fit(task, datamodule=data)
    run.test(task, datamodule=data, ckpt_path=tmp_path / "0.ckpt", verbose=False)
    content = torch.load(tmp_path / "0.ckpt", weights_only=True)
    name = "model.segmentation_head.weight"
    assert not torch.equal(content["state_dict"][name], content["current_model_state"][name])
    assert torch.equal(task.state_dict()[name], content["state_dict"][name])


@pytest.mark.slow
def test_averaged_runs_resume(data, tmp_path):
    whole, again = new_task(data), new_task(data)
    trainer(tmp_path, TwoStage(1), EMAWeightAveraging(decay=0.8), SaveEachEpoch(tmp_path)).fit(whole, datamodule=data)
    resumed = trainer(tmp_path, TwoStage(1), EMAWeightAveraging(decay=0.8))
    resumed.fit(again, datamodule=data, ckpt_path=tmp_path / "1.ckpt")
    found, expected = again.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
