"""A network in bfloat16 whose batch norms stay precise."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def to_bfloat16(network: nn.Module) -> None:
    """Round a network's weights, and what flows between its layers, in place; once, however often it is called.

    Batch norms keep float32 for weights and statistics: a running mean that moves by a tenth of a small difference
    would stand still in 8 bits. They compute in float32 and round their result. Buffers, such as the pixels' mean and
    deviation, are left alone.
    """
    for layer in network.modules():
        if not isinstance(layer, _BatchNorm):
            for parameter in layer.parameters(recurse=False):
                parameter.data = parameter.data.to(torch.bfloat16)
        elif _widen not in layer._forward_pre_hooks.values():
            layer.register_forward_pre_hook(_widen)
            layer.register_forward_hook(_round)


def _widen(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.float() for tensor in inputs)


def _round(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output.to(torch.bfloat16)
