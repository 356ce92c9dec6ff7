"""Bring the weights of a Keras network along.

    python -m fundusseg.convert weights.h5 --config configs/seeds/isbi_membrane.yaml --output membrane.ckpt

Reads a whole model or weights alone in Keras' HDF5 layout (``model.save("x.h5")``, ``save_weights("x.h5")``), without
TensorFlow, into the network that the YAML names under ``model.model``, and writes a checkpoint that `predict` loads.
Layers are matched in the order in which they are computed, and every shape is checked.
"""

from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from torch import nn

from fundusseg.class_paths import renew
from fundusseg.cli import Parser, console, data_section, run
from fundusseg.data.preparation import Preparation
from fundusseg.errors import ConfigurationError
from fundusseg.models import Network, checkpoint
from fundusseg.models.keras_weights import fill, read_keras
from fundusseg.reports.files import write_text
from fundusseg.reports.model_card import card_path, model_card_text
from fundusseg.training.task import SegmentationTask
from fundusseg.xla.process import prepare_process

Array = npt.NDArray[np.float32]


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg convert", description=__doc__)
    parser.add_argument("keras_file", type=str, help="A .h5 or .hdf5 file of Keras.")
    parser.add_argument("--config", required=True, type=str, help="YAML that names the network and its pictures.")
    parser.add_argument("--output", required=True, type=str, help="Checkpoint to write.")
    return parser


def main(arguments: list[str]) -> int:
    """Convert; returns the exit code."""
    prepare_process()
    settings = parser().parse_args(arguments)
    network, preparation = read_config(settings.config)
    layers = read_keras(settings.keras_file)
    fill(network, layers, preparation.image_size)
    write(network, preparation, Path(settings.output))
    console.print(f"{len(layers)} layers of {settings.keras_file} converted: {settings.output}", soft_wrap=True)
    if isinstance(network, Network) and (network.mean.any() or (network.std != 1).any()):
        console.print(
            "look at: Keras' networks are mostly fed pixels / 255, which is mean [0.0] and std [1.0] in the YAML; "
            f"this one gets mean {network.mean.tolist()} and std {network.std.tolist()}",
            style="yellow",
            soft_wrap=True,
            markup=False,
        )
    return 0


def read_config(config: str) -> tuple[nn.Module, Preparation]:
    """The network of a YAML, without trained weights, and how its pictures become squares.

    Raises:
        ConfigurationError: It names no network, or network and pictures do not fit.
    """
    names = {field.name for field in fields(Preparation)}
    data = {name: value for name, value in data_section(config).items() if name in names}
    section = yaml.safe_load(renew(Path(config).read_text(encoding="utf-8"))).get("model")
    given = section.get("model") if isinstance(section, dict) else None
    if not given:
        raise ConfigurationError(
            f"no network in {config}", "a class_path under model.model", "name the network that the weights belong to"
        )
    if isinstance(given, dict) and "encoder_weights" in (given.get("init_args") or {}):
        given["init_args"]["encoder_weights"] = None
    objects = Parser()
    objects.add_class_arguments(Preparation, "data")
    objects.add_argument("--model", type=nn.Module)
    made = objects.instantiate(objects.parse_object({"data": data, "model": given}))
    SegmentationTask(made.model, preparation=made.data)  # It checks that network and pictures fit.
    return made.model, made.data


def write(network: nn.Module, preparation: Preparation, path: Path) -> None:
    """Write what `predict` loads; whom the weights were trained on is not known."""
    thresholds = dict.fromkeys(preparation.regions, 0.5)
    description = checkpoint.describe(network, preparation, thresholds=thresholds, sources={})
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    checkpoint.write({checkpoint.KEY: description.as_dict(), "state_dict": state}, path)
    write_text(model_card_text(path.name, {"network": description}), card_path(path))


if __name__ == "__main__":
    run(main)
