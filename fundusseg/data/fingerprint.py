"""A digest of settings: the same for equal ones in every process, another for others."""

import copyreg
import hashlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from fundusseg.errors import ConfigurationError


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits of what a value holds: arrays by their numbers, objects by their class and state.

    A list and a tuple of the same are the same, as YAML knows lists only.

    Raises:
        ConfigurationError: Something in it has no state that could be compared, as an open file.

    >>> fingerprint({"a": 1, "b": (2, 3)}) == fingerprint({"b": [2, 3], "a": 1})
    True
    """
    return hashlib.sha256(_text(value, ()).encode()).hexdigest()[:16]


def code_of(reader: type) -> Any:
    """What a class does: its module's source, or its own code where there is no file, as in a notebook."""
    try:
        return inspect.getsource(sys.modules[reader.__module__])
    except (OSError, TypeError):
        members = {name: _function(member) for name, member in vars(reader).items()}
        kinds = (FunctionType, str, int, float, tuple, list, dict, PurePath)
        return {name: member for name, member in members.items() if isinstance(member, kinds)}


def _function(member: Any) -> Any:
    """The function in a property, a cached property or a static method; anything else as it is."""
    inner = [getattr(member, name, None) for name in ("fget", "func", "__func__")]
    return next((one for one in inner if isinstance(one, FunctionType)), member)


def _text(value: Any, inside: tuple[int, ...]) -> str:
    return json.dumps(_plain(value, inside), sort_keys=True)


def _plain(value: Any, inside: tuple[int, ...]) -> Any:
    """A value in what JSON knows; ``inside`` are the objects that hold it, so that a circle ends."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if id(value) in inside:
        return ["circle"]
    inside = (*inside, id(value))
    match value:
        # An array of objects holds addresses, which differ between processes: its state tells, below.
        case np.ndarray() | np.generic() if value.dtype != object:
            array = np.ascontiguousarray(value)
            return ["array", array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).hexdigest()]
        case PurePath():
            return ["path", str(value)]
        case bytes():
            return ["bytes", value.hex()]
        case Mapping():
            # Sorted as text: keys of several types have no order.
            return ["mapping", sorted([_text(key, inside), _text(item, inside)] for key, item in value.items())]
        case Set():
            return ["set", sorted(_text(item, inside) for item in value)]
        case Sequence() if type(value) in (list, tuple):
            return ["list", [_plain(item, inside) for item in value]]
        case type() | BuiltinFunctionType() | ModuleType():
            return ["name", getattr(value, "__module__", ""), getattr(value, "__qualname__", value.__name__)]
        case FunctionType():
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            parts = [value.__defaults__, value.__kwdefaults__, cells]
            return ["function", value.__qualname__, _plain(value.__code__, inside), _plain(parts, inside)]
        case CodeType():
            return ["code", value.co_code.hex(), value.co_names, [_plain(one, inside) for one in value.co_consts]]
    return _state(value, inside)


def _state(value: Any, inside: tuple[int, ...]) -> Any:
    """Of an object, what pickle would make it from."""
    try:
        registered = copyreg.dispatch_table.get(type(value))
        made = registered(value) if registered else value.__reduce_ex__(4)
    except (TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"a setting of type {type(value).__name__} that cannot be compared ({error})",
            "numbers, words, paths, arrays, or objects that pickle",
            "open it where it is used, not in the constructor",
        ) from error
    if isinstance(made, str):
        return ["name", type(value).__module__, made]
    parts = [*made[:3], *(list(items) if items is not None else None for items in made[3:5])]
    return ["object", [_plain(part, inside) for part in parts]]
