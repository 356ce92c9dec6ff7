"""The reproduced networks in Keras, for `tools/benchmark_train.py`, which runs this file in Keras' own environment.

    KERAS_ENVIRONMENT/bin/python tools/keras_networks.py build FOLDER [--keras tf_keras]
    KERAS_ENVIRONMENT/bin/python tools/keras_networks.py speed NETWORK --batch 16 --threads 2

`build` writes each of `CASES` with random weights, and what it answers; `speed` trains and predicts one of `TIMED` by
turns, as lines of the standard input ask it to. It needs Keras (``pip install tensorflow-cpu``; for Keras 2 also
``tf_keras``) and nothing of fundusseg. The networks are written from their published descriptions: the generalized
U-Net of Civit-Masot et al. 2019 in several settings, the Keras U-Net for the membranes of ISBI 2012, and the
MobileNetV2 U-Net of the sclera competition SSBC 2020.
"""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

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

TIMED: dict[str, dict[str, Any]] = {
    "unet_32_4": {"network": "UNet", "side": 128, "start_channels": 32, "depth": 4, "up_conv": False},
    "unet_64_6": {
        "network": "UNet",
        "side": 128,
        "start_channels": 64,
        "depth": 6,
        "growth_rate": 1.1,
        "up_conv": False,
    },
    "mobile_unet": {"network": "MobileUNet", "side": 192, "width": 1.0},
}
"""What is timed, likewise: the generalized U-Net in two settings, and the MobileNetV2 U-Net."""


def main() -> int:
    """Build or time; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    build_them = verbs.add_parser("build")
    build_them.add_argument("folder", type=Path)
    build_them.add_argument("--keras", choices=["keras", "tf_keras"], default="keras")
    time_it = verbs.add_parser("speed")
    time_it.add_argument("network", choices=TIMED)
    time_it.add_argument("--batch", type=int, required=True)
    time_it.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if given.verb == "speed":
        return speed(given.network, given.batch, given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    keras = importlib.import_module(given.keras)
    keras.backend.set_floatx("float64")
    for name, case in CASES.items():
        build(keras, name, dict(case), given.folder)
    return 0


def make(keras: Any, case: dict[str, Any]) -> Any:
    """One network of `CASES` or `TIMED`."""
    case = dict(case)
    network, side = case.pop("network"), case.pop("side")
    maker: Callable[..., Any] = {"UNet": unet, "IsbiUNet": isbi_unet, "MobileUNet": mobile_unet}[network]
    return maker(keras, (side, side, 1 if network == "IsbiUNet" else 3), **case)


def speed(name: str, batch: int, threads: int) -> int:
    """Answer lines "train SECONDS" and "predict SECONDS" by pictures a second, until there are no more."""
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    import keras

    model, side = make(keras, TIMED[name]), TIMED[name]["side"]
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss="binary_crossentropy")
    random = np.random.default_rng(0)
    image = tensorflow.constant(random.random((batch, side, side, 3), np.float32))
    target = tensorflow.constant(random.integers(0, 2, (batch, side, side, 1)).astype(np.float32))
    steps = {"train": lambda: model.train_on_batch(image, target), "predict": lambda: model.predict_on_batch(image)}
    for step in steps.values():
        step()
    print(f"ready {model.count_params()}", flush=True)
    for line in sys.stdin:
        what, seconds = line.split()
        start, count = time.perf_counter(), 0
        while (taken := time.perf_counter() - start) < float(seconds):
            steps[what]()
            count += batch
        print(count / taken, flush=True)
    return 0


def build(keras: Any, name: str, case: dict[str, Any], folder: Path) -> None:
    """Write one network with random weights, and what it answers."""
    keras.utils.set_random_seed(0)
    model, side, channels = make(keras, case), case["side"], 1 if case["network"] == "IsbiUNet" else 3
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


if __name__ == "__main__":
    sys.exit(main())
