"""Whether what a file holds is of the types that a dataclass is annotated with: damaged and foreign files are not."""

from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def require_types(made: Any) -> None:
    """Check every field of a dataclass instance.

    Raises:
        TypeError: A value is of another type than its field.
    """
    for name, hint in get_type_hints(type(made)).items():
        if not is_of(getattr(made, name), hint):
            raise TypeError(f"{name} is {getattr(made, name)!r:.80}")


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type, its elements included; an int is a float, a bool is no number.

    >>> is_of({"disc": 0.5}, dict[str, float]), is_of({"disc": "0.5"}, dict[str, float])
    (True, False)
    """
    kind, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if kind in (Union, UnionType):
        return any(is_of(value, one) for one in inner)
    if kind is Literal:
        return value in inner
    if kind is dict:
        return isinstance(value, dict) and all(is_of(k, inner[0]) and is_of(v, inner[1]) for k, v in value.items())
    if kind is tuple:
        return isinstance(value, tuple) and all(is_of(element, inner[0]) for element in value)
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind or hint)
