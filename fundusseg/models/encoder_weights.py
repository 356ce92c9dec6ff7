"""Weights of an encoder from a file, for a machine without a connection."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError

SUFFIXES = (".bin", ".ckpt", ".pt", ".pth", ".safetensors")
"""File endings by which a weights file is told from a name on the hub."""

_HEADS = {"classifier", "fc", "_fc", "head", "last_linear", "linear"}
_SHOWN = 20


def load_encoder(encoder: nn.Module, name: str, path: Path, beyond: tuple[str, ...] = ()) -> None:
    """Fill an encoder from a file; each of its tensors must be there, in its shape.

    Names match whatever timm's wrappers made of them: ``model.`` in front, ``stages_0`` for ``stages.0``.
    What the file has beyond the encoder may only be the classifier, or the layers that timm cuts off behind
    the last feature map.

    Args:
        encoder: Is filled in place.
        name: Its name; after ``tu-`` that of a timm model.
        path: A dict of tensors written by ``torch.save``, or safetensors.
        beyond: Beginnings of names that the file may have although the encoder has not.

    Raises:
        ConfigurationError: There is no file, it holds no weights, or they are another network's.
    """
    tensors = {_plain_name(key): (key, tensor) for key, tensor in _read(path).items()}
    own = encoder.state_dict()
    missing, shapes = [], []
    for key, tensor in own.items():
        _, found = tensors.pop(_plain_name(key), (key, None))
        if found is None and not key.endswith("num_batches_tracked"):
            missing.append(key)
        elif found is not None and found.shape != tensor.shape:
            shapes.append(f"{key} ({_size(found)} in the file, {_size(tensor)} in the encoder)")
        elif found is not None:
            own[key] = found
    cut = _cut_off(name)
    extra = [
        key
        for plain, (key, _) in tensors.items()
        if not _expendable(key) and not key.startswith(beyond) and plain not in cut
    ]
    complaints = [
        f"{what} {', '.join(keys[:_SHOWN])}" + f" and {len(keys) - _SHOWN} more" * (len(keys) > _SHOWN)
        for what, keys in (("without", missing), ("with another shape of", shapes), ("with a foreign", extra))
        if keys
    ]
    if complaints:
        raise ConfigurationError(
            f"weights in {path} {'; '.join(complaints)}",
            f"every tensor of encoder {name!r} and no other network's",
            "give the weights of this encoder, or choose the encoder that they belong to",
        )
    encoder.load_state_dict(own)


def _expendable(key: str) -> bool:
    """Whether a file may have a tensor beyond the encoder: the classifier's, or a counter of batches."""
    return key.split(".")[0] in _HEADS or key.endswith("num_batches_tracked")


def _cut_off(name: str) -> set[str]:
    """Plain names of a whole timm model's tensors; empty for the library's own encoders, which are whole."""
    if not name.startswith("tu-"):
        return set()
    import timm  # Here, because it takes seconds and our own networks do without it.

    try:
        with torch.device("meta"):
            whole = timm.create_model(name[3:])
    except (RuntimeError, NotImplementedError):  # A few timm models compute with values while they are built.
        whole = timm.create_model(name[3:])
    return {_plain_name(key) for key in whole.state_dict()}


def _read(path: Path) -> dict[str, Tensor]:
    """Read a dict of tensors; nothing in the file is executed."""
    if not path.is_file():
        raise ConfigurationError(
            f"no weights file at {path}", "a file of the encoder's weights", "check encoder_weights"
        )
    try:
        tensors: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        tensors = error
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ConfigurationError(
            f"a file that holds no plain weights: {path}",
            "a dict of tensors written by torch.save, or safetensors",
            "copy the file again, or save model.state_dict() alone",
        )
    return dict(tensors)


def _plain_name(key: str) -> str:
    """A tensor's name without what timm's wrappers do to it."""
    return key.removeprefix("model.").replace(".", "_")


def _size(tensor: Tensor) -> str:
    return " x ".join(str(side) for side in tensor.shape)
