"""A stranger's file runs no code of the folder that it is opened in, and loading asks no hub."""

import sys
from pathlib import Path

import pytest
import torch

from fundusseg import class_paths, evaluate, predict
from fundusseg.class_paths import check_trusted, other_packages, trust
from fundusseg.data.preparation import Preparation
from fundusseg.errors import CheckpointError
from fundusseg.models import SMPModel, UNet, checkpoint
from fundusseg.models.checkpoint import from_spec

EVIL = """
from pathlib import Path
Path("ran").touch()
from fundusseg.models import UNet as Network
from fundusseg.datasets import Phantom as Reader
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where a module lies that leaves a file behind when it is imported."""
    (tmp_path / "evil.py").write_text(EVIL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(class_paths, "_TRUSTED", set(class_paths._TRUSTED))
    yield tmp_path
    sys.modules.pop("evil", None)


def write(path: Path, configuration: str = "", network: str = "fundusseg.models.UNet") -> Path:
    unet = UNet(start_channels=4, depth=1)
    described = checkpoint.describe(
        unet,
        Preparation(image_size=32),
        thresholds={"disc": 0.5, "cup": 0.5},
        sources={},
        configuration=configuration,
    ).as_dict()
    described["network"]["class_path"] = network
    weights = {f"model.{name}": value for name, value in unet.state_dict().items()}
    torch.save({checkpoint.KEY: described, "state_dict": weights}, path)
    return path


def test_a_network_of_another_package_is_not_imported_unless_trusted(folder):
    given = write(folder / "given.ckpt", network="evil.Network")
    photograph = str(folder / "nothing.jpg")
    for command in (
        lambda *more: predict.main(["--checkpoint", str(given), photograph, *more]),
        lambda *more: evaluate.main(["--checkpoint", str(given), *more]),
    ):
        with pytest.raises(CheckpointError, match=r"names 'evil\.Network' of another package.*--trust evil"):
            command()
        assert not (folder / "ran").exists()
    description, weights = checkpoint.load(given)
    trust(["evil"])
    assert isinstance(checkpoint.build(description, weights), UNet) and (folder / "ran").exists()


@pytest.mark.parametrize(
    "data",
    [
        "{datasets: [{class_path: evil.Reader}]}",
        "{datasets: [evil.Reader]}",
        "{datasets: [{class_path: fundusseg.datasets.Phantom}], eval_augmentation: {class_path: evil.Reader}}",
        "{eval_augmentation: {class_path: fundusseg.data.Augmentation, init_args: {transforms: [evil.X]}}}",
        "{datasets: '[{class_path: evil.Reader}]'}",
        """{datasets: '[{"class_path": "evil.Reader"}]'}""",
        "{datasets: '- evil.Reader'}",
        "{datasets: ['\"evil.Reader\"']}",
    ],
)
def test_a_reader_of_another_package_is_not_imported(folder, data):
    given = write(folder / "given.ckpt", configuration=f"data: {data}")
    with pytest.raises(CheckpointError, match=r"names 'evil\.\w+' of another package"):
        evaluate.main(["--checkpoint", str(given), "--allow_seen"])
    assert not (folder / "ran").exists()


def test_a_name_may_have_any_letters(folder):
    (folder / "évil.py").write_text(EVIL)
    given = write(folder / "given.ckpt", configuration="data: {datasets: [évil.Reader]}")
    with pytest.raises(CheckpointError, match=r"names 'évil\.Reader' of another package"):
        evaluate.main(["--checkpoint", str(given), "--allow_seen"])
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("wrong", [{"depth": "deep"}, {"mean": [{"class_path": "evil.Network"}]}, {"activation": []}])
def test_arguments_that_a_network_cannot_take_are_one_sentence(folder, wrong):
    with pytest.raises(CheckpointError, match=r"arguments|names 'evil"):
        from_spec({"class_path": "fundusseg.models.UNet", "init_args": wrong})
    assert not (folder / "ran").exists()


def test_what_belongs_to_us_is_trusted_and_a_file_name_is_no_class():
    check_trusted(["fundusseg.models.UNet", {"class_path": "torch.nn.Conv2d"}, {"csv": "table.csv"}])
    for path in ("fundusseg_evil.Network", "os.system", "torch.hub.load", "torchvision.models.resnet18"):
        with pytest.raises(CheckpointError):
            check_trusted(path)
    assert other_packages({"model": "os.system", "class_path": "mine.Network"}) == ["mine", "os"]


def test_loading_asks_no_hub():
    spec = {
        "class_path": "fundusseg.models.SMPModel",
        "init_args": {"encoder": "resnet18", "encoder_weights": "imagenet"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fundusseg.models.smp._download", lambda *given: pytest.fail("asked"))
        assert isinstance(from_spec(spec), SMPModel)
