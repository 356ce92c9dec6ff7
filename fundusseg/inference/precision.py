"""In which numbers a network is computed, and which machines compute them."""

import platform
from typing import Literal, TypeAlias, get_args

from fundusseg.errors import ConfigurationError

Precision: TypeAlias = Literal["32-true", "bf16"]
"""float32; or convolutions in bfloat16, of whose numbers 8 bits are precise."""


def check_precision(precision: str, device: str) -> None:
    """Refuse bfloat16 where it would be computed by way of float32, which takes longer than float32 itself.

    Args:
        precision: What was asked for.
        device: Kind of device: ``cpu``, ``cuda``, ...

    Raises:
        ConfigurationError: There is no such precision, or the device does not compute in it.
    """
    if precision not in get_args(Precision):
        raise ConfigurationError(f"precision {precision!r}", f"one of {get_args(Precision)}", "correct --precision")
    if precision == "bf16" and not _has_bfloat16(device):
        raise ConfigurationError(
            f"precision bf16 on {device} without bfloat16 instructions", "32-true there", "leave --precision out"
        )


def _has_bfloat16(device: str) -> bool:
    import torch  # predict's parser asks for the names above alone

    if device == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    if device == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device == "cuda"
