"""Our networks against the same networks in Keras, from the same weights.

Keras is needed for the first half only, in an environment of its own (``pip install tensorflow-cpu``; for Keras 2 also
``tf_keras``), which needs nothing of fundusseg; the second half needs no Keras:

    KERAS_ENVIRONMENT/bin/python tools/compare_keras.py build --output FOLDER [--keras tf_keras]
    python tools/compare_keras.py compare FOLDER

For each network `build` draws random weights, batch norm's statistics included, and writes NAME.h5 (the whole model),
NAME.npz (pictures, targets, Keras' probabilities, and its loss before and after one step of gradient descent) and, with
Keras 2, NAME_weights.h5. `compare` converts the files and prints the greatest differences; its exit code is 1 where one
is above 1e-4. Keras computes in float64, and so does our training step: batch norm over the few pixels of a small
network's bottom makes of float32's rounding a difference of 1e-4 in the next loss. Our probabilities are float32's.

The networks are those of the systems that fundusseg reproduces, written from their published descriptions: the
generalized U-Net of Civit-Masot et al. 2019 in several settings, the Keras U-Net for the membranes of ISBI 2012, and
the MobileNetV2 U-Net of the sclera competition SSBC 2020.
"""

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TOLERANCE = 1e-4
RATE = 0.05
"""Of the one step of gradient descent."""

CASES: dict[str, dict[str, Any]] = {
    "tpu_unet": {"network": "UNet", "side": 64, "start_channels": 8, "depth": 4, "batch_norm": False},
    "tpu_unet_transposed": {
        "network": "UNet",
        "side": 64,
        "start_channels": 12,
        "depth": 5,
        "growth_rate": 1.2,
        "up_conv": False,
    },
    "tpu_unet_strided_residual": {
        "network": "UNet",
        "side": 48,
        "start_channels": 6,
        "depth": 3,
        "growth_rate": 1.5,
        "activation": "elu",
        "max_pool": False,
        "residual": True,
    },
    "isbi_membrane": {"network": "IsbiUNet", "side": 64, "start_channels": 16, "depth": 4},
    "mu_net": {"network": "MobileUNet", "side": 96, "width": 0.35},
}
"""Each network's settings, by fundusseg's names; what is left out has fundusseg's default."""


