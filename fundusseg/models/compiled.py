"""A network as a machine computes it fastest: batch norms folded away, programs made by torch.compile."""

import threading
import warnings
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Put each batch norm that follows a convolution into its weights: the same function, rounded otherwise.

    Args:
        network: In evaluation mode; it is changed. Only neighbours in a ``Sequential`` are folded, which nothing stands
            between.
    """
    for layers in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for first, second in pairwise(layers._modules):
            convolution, norm = layers._modules[first], layers._modules[second]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
                layers._modules[first] = fuse_conv_bn_eval(convolution, norm)
                layers._modules[second] = nn.Identity()
    return network


class Compiled:
    """A network compiled for each shape that it is given; where that cannot be done, the network as it is.

    torch.compile (PyTorch 2, doi 10.1145/3620665.3640366) keeps its programs on the disk between runs. Several threads
    may call it, one at a time.

    Args:
        network: What to compile; it keeps its weights and names.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network, self._lock = network, threading.Lock()
        # Static shapes: batches of one size meet one program, not one for any size, which is slower.
        self._program: Any = torch.compile(network, dynamic=False)

    @property
    def is_compiled(self) -> bool:
        """Whether no attempt has failed yet."""
        return self._program is not None

    def __call__(self, pixels: Tensor) -> Tensor:
        """What the network gives."""
        with self._lock:
            if self._program is not None:
                try:
                    compiled: Tensor = self._program(pixels)
                    return compiled
                except Exception as error:  # whatever a compiler meets first: no gcc, no room, an operation it lacks
                    gist = " ".join(str(error).split())[:160] or type(error).__name__
                    self._program = None
                    warnings.warn(
                        f"the network runs uncompiled: torch.compile failed ({gist}); a C++ compiler such as g++ must "
                        "be installed, or leave --compile out",
                        stacklevel=2,
                    )
        plain: Tensor = self.network(pixels)
        return plain
