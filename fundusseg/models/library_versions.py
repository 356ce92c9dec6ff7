"""Which libraries a training's numbers may hang on, and what is installed of them."""

import platform
from functools import cache
from importlib import metadata

_LIBRARIES = ("torch", "lightning", "segmentation-models-pytorch", "albumentations", "opencv-python-headless", "numpy")
"""Whose version a training's numbers may hang on."""


@cache
def versions() -> dict[str, str]:
    """Of Python and of the libraries that are installed, by name."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:  # opencv has several names
            continue
    return found
