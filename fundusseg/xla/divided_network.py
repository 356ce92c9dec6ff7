"""A network without a Trainer on all XLA devices of the host: each computes a part of every batch."""

import threading

import torch
from torch import Tensor, nn

from fundusseg.xla import backend

_ONE_PROGRAM = threading.Lock()
"""torch_xla records what all threads do as one program: one records at a time."""


class DividedNetwork:
    """Logits of batches of one size, by one program.

    Args:
        network: On the XLA device, in evaluation mode.
        device: That all devices look like.

    Attributes:
        size: Pictures of a batch: a multiple of the devices, and two photographs' four views at least.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network, self.device, self._mesh = network, device, backend.mesh()
        devices = backend.device_count()
        self.size = devices * -(-8 // devices)
        with _ONE_PROGRAM:
            backend.replicate([*network.parameters(), *network.buffers()], self._mesh)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 (size, 3, S, S) to float32 probabilities (size, R, S, S), both on the CPU."""
        with _ONE_PROGRAM:
            sent = pixels.contiguous().to(self.device)
            backend.divide(sent, self._mesh)
            probabilities: Tensor = self.network(sent).float().sigmoid()
            backend.end_program()
            return probabilities.cpu()
