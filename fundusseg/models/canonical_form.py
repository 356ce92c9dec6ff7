"""Content whose pickle depends on its values alone."""

import sys
from collections import OrderedDict
from typing import Any

from torch import Tensor


def canonical(content: Any) -> Any:
    """The same plain content, such that equal content is written as equal bytes.

    A pickle names an object once and points back to it where the very same object comes again. So its bytes tell which
    equal texts and tuples are one object, which is another after a checkpoint was read than in the run that wrote it.
    Here texts of one value are one object, and containers and single numbers never are. Other tensors stay themselves,
    so that two that share their memory are written once, but one that is a part of a larger one is written alone.
    """
    kind = type(content)
    if kind is str:
        return sys.intern(content)
    if kind in (list, tuple):
        return kind(canonical(value) for value in content)
    if kind in (dict, OrderedDict):
        made: Any = kind((canonical(key), canonical(value)) for key, value in content.items())
        if metadata := getattr(content, "_metadata", None):  # versions of a state's modules
            made._metadata = canonical(metadata)
        return made
    if isinstance(content, Tensor) and (content.numel() == 1 or content.untyped_storage().nbytes() > content.nbytes):
        return content.clone()
    return content
