"""A network as one graph of tensor operations, from pixels to logits, for any number of pictures of one size."""

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from fundusseg.errors import ConfigurationError
from fundusseg.models.checkpoint import first_line

INPUT, OUTPUT = "pixels", "logits"
"""Names of the graph's one input, uint8 (B, 3, S, S) RGB, and its one output, float32 (B, R, H, W)."""

OPSET = 18
"""Version of the ONNX operators."""


def exported_program(network: nn.Module, image_size: int) -> ExportedProgram:
    """Record what a network computes; its normalisation, and whatever else it does to pixels, is inside.

    Args:
        network: uint8 (B, 3, S, S) to logits (B, R, H, W).
        image_size: S.

    Raises:
        ConfigurationError: It does something that no graph can say.
    """
    # Two pictures: a batch of one would be taken for a constant.
    example = torch.arange(2 * 3 * image_size**2).remainder(256).to(torch.uint8).view(2, 3, image_size, image_size)
    plain = copy.deepcopy(network).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(plain, (example,), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # whatever a layer meets first in tensors without values
        raise ConfigurationError(
            f"a network {type(network).__name__} that cannot be exported ({first_line(error)})",
            "one without steps in Python that hang on the pictures",
            "export another network",
        ) from error


def program_bytes(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """A file for ``torch.export.load``; each entry of the metadata is one of its ``extra_files``."""
    file = io.BytesIO()
    torch.export.save(program, file, extra_files=dict(metadata))
    return file.getvalue()


def onnx_bytes(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """An ONNX file with its weights inside; the metadata are its ``metadata_props``.

    Raises:
        ConfigurationError: The libraries are not installed.
    """
    require_extra("onnx", "onnxscript")
    with _quiet():
        made: Any = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT], verbose=False
        )
    model = made.model_proto
    for name, value in metadata.items():
        model.metadata_props.add(key=name, value=value)
    written: bytes = model.SerializeToString()
    return written


def require_extra(*libraries: str) -> None:
    """Check that libraries of the extra `export` are there, without importing them.

    Raises:
        ConfigurationError: One is not.
    """
    from importlib.util import find_spec

    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        raise ConfigurationError(
            f"no {' and no '.join(missing)}", "the libraries of the extra `export`", "pip install 'fundusseg[export]'"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' remarks on their own operators from the terminal; what fails is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
