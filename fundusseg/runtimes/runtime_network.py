"""A trained network that another library computes in place of torch: the same pixels, the same logits."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fundusseg import __version__
from fundusseg.atomic_file import write_whole
from fundusseg.data.cache_folder import default_folder
from fundusseg.errors import ConfigurationError
from fundusseg.models import Network
from fundusseg.models.base import require_choice
from fundusseg.models.checkpoint import Description
from fundusseg.runtimes.choices import Runtime
from fundusseg.runtimes.exported_program import INPUT, OPSET, exported_program, onnx_bytes
from fundusseg.runtimes.libraries import import_onnxruntime, import_openvino

_FOLDER = "exported"


def runtime_network(network: nn.Module, description: Description, runtime: Runtime, device: str = "cpu") -> nn.Module:
    """A network as a runtime computes it, in float32 on the CPU; the network itself for ``torch``.

    The graph is made once and kept in the cache folder, under a digest of the network and its weights.

    Args:
        network: uint8 (B, 3, S, S) to logits (B, R, S, S), in evaluation mode.
        description: The checkpoint's.
        runtime: ``torch``, ``onnx`` or ``openvino``.
        device: Where the rest is computed.

    Raises:
        ConfigurationError: There is no such runtime, it is not installed, or it does not suit network or device.
    """
    require_choice("runtime", runtime, Runtime)
    if runtime == "torch":
        return network
    if device != "cpu":
        raise ConfigurationError(f"runtime {runtime} on {device}", "the CPU", "leave --device or --runtime out")
    side = description.preparation.image_size
    if isinstance(network, Network) and network.output_size(side, side) != (side, side):
        raise ConfigurationError(
            f"runtime {runtime} for {type(network).__name__}, which predicts the middle of its pictures alone",
            "a network that predicts all of them",
            "leave --runtime out",
        )
    path = _onnx_file(network, description, side)
    return _OnnxNetwork(path) if runtime == "onnx" else _OpenVINONetwork(path)


class _OnnxNetwork(nn.Module):
    """What onnxruntime computes; several threads may use one at the same time."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        library = import_onnxruntime()
        options = library.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = library.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 3, S, S) to float32 logits."""
        return torch.from_numpy(self.session.run(None, {INPUT: _contiguous(pixels)})[0])


_ONE_AT_A_TIME = threading.Lock()
"""Two threads in OpenVINO's binding at once were seen to wait for each other without end."""


class _OpenVINONetwork(nn.Module):
    """What OpenVINO computes; threads that use it, or another one, take turns."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        core = import_openvino().Core()
        # Left alone it would take bfloat16 where the CPU has it, and logits would differ by 2e-2.
        pinned = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self.request = core.compile_model(core.read_model(path), "CPU", pinned).create_infer_request()

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 3, S, S) to float32 logits."""
        with _ONE_AT_A_TIME:
            # A copy: the request's own memory holds the next answer too.
            return torch.from_numpy(np.array(self.request.infer([_contiguous(pixels)])[0]))


def _contiguous(pixels: Tensor) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.numpy())


def _onnx_file(network: nn.Module, description: Description, side: int) -> Path:
    """The network's graph in the cache folder, made where it is not there yet."""
    # Its constructor's arguments too: a layer need not print all that it computes by.
    made_by = f"{__version__} {torch.__version__} {OPSET} {side} {network} {description.network}"
    digest = hashlib.sha256(made_by.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    path = default_folder() / _FOLDER / f"{digest.hexdigest()}.onnx"
    if not path.is_file():
        write_whole(path, onnx_bytes(exported_program(network, side), {}))
    return path
