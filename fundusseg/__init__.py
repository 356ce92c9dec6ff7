"""Optic disc and cup segmentation in eye fundus photographs.

The public names are imported when they are first used, so that ``import fundusseg`` stays quick and needs no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "FundusDataModule": "fundusseg.datamodule",
    "FundusSegError": "fundusseg.errors",
    "Measures": "fundusseg.measures",
    "Predictor": "fundusseg.predictor",
    "Sample": "fundusseg.sample",
    "SegmentationTask": "fundusseg.task",
    "measure": "fundusseg.measures",
}
__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    """Import a public name from its module (PEP 562)."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'fundusseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
