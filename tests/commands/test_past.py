"""A network's past follows it: through resuming, fine-tuning, evaluation and bundling, and without a name."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from fundusseg import bundle, evaluate, fit
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.splits import Split
from fundusseg.datasets import Folder, Phantom
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.models import UNet, checkpoint
from fundusseg.training.task import SegmentationTask

SECRETS = ("smith", "4711", "clinic-folder")


def write(root: Path, seed: int = 0, count: int = 16, grow: int = 0, ending: str = "png") -> Path:
    """Photographs of a clinic: names and numbers of patients in files and table; masks grown by some pixels."""
    lines = ["image,patient"]
    for number, sample in enumerate(Phantom(count=count, size=96, seed=seed)):
        name = f"smith{number:02}"
        lines.append(f"{name}.{ending},4711{number // 2}")
        masks = {region: sample.of(region)[0].mask.astype(np.uint8) * 255 for region in ("disc", "cup")}
        for place, pixels in (("images", sample.image[..., ::-1]), *((f"masks/{r}", m) for r, m in masks.items())):
            file = root / place / f"{name}.{ending if place == 'images' else 'png'}"
            file.parent.mkdir(parents=True, exist_ok=True)
            grown = cv2.dilate(pixels, np.ones((1 + 2 * grow, 1 + 2 * grow))) if grow and place != "images" else pixels
            cv2.imwrite(str(file), grown)
    (root / "table.csv").write_text("\n".join(lines) + "\n")
    return root


def reader(root: Path, name: str = "clinic") -> str:
    where = f"{{root: {root}, csv: table.csv, name: {name}}}"
    return f"--data.datasets=[{{class_path: fundusseg.datasets.Folder, init_args: {where}}}]"


def command(place: Path, *more: str) -> list[str]:
    return [
        f"--data.cache_dir={place}/cache",
        "--data.image_size=32",
        "--data.batch_size=2",
        "--model.model=fundusseg.models.UNet",
        "--model.model.start_channels=4",
        "--model.model.depth=2",
        "--trainer.max_epochs=1",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
        *more,
    ]


def run(folder: Path, main, *arguments: str) -> int:
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return main([*arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("clinic-folder")


@pytest.fixture(scope="module")
def trained(place) -> Path:
    """A run on a clinic's photographs."""
    assert run(place, fit.main, *command(place, reader(write(place / "first")))) == 0
    return place / "runs" / "version_0"


def content(run_folder: Path, name: str = "last.ckpt") -> dict:
    return torch.load(run_folder / "checkpoints" / name, weights_only=True)


@pytest.mark.slow
def test_neither_checkpoint_nor_card_nor_bundle_holds_a_name_and_the_run_does(trained, place, tmp_path):
    best = trained / "checkpoints" / "best.ckpt"
    output = tmp_path / "all.bundle"
    assert bundle.main(["--segmenters", str(best), "--output", str(output)]) == 0
    shared = [*(trained / "checkpoints").iterdir(), output, output.with_suffix(".md")]
    assert len(shared) == 6
    for file in shared:
        held = file.read_bytes()
        assert not [word for word in SECRETS if word.encode() in held], file
    local = Split.load(trained / "split.json")
    assert any("smith" in key for key in local.train) and "4711" in str(local.patients)
    assert str(place) in (trained / "config.yaml").read_text()
    assert local.anonymous() == checkpoint.load(best)[0].split


