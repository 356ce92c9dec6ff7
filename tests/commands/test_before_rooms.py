"""What the version before the rooms wrote, its checkpoint, bundle and configuration, works on and gives the same."""

import csv
import hashlib
import json
import lzma
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fundusseg import bundle, fit, predict
from fundusseg.class_paths import RENAMED
from fundusseg.cli import Parser
from fundusseg.data import Preparation
from fundusseg.data.splits import Split
from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import write_png
from fundusseg.models import UNet, checkpoint
from fundusseg.training.cli import TrainingParser
from fundusseg.training.task import SegmentationTask

OLD = Path(__file__).parents[1] / "miniatures" / "before_rooms"
CALLED = {"old.bundle": "old.bundle", "old.ckpt": "best.ckpt"}
"""What each file was called when it predicted: the checkpoint's name may stand in its results."""

NEWER = ("eye_seen",)
"""Columns that came since."""

REQUIRED: dict[str, dict[str, Any]] = {
    "fundusseg.losses.WeightedSum": {"losses": [{"class_path": "fundusseg.losses.BCELoss"}]},
    "fundusseg.augment.Augmentation": {"transforms": [{"class_path": "fundusseg.augment.Affine"}]},
}
"""Arguments of the classes that cannot be made without any, with old paths of their own."""


def unpack(name: str, folder: Path) -> Path:
    """One of the old files, under the name that it had."""
    path = folder / CALLED[name]
    path.write_bytes(lzma.decompress((OLD / f"{name}.xz").read_bytes()))
    return path


@pytest.fixture
def old_checkpoint(tmp_path) -> Path:
    return unpack("old.ckpt", tmp_path)


@pytest.mark.parametrize("name", CALLED)
def test_an_old_file_predicts_the_same_bytes(name, tmp_path, monkeypatch):
    """Label maps, outlines and numbers; not overlays, whose lines have become thinner since."""
    monkeypatch.chdir(tmp_path)
    Path("photographs").mkdir()
    for number, sample in enumerate(Phantom(count=4, size=160, seed=77)):
        write_png(Path("photographs") / f"{number}.png", sample.image)
    arguments = ["--checkpoint", unpack(name, Path()).name, "photographs", "--output", "out"]
    assert predict.main(arguments) == 0
    expected = json.loads((OLD / "expected.json").read_text())[name]
    without_newer_columns(Path("out") / "measures.csv")
    assert {file: hashlib.sha256((Path("out") / file).read_bytes()).hexdigest() for file in expected} == expected


def without_newer_columns(table: Path) -> None:
    """Leave out of a table what the version before the rooms did not say."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, [name for name in rows[0] if name not in NEWER], extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)


def test_an_old_checkpoint_describes_itself_by_the_new_paths(old_checkpoint):
    description, _ = checkpoint.load(old_checkpoint)
    assert description.network["class_path"] == "fundusseg.models.UNet"
    assert "fundusseg.training.WeightedBCELoss" in description.configuration
    assert not [path for path in RENAMED if path in description.configuration]
    task = SegmentationTask.load_from_checkpoint(old_checkpoint)
    assert task.configuration == description.configuration and task.regions == ("disc", "cup")


def test_what_is_made_of_an_old_checkpoint_holds_none_of_its_names(old_checkpoint, tmp_path):
    named = checkpoint.load(old_checkpoint)[0]
    assert len(named.split.listed) > 8 and all(key in named.split.files for key in named.split.listed)
    assert bundle.main(["--segmenters", str(old_checkpoint), "--output", str(tmp_path / "new.bundle")]) == 0
    bundled = checkpoint.read(tmp_path / "new.bundle")["fundusseg_bundle"]["segmenters"][0]
    begun = checkpoint.describe(
        UNet(), Preparation(), thresholds={"disc": 0.5, "cup": 0.5}, sources={}, earlier=named.past
    ).as_dict()
    for split in (bundled["fundusseg"]["split"], begun["earlier"][0]["split"]):
        assert not [key for key in named.split.listed if key in str(split)]
        shared = Split.from_dict(split)
        assert sorted(shared.files.values()) == sorted(named.split.files.values())
        assert len(set(shared.patients.values())) == len(set(named.split.patients.values()))


@pytest.mark.slow
def test_an_old_configuration_trains_and_an_old_run_goes_on(old_checkpoint, tmp_path, monkeypatch):
    """One epoch more than the old run had: weights, optimiser, averages and callbacks are taken up."""
    monkeypatch.chdir(tmp_path)
    common = [f"--config={OLD / 'config.yaml'}", f"--data.cache_dir={tmp_path / 'cache'}"]
    assert fit.main([*common, "--trainer.max_epochs=1"]) == 0
    dumped = (tmp_path / "runs" / "version_0" / "config.yaml").read_text()
    data, training = (
        "Affine Augmentation BorderWeights CoarseElastic Variants",
        "AveragedWeights OneCycle ThresholdSearch",
    )
    assert {path for path in RENAMED.values() if path in dumped} >= {
        *(f"fundusseg.data.{name}" for name in data.split()),
        *(f"fundusseg.training.{name}" for name in training.split()),
    }
    assert not [path for path in RENAMED if path in dumped]

    further = ["--trainer.max_epochs=4", "--model.schedule=null", f"--resume={old_checkpoint}"]
    assert fit.main([*common, *further]) == 0
    ended = torch.load(tmp_path / "runs" / "version_1" / "checkpoints" / "last.ckpt", weights_only=True)
    assert (ended["epoch"], ended["global_step"]) == (3, 32)


@pytest.mark.parametrize("parser_class", [Parser, TrainingParser])
@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_class_is_found_by_its_old_path(old, parser_class, tmp_path):
    room, _, name = RENAMED[old].rpartition(".")
    wanted = getattr(import_module(room), name)
    given = {"class_path": old, "init_args": REQUIRED.get(old, {})}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump({"given": given}))
    parser = parser_class()
    parser.add_argument("--settings", action="config")
    parser.add_argument("--given", type=wanted)
    forms = [f"--settings={tmp_path / 'old.yaml'}", f"--given={json.dumps(given)}"]
    if old not in REQUIRED:
        forms.append(f"--given={old}")
    for form in forms:
        made = parser.instantiate(parser.parse_args([form])).given
        assert type(made) is wanted, form
