"""Files laid out as Keras writes them give the network that Keras had."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from fundusseg import convert, predict
from fundusseg.datasets import Phantom
from fundusseg.errors import CheckpointError, ConfigurationError, FundusSegError
from fundusseg.imaging.image_files import write_png
from fundusseg.inference.predictor import Predictor
from fundusseg.models import IsbiUNet, LightUNet, MobileUNet, OriginalUNet, UNet, keras_weights
from fundusseg.models.checkpoint import load

torch.set_num_threads(1)

Layers = list[tuple[str, dict[str, np.ndarray]]]

SMALL = {"start_channels": 3, "depth": 1, "out_channels": 1, "mean": [0.0], "std": [1.0]}
ORDER = [
    "encoder.blocks.0.layers.0",
    "encoder.blocks.0.layers.2",
    "encoder.blocks.0.layers.3",
    "encoder.blocks.0.layers.5",
    "encoder.downs.0.1",
    "encoder.blocks.1.layers.0",
    "encoder.blocks.1.layers.2",
    "encoder.blocks.1.layers.3",
    "encoder.blocks.1.layers.5",
    "decoder.ups.0.0",
    "decoder.blocks.0.layers.0",
    "decoder.blocks.0.layers.2",
    "decoder.blocks.0.layers.3",
    "decoder.blocks.0.layers.5",
    "segmentation_head",
]
"""Of a U-Net of depth 1 with every kind of layer."""


def every_kind() -> UNet:
    return UNet(**SMALL, max_pool=False, up_conv=False)  # type: ignore[arg-type]


def keras_layers(network: nn.Module, names: list[str]) -> Layers:
    """Random weights in Keras' shapes for the named layers, in their order, called as Keras calls them."""
    random = np.random.default_rng(0)
    counts: dict[str, int] = {}
    layers: Layers = []
    for name in names:
        module = network.get_submodule(name)
        if isinstance(module, nn.BatchNorm2d):
            kind, sizes = "batch_normalization", dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), 0)
            weights = {key: random.uniform(0.5, 1.5, module.num_features) for key in sizes}
        else:
            assert isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
            channels = [module.in_channels, module.out_channels]
            kind, key = "conv2d", "kernel"
            if isinstance(module, nn.ConvTranspose2d):
                kind, channels = "conv2d_transpose", channels[::-1]
            elif module.groups > 1:
                kind, key, channels = "depthwise_conv2d", "depthwise_kernel", [module.in_channels, 1]
            weights = {key: random.normal(0, 0.3, (*module.kernel_size, *channels))}
            if module.bias is not None:
                weights["bias"] = random.normal(0, 0.3, module.out_channels)
        number = counts[kind] = counts.get(kind, -1) + 1
        layers.append((f"{kind}_{number}" if number else kind, {k: v.astype(np.float32) for k, v in weights.items()}))
    return layers


