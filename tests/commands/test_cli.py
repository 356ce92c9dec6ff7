"""The commands as a user types them: what they write, and what they say when something is wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from fundusseg import evaluate, fit, predict
from fundusseg.datasets import Phantom
from fundusseg.errors import CheckpointError, ConfigurationError, DatasetError, FundusSegError, ImageError
from fundusseg.imaging.image_files import read_mask, write_png
from fundusseg.inference.model_bundle import KEY
from fundusseg.inference.segmenter import Segmenter
from fundusseg.training.callbacks import ContourPanel
from fundusseg.training.cli import FundusCLI
from tests.miniatures import drishti_gs, folder
from tests.support.retest import retest
from tests.support.tiny import TINY

DOT = np.zeros((1, 1, 3), np.uint8)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """One trained run."""
    place = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert fit.main([*TINY, f"--data.cache_dir={place}/cache"]) == 0
    return place / "runs" / "version_0"


@pytest.fixture
def best(run_folder) -> str:
    return str(run_folder / "checkpoints" / "best.ckpt")


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Three crops as files."""
    for sample in Phantom(count=3, size=128):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_png(tmp_path / "in" / f"{sample.record.name}.png", sample.image)
    return tmp_path / "in"


@pytest.mark.slow
def test_fit_leaves_all_that_belongs_to_a_run(run_folder):
    assert {"config.yaml", "split.json", "test.json"} <= {path.name for path in run_folder.iterdir()}
    assert {path.name for path in (run_folder / "checkpoints").iterdir()} == {
        f"{name}.{kind}" for name in ("best", "last") for kind in ("ckpt", "md")
    }
    assert any("events.out.tfevents" in path.name for path in run_folder.iterdir())
    scores = json.loads((run_folder / "test.json").read_text())["scores"]
    assert {(row["source"], row["region"], row["metric"]) for row in scores} >= {
        ("phantom", "disc", "dice"),
        ("all", "disc+cup", "vertical_cdr_error"),
    }


