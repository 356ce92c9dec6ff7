"""Networks: the generalized U-Net and three published ones, a MobileNetV2 U-Net, and segmentation_models_pytorch's.

``SMPModel`` is imported when it is first used, because its library takes seconds to import.
"""

from typing import TYPE_CHECKING, Any

from fundusseg.models.layers import Network, count_parameters
from fundusseg.models.mobile_unet import MobileUNet
from fundusseg.models.unet import IsbiUNet, LightUNet, OriginalUNet, UNet

if TYPE_CHECKING:
    from fundusseg.models.smp import SMPModel

__all__ = [
    "IsbiUNet",
    "LightUNet",
    "MobileUNet",
    "Network",
    "OriginalUNet",
    "SMPModel",
    "UNet",
    "count_parameters",
]


def __getattr__(name: str) -> Any:
    """Import ``SMPModel`` at its first use (PEP 562)."""
    if name == "SMPModel":
        from fundusseg.models.smp import SMPModel

        return SMPModel
    raise AttributeError(f"module 'fundusseg.models' has no attribute {name!r}")