def write_keras(
    path: Path, layers: Layers, whole: bool = False, suffix: str = ":0", backend: str = "tensorflow"
) -> Path:
    """The layout of Keras 2; without suffix that of Keras 3's older one."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if whole else file
        if whole:
            file.attrs["model_config"] = "{}"
        group.attrs["backend"] = backend
        group.attrs["layer_names"] = [name.encode() for name in ["input_1", *(name for name, _ in layers), "dropout"]]
        for name in ("input_1", "dropout", "top_level_model_weights"):
            group.create_group(name).attrs["weight_names"] = []
        for name, weights in layers:
            place = group.create_group(name)
            place.attrs["weight_names"] = [f"{name}/{key}{suffix}".encode() for key in weights]
            for key, values in weights.items():
                place.create_dataset(f"{name}/{key}{suffix}", data=values)
    return path


def assert_same_weights(network: nn.Module, names: list[str], layers: Layers) -> None:
    """Each weight stands where its indices belong, compared one index order at a time."""
    for name, (_, weights) in zip(names, layers, strict=True):
        own = {key: tensor.numpy() for key, tensor in network.get_submodule(name).state_dict().items()}
        for key, values in weights.items():
            if key == "kernel":
                # Height x width x in x out; transposed, height x width x out x in against in x out x height x width.
                expected = np.moveaxis(values, (0, 1), (2, 3)).swapaxes(0, 1)
            elif key == "depthwise_kernel":
                expected = np.stack([values[..., channel, 0] for channel in range(values.shape[2])])[:, None]
            else:
                expected = values
            theirs = {
                "gamma": "weight",
                "beta": "bias",
                "moving_mean": "running_mean",
                "moving_variance": "running_var",
            }
            ours = "weight" if key.endswith("kernel") else theirs.get(key, key)
            np.testing.assert_array_equal(own[ours], expected, err_msg=f"{name} {key}")


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("suffix", [":0", ""])
def test_every_kind_of_layer_and_layout(tmp_path: Path, whole: bool, suffix: str) -> None:
    network = every_kind()
    layers = keras_layers(network, ORDER)
    keras_weights.fill(network, keras_weights.read_keras(write_keras(tmp_path / "a.h5", layers, whole, suffix)), 16)
    assert_same_weights(network, ORDER, layers)


def test_order_of_computation() -> None:
    assert keras_weights.order(every_kind(), 16) == ORDER
    assert keras_weights.order(UNet(1, 1, 2, 1, batch_norm=False), 16) == [
        "encoder.blocks.0.layers.0",
        "encoder.blocks.0.layers.2",
        "encoder.blocks.1.layers.0",
        "encoder.blocks.1.layers.2",
        "decoder.ups.0.2",
        "decoder.blocks.0.layers.0",
        "decoder.blocks.0.layers.2",
        "segmentation_head",
    ]


@pytest.mark.parametrize(
    "network, size, count",
    [
        (MobileUNet(out_channels=1, convention="keras"), 32, 2 * 40 + 2 * 8 + 1),
        (IsbiUNet(start_channels=2), 32, 24),
        (LightUNet(), 32, 19),
        (OriginalUNet(start_channels=2), 188, 23),
    ],
    ids=["mobile", "isbi", "light", "original"],
)
@pytest.mark.slow
def test_every_published_network(tmp_path: Path, network: nn.Module, size: int, count: int) -> None:
    """MobileNetV2 to block 13 has 40 convolutions: the first, 2 of block 0, 3 of each of 12 blocks, 1 of the last."""
    names = keras_weights.order(network, size)
    layers = keras_layers(network, names)
    assert len(names) == count
    keras_weights.fill(network, keras_weights.read_keras(write_keras(tmp_path / "a.h5", layers)), size)
    assert_same_weights(network, names, layers)


def test_transposed_convolution_as_keras_defines_it(tmp_path: Path) -> None:
    """Pixel (p, q) adds its kernel to the output from (2p, 2q) on; what lies beyond the double size is cut off."""
    network = every_kind().eval()
    layers = keras_layers(network, ORDER)
    keras_weights.fill(network, keras_weights.read_keras(write_keras(tmp_path / "a.h5", layers)), 16)
    weights = dict(layers)["conv2d_transpose"]
    x = np.random.default_rng(1).normal(size=(4, 4, 6)).astype(np.float32)
    out = np.zeros((10, 10, 3))
    for p, q in np.ndindex(4, 4):
        out[2 * p : 2 * p + 3, 2 * q : 2 * q + 3] += weights["kernel"] @ x[p, q]
    expected = np.maximum(out[:8, :8] + weights["bias"], 0)
    with torch.no_grad():
        found = network.decoder.ups[0](torch.from_numpy(x).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_theano_kernels_are_turned_round(tmp_path: Path) -> None:
    network = every_kind()
    layers = keras_layers(network, ORDER)
    turned = [(name, {k: v[::-1, ::-1] if v.ndim == 4 else v for k, v in weights.items()}) for name, weights in layers]
    keras_weights.fill(network, keras_weights.read_keras(write_keras(tmp_path / "a.h5", turned, backend="theano")), 16)
    assert_same_weights(network, ORDER, layers)


@pytest.mark.parametrize("prefix, suffix", [("", ":0"), ("inner/", "")])
def test_a_network_that_is_one_layer(tmp_path: Path, prefix: str, suffix: str) -> None:
    """Keras lists all that is trained in it before all that is not, and Keras 3 puts its name before theirs."""
    network = every_kind()
    layers = keras_layers(network, ORDER)
    paths = {f"{prefix}{name}/{key}{suffix}": values for name, weights in layers for key, values in weights.items()}
    paths = dict(sorted(paths.items(), key=lambda item: "moving" in item[0]))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = ["inner"]
        group = file.create_group("inner")
        group.attrs["weight_names"] = list(paths)
        for path, values in paths.items():
            group.create_dataset(path, data=values)
    keras_weights.fill(network, keras_weights.read_keras(tmp_path / "a.h5"), 16)
    assert_same_weights(network, ORDER, layers)


def test_long_lists_of_names_are_cut(tmp_path: Path) -> None:
    layers = keras_layers(every_kind(), ORDER)
    path = write_keras(tmp_path / "a.h5", layers)
    with h5py.File(path, "a") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:7], names[7:]
    assert [layer.name for layer in keras_weights.read_keras(path)] == [name for name, _ in layers]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A recipe with more in it than the conversion needs."""
    content = {
        "seed_everything": 1,
        "data": {"root": "nowhere", "regions": ["disc"], "image_size": 32, "roi": "picture", "batch_size": 4},
        "model": {"model": {"class_path": "fundusseg.models.UNet", "init_args": SMALL}},
        "trainer": {"max_epochs": 3},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "config.yaml"


def change(config: Path, **init_args: object) -> None:
    content = yaml.safe_load(config.read_text())
    content["model"]["model"]["init_args"] |= init_args
    config.write_text(yaml.safe_dump(content))


def test_from_keras_file_to_prediction(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = UNet(**SMALL).eval()  # type: ignore[arg-type]
    layers = keras_layers(network, keras_weights.order(network, 32))
    path, output = write_keras(tmp_path / "a.h5", layers, whole=True), tmp_path / "new" / "a.ckpt"
    assert convert.main([str(path), f"--config={config}", f"--output={output}"]) == 0
    assert "look at" not in capsys.readouterr().out
    keras_weights.fill(network, keras_weights.read_keras(path), 32)
    description, weights = load(output)
    assert description.preparation.regions == ("disc",) and description.preparation.image_size == 32
    assert (description.sources, description.split, description.thresholds) == ({}, None, {"disc": 0.5})
    assert weights.keys() == network.state_dict().keys()
    sample = next(iter(Phantom(count=1, size=32)))
    found = Predictor.from_checkpoint(output)(sample.image).probabilities
    with torch.inference_mode():
        expected = network(torch.from_numpy(sample.image).permute(2, 0, 1)[None])[0].sigmoid()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    write_png(tmp_path / "eye.png", sample.image)
    assert predict.main(["--checkpoint", str(output), str(tmp_path / "eye.png"), f"--output={tmp_path / 'out'}"]) == 0
    assert len(pd.read_csv(tmp_path / "out" / "measures.csv")) == 1


def test_another_normalisation_is_pointed_out(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(config, mean=[0.5], std=[0.25])
    network = UNet(**SMALL)  # type: ignore[arg-type]
    path = write_keras(tmp_path / "a.h5", keras_layers(network, keras_weights.order(network, 32)))
    assert convert.main([str(path), f"--config={config}", f"--output={tmp_path / 'a.ckpt'}"]) == 0
    assert "mean [0.5, 0.5, 0.5] and std [0.25, 0.25, 0.25]" in capsys.readouterr().out


def test_trained_encoder_weights_are_not_looked_for(tmp_path: Path, config: Path) -> None:
    content = yaml.safe_load(config.read_text())
    arguments = {"out_channels": 1, "encoder_weights": "missing.pth", "convention": "keras"}
    content["model"]["model"] = {"class_path": "fundusseg.models.MobileUNet", "init_args": arguments}
    config.write_text(yaml.safe_dump(content))
    assert isinstance(convert.read_config(str(config))[0], MobileUNet)


def damaged(path: Path, layers: Layers) -> Iterator[tuple[str, Layers | bytes | None, str]]:
    """What is wrong, the file, and what the sentence says."""
    kernel = {"kernel": np.zeros((3, 3, 3, 4), np.float32), "bias": np.zeros(4, np.float32)}
    yield "missing", None, f"no file at {path}"
    yield "no hdf5", b"hello", f"does not hold Keras' layers by name: {path}"
    yield "empty", b"", "does not hold Keras' layers"
    yield (
        "another width",
        [("conv2d", kernel), *layers[1:]],
        "layer conv2d with bias 4, weight 4 x 3 x 3 x 3 for encoder",
    )
    yield "another order", [layers[1], layers[0], *layers[2:]], "layer batch_normalization with beta 3, gamma 3"
    no_bias = {"kernel": layers[0][1]["kernel"]}
    yield "no bias", [("conv2d", no_bias), *layers[1:]], "expected bias 3, weight 3 x 3 x 3 x 3"
    yield "too few", layers[:-2], r"12 Keras layers .* 14 of UNet \(left over: decoder.*, segmentation_head\)"
    yield "too many", [*layers, ("conv2d_9", kernel)], r"15 Keras layers .* 14 of UNet \(left over: conv2d_9\)"
    yield "none", [], "0 Keras layers"
    dense = {"kernel": np.zeros((3, 4), np.float32), "bias": np.zeros(4, np.float32)}
    yield "a dense layer", [("dense", dense), *layers[1:]], "layer dense with bias 4, weight 3 x 4"


@pytest.mark.parametrize("number", range(10))
def test_a_file_that_does_not_fit(tmp_path: Path, config: Path, number: int) -> None:
    network, path = UNet(**SMALL), tmp_path / "a.h5"  # type: ignore[arg-type]
    cases = list(damaged(path, keras_layers(network, keras_weights.order(network, 32))))
    assert len(cases) == 10
    _, content, sentence = cases[number]
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        write_keras(path, content)
    with pytest.raises(CheckpointError, match=sentence):
        convert.main([str(path), f"--config={config}", f"--output={tmp_path / 'a.ckpt'}"])
    assert not (tmp_path / "a.ckpt").exists()


def test_the_layout_of_keras_3_says_how_to_save(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", data=np.zeros((3, 3, 3, 4)))
    with pytest.raises(CheckpointError, match=r"model\.save\('x\.h5'\)"):
        keras_weights.read_keras(tmp_path / "a.weights.h5")


def test_batch_norm_with_another_epsilon() -> None:
    network = MobileUNet(out_channels=1)
    layers = [keras_weights.Layer(*layer) for layer in keras_layers(network, keras_weights.order(network, 32))]
    with pytest.raises(CheckpointError, match=r"epsilon 1e-05; expected Keras' 0\.001, .* convention keras"):
        keras_weights.fill(network, layers, 32)


def test_networks_without_a_like_in_keras() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(image.float()))

    class Scaled(Shared):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.scale * self.layer(image.float())

    with pytest.raises(CheckpointError, match="a layer that is used twice"):
        keras_weights.order(Shared(), 16)
    with pytest.raises(CheckpointError, match="weights scale"):
        keras_weights.order(Scaled(), 16)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("data: {image_size: 32}", "no network in"),
        ("model: {model: {class_path: fundusseg.models.UNet}}", "no data section"),
        ("data: {image_size: 33}\nmodel: {model: fundusseg.models.UNet}", "resize or pad to height 40"),
        ("data: {regions: [cup]}\nmodel: {model: fundusseg.models.UNet}", "2 output channels for the regions cup"),
        ("data: {image_size: large}\nmodel: {model: fundusseg.models.UNet}", "large"),
        ("data: {image_size: 32}\nmodel: {model: fundusseg.models.UNte}", "UNte"),
        ("data: {image_size: 32}\nmodel: {model: {class_path: fundusseg.models.UNet, init_args: {deep: 3}}}", "deep"),
        ("data: {image_size: 32}\nmodel: {model: [1]}", r"model"),
    ],
)
def test_a_configuration_that_does_not_fit(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(FundusSegError, match=sentence) as raised:
        convert.read_config(str(tmp_path / "config.yaml"))
    assert isinstance(raised.value, ConfigurationError)
    assert "\n" not in str(raised.value)
