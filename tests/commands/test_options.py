"""Every option of `evaluate` and `bundle` has an effect or is refused: none is accepted and passed over."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from fundusseg import bundle, evaluate
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.preparation import Preparation
from fundusseg.data.splits import Split
from fundusseg.errors import ConfigurationError
from tests.support.painted import CUP, DISC, checkpoint, data, folder, mask

NAMES = [f"p{number}" for number in range(4)]
SETTINGS = {
    *inspect.signature(FundusDataModule).parameters,
    *(field.name for field in fields(Preparation)),
} - {"preparation"}
SCORED = {evaluate: {"datasets", "root", "split"}, bundle: {"datasets", "root"}}
"""Settings of the data that a command takes; all others are a checkpoint's or training's."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Two folders of pictures, two checkpoints that were trained on others, a split, a configuration."""
    place = tmp_path_factory.mktemp("options")
    for name, step in (("one", 3), ("two", 9)):
        folder(place / name, {n: (mask(DISC, step * i), mask(CUP, step * i)) for i, n in enumerate(NAMES)})
    split = Split(("x/1",), ("x/2",), ())
    for name, regions in (("best", ("disc", "cup")), ("other", ("disc",))):
        checkpoint(place / f"{name}.ckpt", split, data(Path("one")), regions=regions)
    checkpoint(place / "crops.ckpt", split, data(Path("one")), regions=("disc",), roi="disc")
    Split((), (), ("folder/p1",)).save(place / "split.json")
    (place / "two.yaml").write_text(yaml.safe_dump({"data": data(Path("two"))}))
    return place


def rows(place: Path, output: Path, *arguments: str) -> str:
    """images.csv of an evaluation."""
    folder = [] if any(argument.startswith("--data.root") for argument in arguments) else ["--data.root", str(place)]
    found = evaluate.main(["--checkpoint", str(place / "best.ckpt"), "--output", str(output), *folder, *arguments])
    assert found == 0
    return (output / "images.csv").read_text()


CHANGES = {
    "checkpoint": ["--checkpoint", "{place}/other.ckpt"],
    "against": ["--against", "{place}/other.ckpt"],
    "config": ["--config", "{place}/two.yaml"],
    "protocols": ["--protocols", "ground_truth_roi"],
    "data.datasets": [
        "--data.datasets",
        '[{"class_path": "fundusseg.datasets.Folder", "init_args": {"root": "two", "name": "b"}}]',
    ],
    "data.root": ["--data.root", "{place}/elsewhere"],
    "data.split": ["--data.split", "{place}/split.json"],
}
"""What changes the rows; a setting that does not fit is refused instead."""

REFUSED = {
    "device": ["--device", "nowhere"],
    "localiser": ["--localiser", "{place}/crops.ckpt"],
    "workers": ["--workers", "0"],
    "views": ["--views", "9"],
}
"""Settings of how, which need not change a row: what cannot be followed is refused, so the value is read."""


@pytest.mark.parametrize("option", CHANGES)
@pytest.mark.slow
def test_an_option_of_evaluate_changes_the_rows_or_is_refused(place, tmp_path, option):
    usual = rows(place, tmp_path / "usual")
    arguments = [argument.format(place=place) if "{place}" in argument else argument for argument in CHANGES[option]]
    try:
        changed = rows(place, tmp_path / "changed", *arguments)
    except Exception as error:
        assert option == "data.root", error
        assert type(error).__module__ == "fundusseg.errors", error
        return
    assert changed != usual


@pytest.mark.parametrize("option", REFUSED)
def test_an_option_of_evaluate_is_read(place, tmp_path, option):
    with pytest.raises(ConfigurationError):
        rows(place, tmp_path, *(argument.format(place=place) for argument in REFUSED[option]))


def test_every_option_of_evaluate_is_walked():
    seen = {"output", "allow_seen", "help", "trust"}  # see test_evaluate.py; trust: tests/models/test_trust.py
    options = {action.dest for action in evaluate.parser()._actions if not action.dest.endswith(".help")}
    assert options - {"data"} == {*CHANGES, *REFUSED, *seen}


@pytest.mark.parametrize("command", SCORED)
def test_settings_of_training_and_of_checkpoints_are_refused(command):
    options = {action.dest for action in command.parser()._actions if not action.dest.endswith(".help")}
    assert {option.removeprefix("data.") for option in options if option.startswith("data.")} == SCORED[command]
    needed = {evaluate: ["--checkpoint", "x"], bundle: ["--segmenters", "x"]}[command]
    for setting in SETTINGS - SCORED[command]:
        with pytest.raises(ConfigurationError, match=setting):
            command.parser().parse_args([*needed, f"--data.{setting}=1"])


@pytest.mark.parametrize("given", ["--views=2", "--coverage=0.8", "--data.root=elsewhere", "--data.datasets=[]"])
def test_bundle_refuses_settings_of_a_calibration_that_is_not_asked_for(place, tmp_path, given):
    with pytest.raises(ConfigurationError, match="without --calibrate"):
        arguments = ["--segmenters", str(place / "best.ckpt"), "--output", str(tmp_path / "a.bundle"), given]
        bundle.main(arguments)
    assert not (tmp_path / "a.bundle").exists()
