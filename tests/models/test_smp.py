"""Library networks: every architecture, encoder weights from files, and what goes wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from fundusseg.errors import ConfigurationError
from fundusseg.models import SMPModel
from fundusseg.models.checkpoint import from_spec
from fundusseg.models.smp import ARCHITECTURES, encoder_statistics

torch.set_num_threads(1)

VIT = {
    "dynamic_img_size": True,
    "decoder_fusion_channels": 16,
    "decoder_intermediate_channels": [8, 8, 8, 8],
}


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randint(0, 256, (1, 3, 128, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.slow
def test_every_architecture(architecture: str, pixels: Tensor) -> None:
    encoder, options = ("tu-vit_tiny_patch16_224", VIT) if architecture == "DPT" else ("mobilenet_v2", None)
    network = SMPModel(architecture, encoder, options=options).eval()
    network.check_size(128, 160)
    with torch.no_grad():
        assert network(pixels).shape == (1, 2, 128, 160)
    assert {name for name, _ in network.named_children()} == {"encoder", "decoder", "segmentation_head"}


def test_same_logits_as_the_library(pixels: Tensor) -> None:
    library = smp.Unet("mobilenet_v2", encoder_weights=None, classes=2).eval()
    network = SMPModel().eval()
    network.load_state_dict(library.state_dict() | {"mean": network.mean, "std": network.std})
    with torch.no_grad():
        torch.testing.assert_close(network(pixels), library(network.normalise(pixels)))


def test_spec_rebuilds_without_the_weights_file(tmp_path: Path, pixels: Tensor) -> None:
    path = tmp_path / "encoder.pth"
    torch.save(smp.encoders.get_encoder("mobilenet_v2").state_dict(), path)
    options = {"decoder_channels": (16, 8, 8, 8, 4)}
    network = SMPModel(encoder_weights=str(path), out_channels=1, options=options).eval()
    path.unlink()
    assert network.spec["class_path"] == "fundusseg.models.SMPModel"
    assert network.spec["init_args"]["encoder_weights"] is None
    assert network.spec["init_args"]["mean"] == [0.485, 0.456, 0.406]
    again = from_spec(network.spec).eval()
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(again(pixels), network(pixels))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(1)
    state = smp.encoders.get_encoder("mobilenet_v2").state_dict()
    path = tmp_path / f"encoder{suffix}"
    with_head = state | {"classifier.1.weight": torch.zeros(10, 1280), "classifier.1.bias": torch.zeros(10)}
    if suffix == ".pth":
        torch.save(with_head, path)
    else:
        save_file(with_head, path)
    loaded = SMPModel(encoder_weights=str(path)).encoder.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize("name, depth", [("resnet18", 3), ("convnext_atto", 5)])
def test_timm_weights_from_a_file(tmp_path: Path, name: str, depth: int) -> None:
    """Timm's wrappers put ``model.`` before the names, or ``stages_0`` for ``stages.0``, and cut off the end."""
    whole = timm.create_model(name).state_dict()
    torch.save(whole, tmp_path / "encoder.pth")
    options = {"encoder_depth": depth, "decoder_channels": [8] * depth}
    network = SMPModel(encoder=f"tu-{name}", encoder_weights=str(tmp_path / "encoder.pth"), options=options)
    loaded = network.encoder.state_dict()
    plain = {key.replace(".", "_"): tensor for key, tensor in whole.items()}
    assert loaded
    for key, tensor in loaded.items():
        assert torch.equal(tensor, plain[key.removeprefix("model.").replace(".", "_")]), key


@pytest.mark.slow
def test_counters_of_batches_may_be_missing(tmp_path: Path) -> None:
    state = smp.encoders.get_encoder("resnet18").state_dict()
    torch.save({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path / "encoder.pth")
    loaded = SMPModel(encoder="resnet18", encoder_weights=str(tmp_path / "encoder.pth")).encoder.state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in state.items() if "num_batches" not in k)


@pytest.mark.slow
def test_every_key_that_does_not_match_is_named(tmp_path: Path) -> None:
    state = smp.encoders.get_encoder("resnet18").state_dict()
    del state["layer1.0.bn1.bias"]
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    state["layer9.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "encoder.pth")
    with pytest.raises(ConfigurationError) as raised:
        SMPModel(encoder="resnet18", encoder_weights=str(tmp_path / "encoder.pth"))
    assert raised.value.got.endswith(
        "without layer1.0.bn1.bias; with another shape of conv1.weight (64 x 1 x 7 x 7 in the file, "
        "64 x 3 x 7 x 7 in the encoder); with a foreign layer9.weight"
    )


@pytest.mark.parametrize("prefix", ["", "tu-"])
@pytest.mark.slow
def test_a_deeper_relative_is_refused(tmp_path: Path, prefix: str) -> None:
    """ResNet-34 holds a tensor of the right shape for each of ResNet-18."""
    torch.save(smp.encoders.get_encoder("resnet34").state_dict(), tmp_path / "encoder.pth")
    with pytest.raises(ConfigurationError, match=r"foreign layer1\.2\.conv1\.weight.* more"):
        SMPModel(encoder=f"{prefix}resnet18", encoder_weights=str(tmp_path / "encoder.pth"))


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04broken"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_unreadable_weights(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"encoder{suffix}"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds no plain weights"):
        SMPModel(encoder_weights=str(path))


