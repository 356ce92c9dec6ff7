"""The searched thresholds: known answers, and the way into the checkpoint and out again."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer

from fundusseg import evaluate, fit
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom
from fundusseg.inference.predictor import Predictor
from fundusseg.measures.label_map import label_map
from fundusseg.models import UNet, checkpoint
from fundusseg.training.task import SegmentationTask
from fundusseg.training.thresholds import GRID, ThresholdScores, ThresholdSearch
from tests.support.retest import retest
from tests.support.tiny import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def mean_dice(probability: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    """Mean over pictures (N, H, W), one at a time; pictures without a Dice are left out."""
    values = []
    for picture, true in zip(probability, truth, strict=True):
        found = picture > np.float32(threshold)
        if found.any() or true.any():
            values.append(2 * (found & true).sum() / (found.sum() + true.sum()))
    return float(np.mean(values)) if values else float("nan")


def test_a_ramp_is_cut_where_the_truth_begins():
    ramp = torch.linspace(0, 1, 1001).expand(3, 2, 1, -1)
    truth = ramp > torch.tensor([0.301, 0.851])[:, None, None]
    scores = ThresholdScores(2)
    scores.update(ramp, truth, torch.ones(3, 2, dtype=torch.bool))
    assert scores.best() == [0.3, 0.85]


def test_means_equal_a_plain_loop():
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(12, 2, 6, 6, generator=generator)
    truth = torch.rand(12, 2, 6, 6, generator=generator) > torch.rand(12, 2, 1, 1, generator=generator)
    truth[3] = False
    valid = torch.rand(12, 2, generator=generator) > 0.3
    scores = ThresholdScores(2)
    for part in torch.arange(12).chunk(3):
        scores.update(probability[part], truth[part], valid[part])
    for region in range(2):
        use = valid[:, region]
        picked = probability[use, region].numpy(), truth[use, region].numpy()
        expected = [mean_dice(*picked, threshold) for threshold in GRID]
        assert scores.compute()[:, region].tolist() == pytest.approx(expected, abs=1e-6)
        assert scores.best()[region] == GRID[int(np.argmax(expected))]


def test_state_has_a_fixed_size():
    scores = ThresholdScores(2)
    for count in (1, 5, 2):
        scores.update(torch.rand(count, 2, 4, 4), torch.ones(count, 2, 4, 4) > 0, torch.ones(count, 2) > 0)
        assert scores.total.shape == scores.count.shape == (len(GRID), 2)


def test_of_equal_thresholds_the_nearest_to_the_middle_and_no_labels_leave_it():
    certain = torch.zeros(1, 2, 4, 4)
    certain[:, :, 1:3] = 1.0
    scores = ThresholdScores(2)
    scores.update(certain, certain > 0, torch.tensor([[True, False]]))
    assert scores.best() == [0.5, 0.5]
    scores.update(certain * 0.3, certain > 0, torch.tensor([[False, True]]))
    assert scores.best() == [0.5, 0.25]


class ClosedTest(FundusDataModule):
    """Nobody may look at the test pictures."""

    def test_dataloader(self):
        raise AssertionError("the test pictures were asked for")


@pytest.fixture
def data(tmp_path) -> FundusDataModule:
    return ClosedTest([Phantom(count=24, size=96)], image_size=32, batch_size=4, cache_dir=str(tmp_path))


def trainer(folder: Path, *callbacks: Callback, epochs: int = 1) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def trained(data: FundusDataModule, folder: Path) -> UNet:
    torch.manual_seed(0)
    network = UNet(start_channels=8, depth=2)
    task = SegmentationTask(
        network,
        preparation=data.preparation,
        sources=data.sources,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    )
    trainer(folder, epochs=24).fit(task, datamodule=data)
    return network


def standing_still(network: UNet, data: FundusDataModule) -> SegmentationTask:
    """Training that moves neither weights nor statistics."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.0
    return SegmentationTask(
        network,
        preparation=data.preparation,
        sources=data.sources,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0),
        schedule=None,
    )