@pytest.mark.slow
def test_fit_says_in_one_line_what_it_did_not_take(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    drishti_gs.build(tmp_path, count=6)
    write_png(tmp_path / "desk.png", Phantom(count=1, size=96)[0].image)
    data = '--data.datasets=[{"class_path": "fundusseg.datasets.DrishtiGS", "init_args": {"root": "."}}]'
    assert (
        fit.main([*TINY, data, "--data.batch_size=2", f"--data.cache_dir={tmp_path}/c", "--trainer.fast_dev_run=1"])
        == 0
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("drishti_gs: ")]
    assert len(lines) == 1 and "12 pictures, 101 are published (train 6 of 50, test 6 of 51)" in lines[0]
    assert "passed over 1 pictures that fit no name of the set: desk.png" in lines[0]


@pytest.mark.slow
def test_tensorboard_has_scalars_and_contours(run_folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_folder))
    events.Reload()
    assert {"train/loss", "val/loss", "val_phantom/disc_dice", "lr-AdamW"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["val/contours"]


@pytest.mark.slow
def test_a_finished_run_without_its_best_checkpoint_is_not_passed_over(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(run_folder / "checkpoints" / "last.ckpt", tmp_path)
    again = [*TINY, f"--data.cache_dir={run_folder.parents[1]}/cache", "--resume=last.ckpt"]
    with pytest.raises(
        ConfigurationError, match=r"trained to its end, without the best checkpoint that belongs to 'last\.ckpt'"
    ):
        fit.main(again)
    shutil.copy(run_folder / "checkpoints" / "best.ckpt", tmp_path)
    assert fit.main(again) == 0
    assert json.loads((tmp_path / "runs/version_0/test.json").read_text())["scores"]


@pytest.mark.slow
def test_contours_of_many_epochs_are_few(tmp_path, monkeypatch):
    drawn: list[int] = []

    def draw(self, trainer, task):
        drawn.append(trainer.current_epoch + 1)
        return DOT

    monkeypatch.setattr(ContourPanel, "draw", draw)
    monkeypatch.chdir(tmp_path)
    assert fit.main([*TINY, f"--data.cache_dir={tmp_path}/cache", "--trainer.max_epochs=13"]) == 0
    assert drawn == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13]


@pytest.mark.slow
def test_saved_configuration_runs_again_as_it_is(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fit.main([f"--config={run_folder / 'config.yaml'}"]) == 0
    first, again = (yaml.safe_load((f / "config.yaml").read_text()) for f in (run_folder, tmp_path / "runs/version_0"))
    assert first == again
    assert (run_folder / "test.json").read_text() == (tmp_path / "runs/version_0/test.json").read_text()


@pytest.mark.slow
def test_a_run_goes_on_from_its_last_epoch_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = [*TINY, f"--data.cache_dir={tmp_path}", "--model.schedule=fundusseg.training.Plateau"]
    assert fit.main([*common, "--trainer.max_epochs=3"]) == 0
    assert fit.main([*common, "--trainer.max_epochs=2"]) == 0
    half, whole = (tmp_path / "runs" / f"version_{n}" / "checkpoints" / "last.ckpt" for n in (1, 0))
    assert torch.load(half, weights_only=True)["epoch"] == 1
    assert fit.main([*common, "--trainer.max_epochs=3", f"--resume={half}"]) == 0
    resumed = tmp_path / "runs" / "version_2" / "checkpoints" / "last.ckpt"
    states = [torch.load(file, weights_only=True)["state_dict"] for file in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0] if name.startswith("model."))


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_run_whose_folder_was_moved_goes_on(epochs, tmp_path, monkeypatch):
    for place in ("old", "new"):
        (tmp_path / place).mkdir()
    common = [*TINY, f"--data.cache_dir={tmp_path}/cache"]
    monkeypatch.chdir(tmp_path / "old")
    assert fit.main(common) == 0
    (tmp_path / "old" / "runs").rename(tmp_path / "new" / "moved")
    monkeypatch.chdir(tmp_path / "new")
    last = "moved/version_0/checkpoints/last.ckpt"
    assert fit.main([*common, f"--resume={last}", f"--trainer.max_epochs={epochs}"]) == 0
    assert (tmp_path / "new/runs/version_0/test.json").is_file()


@pytest.mark.slow
def test_the_best_checkpoint_repeats_the_test(run_folder, best, tmp_path):
    assert retest(best, tmp_path) == json.loads((run_folder / "test.json").read_text())["scores"]


@pytest.mark.slow
def test_evaluate_needs_only_the_file_and_takes_the_test_patients(run_folder, best, tmp_path):
    assert evaluate.main(["--checkpoint", best, "--output", str(tmp_path)]) == 0
    images = pd.read_csv(tmp_path / "images.csv", dtype={"name": str})
    tested = json.loads((run_folder / "split.json").read_text())["test"]
    assert sorted("phantom/" + images[images.protocol == "automatic_roi"].name) == sorted(tested)


@pytest.mark.slow
def test_evaluate_other_data_refuses_known_patients(best, tmp_path):
    """Of the checkpoint's own datasets, known patients are left out; in another list they may be a mistake."""
    other = {
        "data": {"datasets": [{"class_path": "fundusseg.datasets.Phantom", "init_args": {"count": 30, "size": 96}}]}
    }
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    arguments = ["--checkpoint", best, "--config", str(tmp_path / "other.yaml"), "--output", str(tmp_path / "out")]
    # 24 phantoms: 5 tested, 16 trained, 3 chosen on; 6 are new.
    with pytest.raises(DatasetError, match=r"19 of 30 pictures"):
        evaluate.main(arguments)
    assert evaluate.main([*arguments, "--allow_seen"]) == 0
    figures = pd.read_csv(tmp_path / "out" / "figures.csv")
    assert set(figures.query("metric == 'dice'").n) == {30} and set(figures.seen) == {"patient"}


def test_predict_writes_pictures_and_measures(best, photographs, tmp_path):
    assert predict.main(["--checkpoint", best, str(photographs), "--output", str(tmp_path / "out")]) == 0
    table = pd.read_csv(tmp_path / "out" / "measures.csv")
    assert len(table) == 3 and {"vertical_cdr", "horizontal_cdr", "area_cdr", "reason", "error"} <= set(table)
    for path in photographs.iterdir():
        labels = read_mask(tmp_path / "out" / f"{path.stem}_labels.png")
        assert labels.shape == (128, 128) and set(np.unique(labels)) <= {0, 1, 2}
        assert cv2.imread(str(tmp_path / "out" / f"{path.stem}_overlay.jpg")).shape == (128, 128, 3)


def test_predict_lists_bad_files_and_does_the_rest(best, photographs, tmp_path, capsys):
    good = next(photographs.iterdir())
    (photographs / "cut.png").write_bytes(good.read_bytes()[:500])
    (photographs / "text.jpg").write_text("no picture")
    (photographs / "empty.tif").touch()
    (photographs / "inner").mkdir()
    shutil.copy(good, photographs / "inner" / good.name)
    assert predict.main(["--checkpoint", best, str(photographs), "--output", str(tmp_path / "out")]) == 1
    table = pd.read_csv(tmp_path / "out" / "measures.csv")
    assert sorted(Path(row).name for row in table[table.error.notna()].file) == ["cut.png", "empty.tif", "text.jpg"]
    assert table.vertical_cdr.isna()[table.error.notna()].all()
    said = capsys.readouterr().out
    assert all(name in said for name in ("cut.png", "empty.tif", "text.jpg", "4 of 7 photographs done"))
    assert (tmp_path / "out" / "inner" / f"{good.stem}_labels.png").is_file()


def settings(*arguments: str):
    return FundusCLI([*TINY, *arguments]).config


@pytest.mark.slow
def test_short_form_wins_only_when_given(tmp_path):
    (tmp_path / "a.yaml").write_text("trainer: {accelerator: auto}")
    # "--trainer.accelerator=cpu" stands in TINY, before the file: the later one counts.
    assert settings(f"--config={tmp_path / 'a.yaml'}").trainer.accelerator == "auto"
    assert settings(f"--config={tmp_path / 'a.yaml'}", "--accelerator=cpu").trainer.accelerator == "cpu"
    assert settings().trainer.accelerator == "cpu"


PIPELINE = """
data:
  variants:
    class_path: fundusseg.data.Variants
    init_args: {copies: 2, clahe: [0.04, 0.02], brightness: [0.9, 1.1]}
  train_augmentation:
    class_path: fundusseg.data.Augmentation
    init_args:
      transforms:
        - {class_path: albumentations.HorizontalFlip, init_args: {p: 1.0}}
        - class_path: albumentations.Affine
          init_args: {rotate: [-30, 30], scale: [0.8, 1.2], translate_percent: [-0.1, 0.1], border_mode: 4, p: 1.0}
        - {class_path: fundusseg.data.CoarseElastic, init_args: {deviation: 2.0, p: 1.0}}
        - {class_path: albumentations.CLAHE, init_args: {p: 1.0}}
        - {class_path: albumentations.ColorJitter, init_args: {brightness: [0.8, 1.2], p: 1.0}}
        - {class_path: albumentations.GaussianBlur, init_args: {p: 1.0}}
        - {class_path: albumentations.GaussNoise, init_args: {p: 1.0}}
"""


@pytest.mark.slow
def test_variants_and_pipeline_come_from_yaml(tmp_path):
    (tmp_path / "a.yaml").write_text(PIPELINE)
    data = FundusCLI([*TINY, f"--config={tmp_path / 'a.yaml'}", f"--data.cache_dir={tmp_path}"]).datamodule
    assert [type(t).__name__ for t in data.train_augmentation.transforms] == [
        "HorizontalFlip",
        "Affine",
        "CoarseElastic",
        "CLAHE",
        "ColorJitter",
        "GaussianBlur",
        "GaussNoise",
    ]
    data.prepare_data()
    data.setup()
    assert len(data.subsets["train"]) == 6 * len(data.split.train)
    assert next(iter(data.train_dataloader()))["image"].shape == (4, 3, 32, 32)


@pytest.mark.slow
def test_a_network_without_padding_trains_and_predicts_whole_pictures(tmp_path, photographs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unpadded = ["--model.model.padding=valid", "--data.image_size=60", f"--data.cache_dir={tmp_path}"]
    assert fit.main([*TINY, *unpadded]) == 0
    best = "runs/version_0/checkpoints/best.ckpt"
    assert predict.main(["--checkpoint", best, str(photographs), "--output", "out"]) == 0
    probabilities = Segmenter.from_checkpoint(best)(np.full((1, 60, 60, 3), 90, np.uint8))
    assert probabilities.shape == (1, 1, 2, 60, 60)


@pytest.mark.slow
def test_a_loss_that_weighs_pixels_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weighed = ["--data.border_weights=fundusseg.data.BorderWeights", "--model.loss=fundusseg.training.WeightedBCELoss"]
    assert fit.main([*TINY, *weighed, f"--data.cache_dir={tmp_path}"]) == 0


@pytest.mark.slow
def test_without_test_patients_nothing_is_tested(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert fit.main([*TINY, "--data.test_share=0", f"--data.cache_dir={tmp_path}"]) == 0
    assert "nothing was tested" in capsys.readouterr().out
    assert not list(tmp_path.rglob("test.csv"))


BAD_SETTINGS = {
    "no validation": (["--trainer.limit_val_batches=0"], ConfigurationError, ["limit_val_batches 0", "val/dice"]),
    "a validation after the end": (
        ["--trainer.check_val_every_n_epoch=5"],
        ConfigurationError,
        ["check_val_every_n_epoch 5 for 1 epochs", "val/dice"],
    ),
    "no machine": (["--trainer.num_nodes=0"], ConfigurationError, ["num_nodes", "correct --trainer"]),
    "a batch of one": (
        [
            "--model={model: {class_path: fundusseg.models.SMPModel, init_args: {architecture: DeepLabV3, "
            "encoder: tu-test_resnet}}}",
            "--data.batch_size=1",
        ],
        ConfigurationError,
        ["a batch of one picture", "raise --data.batch_size"],
    ),
    "unknown encoder": (
        ["--model.model=fundusseg.models.SMPModel", "--model.model.encoder=mobilenet_v22"],
        ConfigurationError,
        ["mobilenet_v22", "mobilenet_v2"],
    ),
    "unknown model": (["--model.model=fundusseg.models.Unett"], ConfigurationError, ["Unett"]),
    "unknown key": (["--data.image_sizes=3"], ConfigurationError, ["image_sizes", "image_size"]),
    "no such folder": (
        ["--data.datasets=[{class_path: fundusseg.datasets.DrishtiGS, init_args: {root: nowhere}}]"],
        DatasetError,
        ["nowhere", "--data.root"],
    ),
    "no such file": (["--config=none.yaml"], ConfigurationError, ["none.yaml"]),
    "wrong type": (["--data.batch_size=many"], ConfigurationError, ["batch_size", "many", "int"]),
    "wrong choice": (["--trainer.precision=bf16-mixd"], ConfigurationError, ["bf16-mixd", "'bf16-mixed'"]),
    "wrong rate": (["--model.optimizer=AdamW", "--model.optimizer.lr=fast"], ConfigurationError, ["lr", "fast"]),
    "wrong size": (["--data.image_size=50", "--model.model.depth=3"], ConfigurationError, ["50", "56"]),
    "nothing left without padding": (
        ["--data.image_size=60", "--model.model.depth=4", "--model.model.padding=valid"],
        ConfigurationError,
        ["60", "188", "mirror"],
    ),
    "unknown loss": (["--model.loss=fundusseg.training.DiceLos"], ConfigurationError, ["DiceLos", "DiceLoss"]),
    "unknown activation": (["--model.model.activation=rellu"], ConfigurationError, ["rellu", "relu"]),
    "frozen too long": (
        ["--trainer.callbacks=fundusseg.training.TwoStage", "--trainer.callbacks.frozen_epochs=9"],
        ConfigurationError,
        ["frozen stage of 9 epochs", "frozen_epochs"],
    ),
    "no encoder's file": (
        ["--model.model=fundusseg.models.MobileUNet", "--model.model.encoder_weights=none.pth"],
        ConfigurationError,
        ["none.pth"],
    ),
    "another architecture's weights": (
        ["--model.model=fundusseg.models.MobileUNet", "--model.model.encoder_weights=other.pth"],
        ConfigurationError,
        ["other.pth", "MobileUNet"],
    ),
    "weights for nobody": (
        ["--data.border_weights=fundusseg.data.BorderWeights"],
        ConfigurationError,
        ["takes none", "WeightedBCELoss"],
    ),
    "nobody's weights": (
        ["--model.loss=fundusseg.training.WeightedBCELoss"],
        ConfigurationError,
        ["needs them", "--data.border_weights"],
    ),
    "wrong accelerator": (["--accelerator=quantum"], ConfigurationError, ["quantum", "tpu"]),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
@pytest.mark.slow
def test_a_wrong_setting_ends_in_one_sentence(case, tmp_path, monkeypatch):
    arguments, kind, words = BAD_SETTINGS[case]
    monkeypatch.chdir(tmp_path)
    torch.save({"layer1.0.conv1.weight": torch.zeros(64, 64, 3, 3)}, "other.pth")
    with pytest.raises(kind) as caught:
        fit.main([*TINY, f"--data.cache_dir={tmp_path}", *arguments])
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_an_unknown_key_in_the_yaml_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_text("data: {imagesize: 3}")
    with pytest.raises(ConfigurationError, match="imagesize"):
        fit.main([f"--config={tmp_path / 'bad.yaml'}"])


def fit_folder(root: Path, reader: str) -> None:
    fit.main([*TINY, f"--data.datasets=[{{class_path: fundusseg.datasets.{reader}, init_args: {{root: {root}}}}}]"])


@pytest.mark.slow
def test_a_broken_dataset_ends_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.build(tmp_path / "orphan")
    shutil.copy(next((tmp_path / "orphan" / "masks").iterdir()), tmp_path / "orphan" / "masks" / "stray.png")
    with pytest.raises(DatasetError, match=r"stray\.png"):
        fit_folder(tmp_path / "orphan", "Folder")
    folder.build(tmp_path / "size")
    mask = next((tmp_path / "size" / "masks").iterdir())
    write_png(mask, read_mask(mask)[2:])
    with pytest.raises(DatasetError, match=mask.name):
        fit_folder(tmp_path / "size", "Folder")
    drishti_gs.build(tmp_path / "cut")
    picture = next((tmp_path / "cut").rglob("Images/**/*.png"))
    picture.write_bytes(picture.read_bytes()[:900])
    with pytest.raises(ImageError, match=picture.name):
        fit_folder(tmp_path / "cut", "DrishtiGS")


@pytest.mark.parametrize("verb", [evaluate, predict])
def test_what_is_no_checkpoint_of_ours(verb, tmp_path, photographs):
    (tmp_path / "other.ckpt").write_text("hello")
    rest = [str(photographs)] if verb is predict else []
    for name in ("other.ckpt", "none.ckpt"):
        with pytest.raises(CheckpointError, match=name):
            verb.main(["--checkpoint", str(tmp_path / name), *rest])


def test_what_cannot_be_resumed_is_said_before_data_are_read(tmp_path):
    bundle = tmp_path / "fundus.bundle"
    torch.save({KEY: {"segmenters": []}}, bundle)
    for path, words in ((bundle, "checkpoint of something else"), (tmp_path / "none.ckpt", "no checkpoint at")):
        with pytest.raises(CheckpointError, match=words):
            fit.main([*TINY, f"--data.cache_dir={tmp_path}/cache", f"--resume={path}"])
        assert not (tmp_path / "cache").exists()


def test_predict_where_nothing_is(best, tmp_path):
    with pytest.raises(ImageError, match="nowhere"):
        predict.main(["--checkpoint", best, str(tmp_path / "nowhere")])
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageError, match="no photograph below"):
        predict.main(["--checkpoint", best, str(tmp_path / "none")])
    with pytest.raises(FundusSegError, match="device 'abacus'"):
        predict.main(["--checkpoint", best, str(tmp_path), "--device", "abacus"])


def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_shell_sees_one_sentence_and_exit_code_two(tmp_path):
    bad = ["fundusseg", "predict", "--checkpoint", str(tmp_path / "none.ckpt"), "x.png"]
    plain, debug = shell(*bad), shell(*bad, "--debug")
    assert plain.returncode == debug.returncode == 2
    assert plain.stderr.startswith("fundusseg: error: got no checkpoint at") and plain.stderr.count("\n") == 1
    assert "Traceback" in debug.stderr


def test_verbs_are_listed():
    answer = shell("fundusseg", "--help")
    assert answer.returncode == 0 and all(verb in answer.stdout for verb in ("fit", "evaluate", "predict"))
    assert shell("fundusseg", "fitt").returncode == 2
