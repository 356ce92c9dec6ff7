"""Weights that Keras wrote as HDF5, read without TensorFlow and brought into a network of ours."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fundusseg.errors import CheckpointError
from fundusseg.models import checkpoint

Array = npt.NDArray[np.float32]

EPSILON = 1e-3
"""Keras' batch norm adds it to the variance; it is no weight, so that a file of weights does not tell."""


BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


CONVOLUTION = {"kernel": "weight", "depthwise_kernel": "weight"}
"""PyTorch's names of Keras' weights."""


@dataclass(frozen=True)
class Layer:
    """One Keras layer.

    Attributes:
        name: As Keras has it.
        weights: By their last name: kernel, bias, gamma, beta, moving_mean, moving_variance, ...
    """

    name: str
    weights: dict[str, Array]


def read_keras(path: str | Path) -> list[Layer]:
    """Read the layers that have weights, in their order in the file, which is that of computation.

    Args:
        path: A whole model, or weights alone; of Keras 2, or of Keras 3 in the older layout.

    Raises:
        CheckpointError: It is missing, damaged, or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no file at {path}", "a .h5 or .hdf5 file of Keras", "check the path")
    try:
        with h5py.File(path) as file:
            group = file.get("model_weights", file)
            names = _texts(group, "layer_names")
            # Theano convolves, which is TensorFlow's correlation with the kernel turned round.
            turned = _text(group.attrs.get("backend", "tensorflow")) == "theano"
            return [layer for name in names for layer in _layers(group[name], name, turned)]
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"a file that does not hold Keras' layers by name: {path} ({checkpoint.first_line(error)})",
            "a whole model, or weights alone, in Keras' older HDF5 layout",
            "save the model in Keras by model.save('x.h5')",
        ) from error


def _layers(group: Any, name: str, turned: bool) -> list[Layer]:
    """A layer's weights; where a whole network is one layer, those of each layer in it."""
    layers: dict[str, dict[str, Array]] = {}
    for path in _texts(group, "weight_names"):
        owner, _, weight = path.rpartition("/")
        values = np.asarray(group[path], np.float32)
        if turned and values.ndim == 4:
            values = values[::-1, ::-1]
        layers.setdefault(owner or name, {})[weight.split(":")[0]] = values
    return [Layer(owner, weights) for owner, weights in layers.items()]


def _texts(group: Any, attribute: str) -> list[str]:
    """A list of names, which Keras cuts into several attributes where it is long."""
    if attribute in group.attrs:
        return [_text(name) for name in group.attrs[attribute]]
    parts: list[Any] = []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{attribute}{len(parts)}"])
    if not parts:
        raise ValueError(f"no {attribute}")
    return [_text(name) for part in parts for name in part]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def fill(network: nn.Module, layers: list[Layer], size: int) -> None:
    """Give a network Keras' weights, layer by layer in the order of computation.

    Args:
        network: Is filled in place.
        layers: As Keras computes them.
        size: Side of a picture that the network takes.

    Raises:
        CheckpointError: The layers differ in number, kind or shape; the first that does is named.
    """
    names = order(network, size)
    modules = dict(network.named_modules())
    tensors: dict[str, Tensor] = {}
    for layer, name in zip(layers, names, strict=False):
        tensors |= {f"{name}.{key}": tensor for key, tensor in _translate(layer, name, modules[name]).items()}
    if len(layers) != len(names):
        beyond = [layer.name for layer in layers[len(names) :]] or names[len(layers) :]
        raise CheckpointError(
            f"{len(layers)} Keras layers with weights for the {len(names)} of {type(network).__name__}"
            f" (left over: {', '.join(beyond[:3])})",
            "a file of the same network",
            "name the network that the weights belong to under model.model of the YAML",
        )
    network.load_state_dict(network.state_dict() | tensors)


def order(network: nn.Module, size: int) -> list[str]:
    """Names of the layers with weights in the order in which they are computed.

    Raises:
        CheckpointError: The network has weights in other layers than convolutions and batch norm, or uses one twice.
    """
    double = copy.deepcopy(network).to("meta").eval()  # Shapes alone are computed, so that no size costs anything.
    names: list[str] = []
    for name, module in double.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
            module.register_forward_pre_hook(lambda _, inputs, name=name: names.append(name))
    double(torch.empty(1, 3, size, size, dtype=torch.uint8, device="meta"))
    covered = {f"{name}.{key}" for name in names for key in dict(double.named_modules())[name].state_dict()}
    foreign = [name for name, _ in network.named_parameters() if name not in covered]
    if foreign or len(set(names)) != len(names):
        raise CheckpointError(
            f"{type(network).__name__} with {f'weights {foreign[0]}' if foreign else 'a layer that is used twice'}",
            "convolutions and batch norm, each used once",
            "choose a network that has its like in Keras",
        )
    return names


def _translate(layer: Layer, name: str, module: nn.Module) -> dict[str, Tensor]:
    """PyTorch's tensors of one layer.

    Raises:
        CheckpointError: Kind, shape or epsilon differ.
    """
    norm = isinstance(module, nn.BatchNorm2d)
    found = {(BATCH_NORM if norm else CONVOLUTION).get(key, key): values for key, values in layer.weights.items()}
    if not norm and found.get("weight", np.empty(0)).ndim == 4:
        found["weight"] = _kernel(found["weight"], module)
    own = {key: tensor for key, tensor in module.state_dict().items() if key != "num_batches_tracked"}
    if _sizes(found) != _sizes(own):
        raise CheckpointError(
            f"Keras layer {layer.name} with {_sizes(found)} for {name}",
            _sizes(own),
            "name the network that the weights belong to under model.model of the YAML",
        )
    if isinstance(module, nn.BatchNorm2d) and module.eps != EPSILON:
        raise CheckpointError(
            f"batch norm {name} with epsilon {module.eps:g}",
            f"Keras' {EPSILON:g}, with which {layer.name} was trained",
            "choose a network that follows Keras (MobileUNet: convention keras)",
        )
    return {key: torch.from_numpy(values.copy()) for key, values in found.items()}


def _kernel(values: Array, module: nn.Module) -> Array:
    """Keras' height x width x in x out to out x in x height x width.

    Where the convolution is transposed, Keras has out x in and PyTorch in x out: the axes move alike. Both define it as
    the gradient of a convolution, so that nothing is turned round. A depthwise kernel is height x width x channel x
    outputs of it.
    """
    groups = module.groups if isinstance(module, nn.Conv2d) else 1
    if groups == 1:
        return values.transpose(3, 2, 0, 1)
    return values.transpose(2, 3, 0, 1).reshape(-1, 1, *values.shape[:2])


def _sizes(tensors: Mapping[str, Array] | Mapping[str, Tensor]) -> str:
    """``bias 8, weight 8 x 3 x 3 x 3``."""
    return ", ".join(f"{key} {' x '.join(map(str, tensors[key].shape))}" for key in sorted(tensors))