def validation(network: torch.nn.Module, data: FundusDataModule) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truth of all validation pictures, (R, N, H, W)."""
    samples = [data.subsets["val"][index] for index in range(len(data.subsets["val"]))]
    images, targets = (torch.stack([sample[name] for sample in samples]) for name in ("image", "target"))
    with torch.no_grad():
        probability = network.eval()(images).sigmoid().transpose(0, 1).numpy()
    return probability, (targets.transpose(0, 1) > 127).numpy()


def test_a_shifted_network_gets_shifted_thresholds(data, tmp_path):
    task = standing_still(trained(data, tmp_path), data)
    trainer(tmp_path, ThresholdSearch()).fit(task, datamodule=data)
    start, shift = task.thresholds.clone(), torch.tensor([-2.0, 1.0])
    before = [mean_dice(*p, float(t)) for *p, t in zip(*validation(task.model, data), start, strict=True)]
    assert min(before) > 0.6
    with torch.no_grad():
        task.model.segmentation_head.bias += shift
    run = trainer(tmp_path, ThresholdSearch())
    run.fit(task, datamodule=data)
    assert (task.thresholds - (start.logit() + shift).sigmoid()).abs().max() < 0.06  # a step of the grid
    for found, dice, *pictures in zip(task.thresholds.tolist(), before, *validation(task.model, data), strict=True):
        means = [mean_dice(*pictures, threshold) for threshold in GRID]
        assert found == pytest.approx(GRID[int(np.argmax(means))])
        assert max(means) == pytest.approx(dice, abs=0.05)
        assert max(means) > mean_dice(*pictures, 0.5)
    assert run.logged_metrics["val/disc_threshold"] == task.thresholds[0]


class DiceOfEpochs(Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.values.append(float(trainer.callback_metrics["val/dice"]))


def test_what_chooses_the_checkpoint_does_not_move(data, tmp_path):
    seen, weights = [], []
    for search in ([], [ThresholdSearch()]):
        torch.manual_seed(0)
        network = UNet(start_channels=4, depth=2)
        task = SegmentationTask(network, preparation=data.preparation, sources=data.sources)
        watch = DiceOfEpochs()
        trainer(tmp_path, *search, watch, epochs=4).fit(task, datamodule=data)
        seen.append(watch.values)
        weights.append(network.state_dict())
    assert seen[0] == seen[1] and len(seen[0]) == 4
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert task.thresholds.tolist() != [0.5, 0.5]


def test_outside_of_training_nothing_is_searched(data, tmp_path):
    task = standing_still(UNet(start_channels=4, depth=2), data)
    task.thresholds.copy_(torch.tensor([0.3, 0.7]))
    trainer(tmp_path, ThresholdSearch()).validate(task, datamodule=data, verbose=False)
    assert task.thresholds.tolist() == pytest.approx([0.3, 0.7])


LONGER = ["--trainer.max_epochs=15", "--model.optimizer=AdamW", "--model.optimizer.lr=0.01"]
SEARCH = "--trainer.callbacks+=fundusseg.training.ThresholdSearch"
AVERAGE = ["--trainer.callbacks+=lightning.pytorch.callbacks.EMAWeightAveraging", "--trainer.callbacks.decay=0.7"]


@pytest.fixture(scope="module", params=[[SEARCH], [SEARCH, *AVERAGE], [*AVERAGE, SEARCH]])
def run_folder(request, tmp_path_factory) -> Path:
    """One run of the command, without and with averaged weights."""
    place = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert fit.main([*TINY, *LONGER, f"--data.cache_dir={place}/cache", *request.param]) == 0
    return place / "runs" / "version_0"


def own_data(cache: Path) -> FundusDataModule:
    """The data of `TINY`, prepared by the run."""
    data = FundusDataModule([Phantom(count=24, size=96)], image_size=32, cache_dir=str(cache))
    data.setup()
    return data


def test_the_best_checkpoint_holds_its_own_thresholds(run_folder):
    best = run_folder / "checkpoints" / "best.ckpt"
    description, weights = checkpoint.load(best)
    data = own_data(run_folder.parents[1] / "cache")
    pictures = validation(checkpoint.build(description, weights), data)
    for found, probability, truth in zip(description.thresholds.values(), *pictures, strict=True):
        means = [mean_dice(probability, truth, threshold) for threshold in GRID]
        assert means[int(np.argmin(np.abs(np.array(GRID) - found)))] == pytest.approx(max(means), abs=1e-6)
    assert set(description.thresholds.values()) != {0.5}


def test_evaluate_and_the_run_itself_use_them(run_folder, tmp_path):
    best = run_folder / "checkpoints" / "best.ckpt"
    assert retest(best, tmp_path) == json.loads((run_folder / "test.json").read_text())["scores"]
    assert evaluate.main(["--checkpoint", str(best), "--output", str(tmp_path / "own")]) == 0
    content = torch.load(best, weights_only=True)
    content[checkpoint.KEY]["thresholds"] = {"disc": 0.5, "cup": 0.5}
    torch.save(content, tmp_path / "middle.ckpt")
    assert evaluate.main(["--checkpoint", str(tmp_path / "middle.ckpt"), "--output", str(tmp_path / "middle")]) == 0
    own, middle = (
        pd.read_csv(tmp_path / name / "images.csv").groupby("protocol").disc_dice.mean() for name in ("own", "middle")
    )
    assert own["automatic_roi"] != middle["automatic_roi"]
    assert own["ground_truth_roi"] == middle["ground_truth_roi"], "this protocol has its own threshold"


def test_predict_uses_them(run_folder):
    predictor = Predictor.from_checkpoint(run_folder / "checkpoints" / "best.ckpt")
    thresholds = predictor.description.thresholds
    image = next(iter(Phantom(count=1, size=96))).image
    prediction = predictor(image)
    expected = label_map(prediction.probabilities, ("disc", "cup"), thresholds)
    assert np.array_equal(prediction.label_map, expected)
    assert not np.array_equal(expected, label_map(prediction.probabilities, ("disc", "cup"), 0.5))


SCORES_ON_XLA = """
import torch, torch_xla
from torch_xla.debug import metrics
from fundusseg.training.thresholds import ThresholdScores

device = torch_xla.device()
scores = ThresholdScores(2).to(device)
for step in range(5):
    parts = torch.rand(2, 2, 8, 8), torch.rand(2, 2, 8, 8) > 0.5, torch.rand(2, 2) > 0.4
    scores.update(*(part.to(device) for part in parts))
    torch_xla.sync()
    if step == 1:
        compiled = metrics.metric_data("CompileTime")[0]
assert metrics.metric_data("CompileTime")[0] == compiled, "a later step compiled again"
fallen = [name for name in metrics.counter_names() if name.startswith("aten::")]
assert not fallen, fallen
"""


@pytest.mark.skipif(find_spec("torch_xla") is None, reason="torch_xla is not installed (pip install fundusseg[xla])")
def test_the_search_stays_on_xla():
    environment = {"PJRT_DEVICE": "CPU", "OMP_NUM_THREADS": "1", "PATH": ""}
    command = [sys.executable, "-c", SCORES_ON_XLA]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