@pytest.mark.slow
def test_the_same_run_goes_on_with_its_split(trained, place):
    arguments = command(place, reader(place / "first"), "--resume=runs/version_0/checkpoints/last.ckpt")
    write(place / "grown", count=20)
    for root in ("first", "grown"):
        run(place, fit.main, *arguments[:-2], reader(place / root), arguments[-1], "--trainer.max_epochs=2")
        newest = max((place / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
        before, after = content(trained)["fundusseg"]["split"], content(newest)["fundusseg"]["split"]
        for subset in ("train", "val", "test"):
            assert set(before[subset]) <= set(after[subset]), (root, subset)


@pytest.mark.parametrize(
    "other", ["--data.seed=9", "--data.test_share=0.6", "--data.folds=2", "--data.split=other.json", "data"]
)
@pytest.mark.slow
def test_another_split_of_what_was_seen_is_refused(trained, place, other):
    split = Split.load(trained / "split.json")
    moved = Split(split.test + split.val, split.train[:4], split.train[4:], patients=split.patients)
    moved.save(place / "other.json")
    data = reader(write(place / "second", seed=3)) if other == "data" else reader(place / "first")
    more = [] if other == "data" else [other]
    with pytest.raises(DatasetError, match=r"though the checkpoint|of the continued run that are not in the datasets"):
        run(place, fit.main, *command(place, data, "--resume=runs/version_0/checkpoints/last.ckpt", *more))


def in_python(place, **settings) -> tuple[Trainer, FundusDataModule]:
    where = {"image_size": 32, "batch_size": 2, "cache_dir": f"{place}/cache"}
    data = FundusDataModule([Folder(place / "first", csv="table.csv", name="clinic")], **where, **settings)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", max_epochs=2, enable_checkpointing=False, **quiet), data


@pytest.mark.slow
@pytest.mark.parametrize("what", ["fit", "validate", "test"])
@pytest.mark.parametrize("loaded", ["by the Trainer", "by the task"])
def test_from_python_too_nothing_that_was_seen_is_scored(trained, place, what, loaded):
    last = trained / "checkpoints" / "last.ckpt"

    def work(**settings) -> None:
        trainer, data = in_python(place, **settings)
        if loaded == "by the task":
            getattr(trainer, what)(SegmentationTask.load_from_checkpoint(last), datamodule=data)
        else:
            task = SegmentationTask(UNet(start_channels=4, depth=2), preparation=data.preparation, sources=data.sources)
            getattr(trainer, what)(task, datamodule=data, ckpt_path=last)

    work()
    with pytest.raises(DatasetError, match=r"pictures (tested|validated) on, though the checkpoint was trained"):
        work(seed=9)


@pytest.mark.slow
def test_a_default_that_is_typed_is_asked_for_and_one_that_is_not_is_the_runs_own(trained, place, tmp_path):
    data = reader(place / "first")
    assert run(tmp_path, fit.main, *command(place, data, "--data.folds=3", "--data.fold=1")) == 0
    more = ["--resume=runs/version_0/checkpoints/last.ckpt", "--trainer.max_epochs=2"]
    with pytest.raises(DatasetError, match="tested on, though the checkpoint"):
        run(tmp_path, fit.main, *command(place, data, *more, "--data.folds=3", "--data.fold=0"))
    assert run(tmp_path, fit.main, *command(place, data, *more)) == 0
    newest = max((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    assert "\n  fold: 1\n" in (newest / "config.yaml").read_text()
    assert content(newest)["fundusseg"]["split"] == content(tmp_path / "runs" / "version_0")["fundusseg"]["split"]


@pytest.mark.slow
@pytest.mark.parametrize("rate", ["{lr: 0.002}", "{init_args: {lr: 0.002}}"])
def test_a_rate_that_is_given_alone_is_one_of_the_runs_own_optimiser(place, tmp_path, rate):
    data = reader(write(place / "first") if not (place / "first").exists() else place / "first")
    sgd = ["--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=0.1", "--model.optimizer.momentum=0.5"]
    assert run(tmp_path, fit.main, *command(place, data, *sgd)) == 0
    (tmp_path / "rate.yaml").write_text(f"model: {{optimizer: {rate}}}\n")
    more = ["--resume=runs/version_0/checkpoints/last.ckpt", "--trainer.max_epochs=2", "--config=rate.yaml"]
    assert run(tmp_path, fit.main, *command(place, data, *more)) == 0
    newest = max((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    (group,) = content(newest)["optimizer_states"][0]["param_groups"]
    assert (group["max_lr"], group["momentum"]) == (0.002, 0.5) and "betas" not in group


@pytest.mark.slow
def test_a_fine_tuning_carries_what_came_before(trained, place, tmp_path):
    second = reader(write(place / "second", seed=3), "second")
    start = f"--start_from={trained / 'checkpoints' / 'best.ckpt'}"
    assert run(tmp_path, fit.main, *command(place, second, start)) == 0
    tuned = tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt"
    description, _ = checkpoint.load(tuned)
    first = checkpoint.load(trained / "checkpoints" / "best.ckpt")[0]
    assert [earlier.split for earlier in description.earlier] == [first.split]
    assert set(description.all_sources) == {"clinic", "second"}
    assert "Its weights come from a training on clinic" in tuned.with_suffix(".md").read_text()
    config = tmp_path / "first.yaml"
    config.write_text(f"data: {{{reader(place / 'first')[7:].replace('=', ': ', 1)}}}\n")
    with pytest.raises(DatasetError, match="that a network was trained or chosen on"):
        evaluate.main([f"--checkpoint={tuned}", f"--config={config}", f"--output={tmp_path / 'out'}"])
    with pytest.raises(DatasetError, match=r"(tested|validated) on, though"):
        run(tmp_path, fit.main, *command(place, reader(place / "first"), "--data.seed=9", start))


@pytest.mark.slow
def test_a_run_that_is_refused_leaves_no_folder(place, tmp_path):
    twice = [write(place / "once"), write(place / "again", grow=2)]
    data = ", ".join(reader(root, root.name).split("=[")[1].rstrip("]") for root in twice)
    with pytest.raises(DatasetError, match="near-identical"):
        run(tmp_path, fit.main, *command(place, f"--data.datasets=[{data}]"))
    assert not [*(tmp_path / "runs").iterdir()]


def test_only_one_checkpoint_to_start_from(trained, place):
    last = trained / "checkpoints" / "last.ckpt"
    with pytest.raises(ConfigurationError, match="both --resume and --start_from"):
        run(place, fit.main, *command(place, reader(place / "first"), f"--resume={last}", f"--start_from={last}"))


@pytest.mark.parametrize(("grow", "ending"), [(3, "png"), (0, "jpg"), (3, "jpg")])
def test_a_photograph_under_another_source_with_masks_drawn_anew_is_known(trained, place, tmp_path, grow, ending):
    alone = tmp_path / "shared.ckpt"  # as it is given away: no split.json beside it
    shutil.copy(trained / "checkpoints" / "best.ckpt", alone)
    root = write(tmp_path / "other", grow=grow, ending=ending)
    for number, file in enumerate(sorted((root / "images").iterdir())):
        for old in (file, root / "masks" / "disc" / f"{file.stem}.png", root / "masks" / "cup" / f"{file.stem}.png"):
            old.rename(old.with_name(f"n{number:02}{old.suffix}"))
    (root / "table.csv").write_text("image,patient\n" + "".join(f"n{n:02},{n}\n" for n in range(16)))
    config = tmp_path / "other.yaml"
    config.write_text(f"data: {{{reader(root, 'other')[7:].replace('=', ': ', 1)}}}\n")
    seen = len(content(trained)["fundusseg"]["split"]["train"]) + len(content(trained)["fundusseg"]["split"]["val"])
    with pytest.raises(DatasetError, match=f"{seen} of 16 pictures"):
        evaluate.main([f"--checkpoint={alone}", f"--config={config}", f"--output={tmp_path / 'out'}"])


def test_a_shared_checkpoint_leaves_out_the_patients_of_its_pictures(trained, place, tmp_path):
    alone = tmp_path / "shared.ckpt"
    shutil.copy(trained / "checkpoints" / "best.ckpt", alone)
    config = ["--data.root", str(place), reader(place / "first")]
    evaluate.main([f"--checkpoint={alone}", *config, f"--output={tmp_path / 'out'}"])
    tested = len(content(trained)["fundusseg"]["split"]["test"])
    assert len((tmp_path / "out" / "images.csv").read_text().splitlines()) == 1 + 2 * tested