@pytest.mark.parametrize("stored", [[1, 2], {"state_dict": {"a": torch.zeros(1)}}, Path("code that would run")])
def test_a_file_of_something_else(tmp_path: Path, stored: object) -> None:
    torch.save(stored, tmp_path / "encoder.pth")
    with pytest.raises(ConfigurationError, match="holds no plain weights"):
        SMPModel(encoder_weights=str(tmp_path / "encoder.pth"))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"architecture": "UNet"}, "try 'Unet'"),
        ({"encoder": "mobilenetv2"}, "try 'mobilenet_v2'"),
        ({"encoder": "tu-resnet19"}, "try 'tu-resnet18'"),
        ({"encoder_weights": "nowhere/encoder.pth"}, "no weights file at nowhere/encoder.pth"),
        ({"encoder_weights": "imagnet"}, r"one of \['imagenet'\], or a file"),
        ({"encoder": "tu-resnet18", "encoder_weights": "a1_in1k"}, "tag of its weights in its own name"),
        ({"options": {"decoder_chanels": [8]}}, "try 'decoder_channels'"),
        ({"options": {"activation": "sigmoid"}}, "option 'activation'"),
        ({"options": {"decoder_channels": [8]}}, "cannot be built"),
        ({"encoder": "tu-resnet18", "options": {"decoder_chanels": [8]}}, "decoder_chanels"),
        ({"architecture": "DPT"}, "Only Timm encoders are supported"),
        ({"mean": [0.5, 0.5]}, "mean"),
    ],
)
def test_wrong_settings(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        SMPModel(**arguments)  # type: ignore[arg-type]


def offline(code: str, home: Path) -> str:
    """Run code in a fresh process, because the hub's library reads its settings once, with a hub cache of its own."""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "PATH": "", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
@pytest.mark.slow
def test_without_a_connection(encoder: str, tmp_path: Path) -> None:
    code = (
        "from fundusseg.models import SMPModel\n"
        "from fundusseg.errors import ConfigurationError\n"
        f"try: SMPModel(encoder={encoder!r}, encoder_weights='imagenet')\n"
        "except ConfigurationError as error: print(error)\n"
    )
    assert "set encoder_weights to the path of the file" in offline(code, tmp_path)


@pytest.mark.slow
def test_weights_and_statistics_that_the_hub_has_brought(tmp_path: Path) -> None:
    settings = smp.encoders.encoders["mobilenet_v2"]["pretrained_settings"]["imagenet"]
    snapshot = (
        tmp_path / "hub" / f"models--{settings['repo_id'].replace('/', '--')}" / "snapshots" / settings["revision"]
    )
    snapshot.mkdir(parents=True)
    state = smp.encoders.get_encoder("mobilenet_v2").state_dict()
    state["features.0.1.bias"] = torch.full((32,), 7.0)
    save_file(state, snapshot / "model.safetensors")
    card = {"mean": [51.0, 102.0, 153.0], "std": [25.5, 51.0, 51.0], "input_range": [0, 255]}
    (snapshot / "config.json").write_text(json.dumps(card))
    code = (
        "from fundusseg.models import SMPModel\n"
        "network = SMPModel(encoder_weights='imagenet')\n"
        "print(network.encoder.features[0][1].bias.unique().tolist(), network.spec['init_args'])\n"
    )
    bias, _, spec = offline(code, tmp_path).partition(" ")
    assert bias == "[7.0]"
    assert "'encoder_weights': None" in spec
    assert "'mean': [0.2, 0.4, 0.6], 'std': [0.1, 0.2, 0.2]" in spec


def test_statistics_follow_the_encoder() -> None:
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    half = ((0.5,) * 3, (0.5,) * 3)
    assert encoder_statistics("mobilenet_v2") == imagenet
    assert encoder_statistics("tu-resnet18") == imagenet
    assert encoder_statistics("tu-tf_efficientnet_lite0") == half
    assert encoder_statistics("timm-tf_efficientnet_lite0") == half
    assert encoder_statistics("inceptionv4") == half
    assert encoder_statistics("dpn68")[0] == pytest.approx((124 / 255, 117 / 255, 104 / 255))


def test_statistics_can_be_given_and_averaged() -> None:
    grey = SMPModel(in_channels=1)
    assert grey.mean.tolist() == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
    own = SMPModel(mean=[0.4, 0.3, 0.2], std=[0.2, 0.2, 0.1])
    assert own.spec["init_args"]["mean"] == [0.4, 0.3, 0.2]
    assert own.std.tolist() == pytest.approx([0.2, 0.2, 0.1])


@pytest.mark.parametrize(
    "options, divisor",
    [(None, 32), ({"encoder_depth": 3, "decoder_channels": [8, 8, 8]}, 8)],
)
def test_divisor_follows_the_encoder(options: dict[str, object] | None, divisor: int) -> None:
    network = SMPModel(options=options)
    assert network.divisor == divisor
    with pytest.raises(ConfigurationError, match=f"height {divisor} and width {2 * divisor}"):
        network.check_size(divisor - 1, divisor + 1)


@pytest.mark.realdata
@pytest.mark.parametrize(
    "encoder, name, mean",
    [
        ("mobilenet_v2", "mobilenet_v2_imagenet.pth", (0.485, 0.456, 0.406)),
        ("tu-tf_efficientnet_lite0", "tf_efficientnet_lite0_imagenet.pth", (0.5, 0.5, 0.5)),
    ],
)
def test_published_weights_load_whole(realdata: Path, encoder: str, name: str, mean: tuple[float, ...]) -> None:
    path = realdata.parent / "weights" / name
    if not path.is_file():
        pytest.skip(f"no {name} in the folder weights beside the real photographs")
    network = SMPModel(encoder=encoder, encoder_weights=str(path))
    stored = torch.load(path, weights_only=True)
    own = network.encoder.state_dict()
    assert all(torch.equal(tensor, stored[key.removeprefix("model.")]) for key, tensor in own.items())
    assert network.mean.tolist() == pytest.approx(mean)
