import math
from pathlib import Path

import pytest
import torch
from torch import nn

from fundusseg.data.preparation import Preparation
from fundusseg.data.splits import Split
from fundusseg.errors import CheckpointError, ConfigurationError
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models import UNet, checkpoint
from fundusseg.training.task import SegmentationTask
from tests.support.painter import write_checkpoint


class Foreign(nn.Module):
    """A network that is not derived from ours."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, width, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layer(image.float())[:, :2]


def description(network: nn.Module, configuration: str = "") -> checkpoint.Description:
    return checkpoint.describe(
        network,
        Preparation(image_size=64, roi_scale=2.0),
        thresholds={"disc": 0.4, "cup": 0.6},
        sources={"phantom": "ours"},
        configuration=configuration,
        split=Split(("a/1",), ("a/2",), ("a/3",)),
    )


def save(path, network: nn.Module, content: checkpoint.Description) -> None:
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({checkpoint.KEY: content.as_dict(), "state_dict": state | {"loss.scale": torch.ones(1)}}, path)


def test_a_file_alone_rebuilds_the_network(tmp_path):
    network = UNet(start_channels=4, depth=2, growth_rate=1.5, activation="elu").eval()
    save(tmp_path / "a.ckpt", network, description(network))
    found, weights = checkpoint.load(tmp_path / "a.ckpt")
    assert found == description(network)
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(checkpoint.build(found, weights)(pixels), network(pixels))


def test_a_foreign_network_is_known_from_the_configuration(tmp_path):
    configuration = "model: {model: {class_path: tests.models.test_checkpoint.Foreign, init_args: {width: 5}}}"
    network = Foreign(5)
    save(tmp_path / "a.ckpt", network, description(network, configuration))
    rebuilt = checkpoint.build(*checkpoint.load(tmp_path / "a.ckpt"))
    assert type(rebuilt).__name__ == "Foreign" and torch.equal(rebuilt.layer.weight, network.layer.weight)
    with pytest.raises(ConfigurationError, match="Foreign that does not say how it was built"):
        description(Foreign())


def test_what_is_not_a_checkpoint_of_ours(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*none\.ckpt"):
        checkpoint.load(tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    torch.save(5, tmp_path / "number.ckpt")
    network = UNet(start_channels=4, depth=1)
    save(tmp_path / "whole.ckpt", network, description(network))
    (tmp_path / "half.ckpt").write_bytes((tmp_path / "whole.ckpt").read_bytes()[:2000])
    for name in ("text", "empty", "half"):
        with pytest.raises(CheckpointError, match=rf"no readable checkpoint: .*{name}\.ckpt"):
            checkpoint.load(tmp_path / f"{name}.ckpt")
    for name in ("other", "list", "number"):
        with pytest.raises(CheckpointError, match=rf"checkpoint of something else: .*{name}\.ckpt"):
            checkpoint.load(tmp_path / f"{name}.ckpt")


def test_code_hidden_in_a_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({checkpoint.KEY: Trap()}, tmp_path / "trap.ckpt")
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "trap.ckpt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("class_path", ["subprocess.Popen", "nowhere.Network", "fundusseg.models.Unett"])
def test_a_class_that_is_no_network_is_not_built(class_path):
    network = UNet(start_channels=4, depth=1)
    content = description(network)
    content.network["class_path"] = class_path
    with pytest.raises(CheckpointError, match=class_path):
        checkpoint.build(content, network.state_dict())


def test_weights_of_another_network():
    content = description(UNet(start_channels=4, depth=1))
    with pytest.raises(CheckpointError, match="weights that do not fit"):
        checkpoint.build(content, UNet(start_channels=4, depth=2).state_dict())


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("version", 3),
        ("network", "fundusseg.models.UNet"),
        ("thresholds", {"disc": math.nan, "cup": 0.5}),
        ("thresholds", {"disc": 0.5}),
        ("thresholds", {"disc": "0.5", "cup": 0.5}),
        ("preparation", {"regions": None}),
        ("preparation", {"regions": ["disc"], "image_size": "96"}),
        ("sources", ["free"]),
        ("configuration", None),
        ("split", {"train": 5, "val": [], "test": []}),
    ],
)
def test_an_entry_of_another_type_is_none_of_ours(entry, value, tmp_path):
    path = Path(write_checkpoint(tmp_path / "a.ckpt"))
    content = torch.load(path, weights_only=True)
    assert checkpoint.parse(content, path)
    content[checkpoint.KEY][entry] = value
    with pytest.raises(CheckpointError, match=r"a checkpoint of something else: .*a\.ckpt"):
        checkpoint.parse(content, path)


def test_a_weight_that_is_no_tensor_is_none_of_ours(tmp_path):
    path = Path(write_checkpoint(tmp_path / "a.ckpt"))
    content = torch.load(path, weights_only=True) | {"state_dict": {"model.weight": 3}}
    with pytest.raises(CheckpointError, match="something else"):
        checkpoint.parse(content, path)


@pytest.mark.parametrize("regions", [0.5, "two", None, 1, -3, [2]])
@pytest.mark.parametrize("load", [Bundle.load, Segmenter.from_checkpoint, SegmentationTask.load_from_checkpoint])
def test_a_network_whose_forward_pass_fails_is_refused_on_loading(regions, load, tmp_path):
    path = Path(write_checkpoint(tmp_path / "a.ckpt"))
    content = torch.load(path, weights_only=True)
    content[checkpoint.KEY]["network"]["init_args"]["regions"] = regions
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"^got a network Painter .* in .*a\.ckpt; expected .+; .+\.$"):
        load(path)


@pytest.mark.parametrize(("name", "value"), [("growth_rate", "x"), ("activation", [])])
def test_a_network_that_cannot_be_built_is_told_with_its_file(name, value, tmp_path):
    network = UNet(start_channels=4, depth=1)
    content = description(network)
    content.network["init_args"][name] = value
    save(tmp_path / "a.ckpt", network, content)
    with pytest.raises(CheckpointError, match=r"^got .* in .*a\.ckpt; expected .+; .+\.$"):
        Bundle.load(tmp_path / "a.ckpt")