def parser() -> argparse.ArgumentParser:
    """The two halves' arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    halves = parser.add_subparsers(dest="half", required=True)
    build = halves.add_parser("build", help="with Keras: networks, weights, outputs")
    build.add_argument("--output", type=Path, required=True)
    build.add_argument("--keras", choices=["keras", "tf_keras"], default="keras")
    compare = halves.add_parser("compare", help="without Keras: convert and compare")
    compare.add_argument("folder", type=Path)
    return parser


def main() -> int:
    """Run one half; returns the exit code."""
    arguments = parser().parse_args()
    if arguments.half == "compare":
        return compare(arguments.folder)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    arguments.output.mkdir(parents=True, exist_ok=True)
    keras = importlib.import_module(arguments.keras)
    keras.backend.set_floatx("float64")
    for name, case in CASES.items():
        build(keras, name, dict(case), arguments.output)
    return 0


# The half with Keras.


def build(keras: Any, name: str, case: dict[str, Any], folder: Path) -> None:
    """Write one network with random weights, and what it answers."""
    keras.utils.set_random_seed(0)
    network, side = case.pop("network"), case.pop("side")
    channels = 1 if network == "IsbiUNet" else 3
    make: Callable[..., Any] = {"UNet": unet, "IsbiUNet": isbi_unet, "MobileUNet": mobile_unet}[network]
    model = make(keras, (side, side, channels), **case)
    random = np.random.default_rng(0)
    draw_statistics(model, random)
    pixels = np.repeat(random.integers(0, 256, (2, side, side, channels), np.uint8), 3 // channels, axis=-1)
    target = random.integers(0, 2, (2, side, side, 1)).astype(np.float64)
    image = pixels[..., :channels].astype(np.float64) / 255
    model.save(folder / f"{name}.h5")
    if keras.__name__ == "tf_keras":
        model.save_weights(folder / f"{name}_weights.h5")
    outputs = np.asarray(model(image, training=False))
    losses = train_one_step(keras, model, image, target)
    np.savez_compressed(folder / f"{name}.npz", pixels=pixels, target=target, outputs=outputs, losses=losses)
    print(f"{name}: {model.count_params():,} parameters, probabilities {outputs.min():.3f} to {outputs.max():.3f}")


def draw_statistics(model: Any, random: np.random.Generator) -> None:
    """Random biases and batch norm, which are 0 and 1 where a network is new and would hide a mistake.

    All weights are rounded to float32, in which they are converted.
    """
    for layer in model.layers:
        weights = layer.get_weights()
        if "normalization" in type(layer).__name__.lower():
            weights = [random.uniform(0.5, 1.5, weight.shape) for weight in weights]
        elif len(weights) == 2:
            weights = [weights[0], random.normal(0, 0.1, weights[1].shape)]
        layer.set_weights([weight.astype(np.float32) for weight in weights])


def train_one_step(keras: Any, model: Any, image: Any, target: Any) -> list[float]:
    """Mean binary cross entropy before and after one step of gradient descent, in training mode without dropout."""
    import tensorflow

    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    losses = []
    for _ in range(2):
        with tensorflow.GradientTape() as tape:
            loss = tensorflow.reduce_mean(keras.losses.binary_crossentropy(target, model(image, training=True)))
        losses.append(float(loss))
        for weight, gradient in zip(
            model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
        ):
            weight.assign(weight - RATE * gradient)
    return losses


def unet(
    keras: Any,
    shape: tuple[int, int, int],
    start_channels: int,
    depth: int,
    growth_rate: float = 2.0,
    activation: str = "relu",
    batch_norm: bool = True,
    max_pool: bool = True,
    up_conv: bool = True,
    residual: bool = False,
) -> Any:
    """The generalized U-Net, level by level from the outside in."""
    layers = keras.layers

    def block(x: Any, width: int) -> Any:
        out = x
        for _ in range(2):
            out = layers.Conv2D(width, 3, activation=activation, padding="same")(out)
            out = layers.BatchNormalization()(out) if batch_norm else out
        return layers.Concatenate()([x, out]) if residual else out

    def level(x: Any, width: int, below: int) -> Any:
        skip = block(x, width)
        if below == 0:
            return skip
        down = layers.MaxPooling2D()(skip) if max_pool else layers.Conv2D(width, 3, strides=2, padding="same")(skip)
        up = level(down, int(growth_rate * width), below - 1)
        if up_conv:
            up = layers.Conv2D(width, 2, activation=activation, padding="same")(layers.UpSampling2D()(up))
        else:
            up = layers.Conv2DTranspose(width, 3, strides=2, activation=activation, padding="same")(up)
        return block(layers.Concatenate()([skip, up]), width)

    inputs = layers.Input(shape)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(level(inputs, start_channels, depth))
    return keras.Model(inputs, outputs)


def isbi_unet(keras: Any, shape: tuple[int, int, int], start_channels: int, depth: int) -> Any:
    """The U-Net for membranes: dropout behind the last two blocks of the way down, two channels before the head."""
    layers = keras.layers

    def convolution(x: Any, width: int, kernel: int = 3) -> Any:
        return layers.Conv2D(width, kernel, activation="relu", padding="same", kernel_initializer="he_normal")(x)

    x = inputs = layers.Input(shape)
    skips = []
    for number in range(depth + 1):
        width = start_channels * 2**number
        x = convolution(convolution(x, width), width)
        x = layers.Dropout(0.5)(x) if number >= depth - 1 else x
        if number < depth:
            skips.append(x)
            x = layers.MaxPooling2D()(x)
    for number in reversed(range(depth)):
        width = start_channels * 2**number
        up = convolution(layers.UpSampling2D()(x), width, kernel=2)
        x = convolution(convolution(layers.Concatenate()([skips[number], up]), width), width)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(convolution(x, 2))
    return keras.Model(inputs, outputs)


def mobile_unet(keras: Any, shape: tuple[int, int, int], width: float) -> Any:
    """The U-Net on Keras' own MobileNetV2, to the expansion of its block 13."""
    layers = keras.layers
    inputs = layers.Input(shape)
    encoder = keras.applications.MobileNetV2(input_tensor=inputs, weights=None, include_top=False, alpha=width)
    skips = [encoder.get_layer(f"block_{number}_expand_relu").output for number in (6, 3, 1)]
    x = encoder.get_layer("block_13_expand_relu").output
    for skip, channels in zip([*skips, inputs], (64, 48, 32, 16), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
        for _ in range(2):
            x = layers.Conv2D(channels, 3, padding="same")(x)
            x = layers.Activation("relu")(layers.BatchNormalization()(x))
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(x)
    return keras.Model(inputs, outputs)


# The half without.


def compare(folder: Path) -> int:
    """Convert every file of the folder and print the greatest differences; returns the exit code."""
    import torch

    torch.set_num_threads(1)
    print(f"{'network':28}{'parameters':>12}{'probability':>13}{'loss':>12}{'after a step':>14}")
    worst = 0.0
    for path in sorted(folder.glob("*.h5")):
        name = path.stem.removesuffix("_weights")
        count, differences = compare_file(path, CASES[name], dict(np.load(folder / f"{name}.npz")))
        worst = max(worst, *differences)
        print(f"{path.stem:28}{count:>12,}{differences[0]:>13.1e}{differences[1]:>12.1e}{differences[2]:>14.1e}")
    return int(not 0 < worst <= TOLERANCE)


def compare_file(path: Path, case: dict[str, Any], theirs: dict[str, npt.NDArray[Any]]) -> tuple[int, list[float]]:
    """Parameters, and the greatest differences of probabilities and losses from Keras'."""
    import torch
    import yaml

    from fundusseg import convert
    from fundusseg.models import checkpoint, count_parameters

    arguments = {key: value for key, value in case.items() if key not in ("network", "side")}
    arguments |= {"out_channels": 1, "mean": [0.0], "std": [1.0]}
    if case["network"] == "MobileUNet":
        arguments["convention"] = "keras"
    network = {"class_path": f"fundusseg.models.{case['network']}", "init_args": arguments}
    data = {"regions": ["region"], "image_size": case["side"]}
    with tempfile.TemporaryDirectory() as place:
        config, output = Path(place, "config.yaml"), Path(place, "converted.ckpt")
        config.write_text(yaml.safe_dump({"data": data, "model": {"model": network}}))
        convert.console.quiet = True
        convert.main([str(path), f"--config={config}", f"--output={output}"])
        ours: Any = checkpoint.build(*checkpoint.load(output))
    image, target = (torch.from_numpy(theirs[key]).permute(0, 3, 1, 2) for key in ("pixels", "target"))
    with torch.inference_mode():
        outputs = ours(image).sigmoid().permute(0, 2, 3, 1).numpy()
    losses = []
    for layer in ours.double().train().modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    optimiser = torch.optim.SGD(ours.parameters(), RATE)
    for _ in range(2):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(ours(image), target)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    differences = [np.abs(outputs - theirs["outputs"]).max(), *np.abs(np.array(losses) - theirs["losses"])]
    return count_parameters(ours)[0], [float(difference) for difference in differences]


if __name__ == "__main__":
    sys.exit(main())
