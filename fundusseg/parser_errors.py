"""What jsonargparse says of a wrong setting in several lines, in one sentence: got, expected, do this.

Its error objects are private, so the texts of its messages are read; hence the upper bound on its version. A class
that a setting names has a parser of its own, whose error is a sentence of ours by the time it stands in the outer
parser's message.
"""

import ast
import pkgutil
import re
import traceback
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import fundusseg
from fundusseg.errors import ConfigurationError, nearest

_KEY = r'Parser key "([^"]+)"(?: element \d+)?:'

_KIND = re.compile(
    r"typing\.Literal\[(?P<choices>[^\]]*)\]"
    r"|<class '(?:\w+\.)*(?P<name>\w+)'>"
    r"|(?:\w+\.)*(?P<generic>\w+)\[(?:\w+\.)*(?P<element>\w+)[^\]]*\]"
)
"""One type as Python prints it."""

_PLAIN = {"NoneType": "null", "Sequence": "list", "Iterable": "list"}
"""A type's name as a YAML's author knows it."""

_FEW = 8
"""So many choices are listed whole."""


def explain(message: str, settings: Iterable[str]) -> ConfigurationError:
    """Say in one sentence what jsonargparse says in several lines.

    Args:
        message: The parser's.
        settings: Names that the parser knows.
    """
    # The last key is the innermost: a section that was given as a whole is named before the setting in it.
    *_, text = re.split(_KEY, message)
    keys = re.findall(_KEY, message)
    key = f" for {keys[-1]}" if keys else ""
    if inner := re.search(r"- got (.+); expected (.+); (.+)\.$", text, re.M):
        return _of_a_class(inner, keys[-1] if keys else "")
    if unknown := re.search(r"Group '(.+)' does not accept option '(.+)'", text):
        return _unknown_setting(f"{unknown[1]}.{unknown[2]}", settings)
    if unknown := re.search(r"unrecognized arguments: (?:--)?([^\s=]+)|Option '(.+)' is not accepted", text):
        return _unknown_setting(unknown[1] or unknown[2], settings)
    for pattern, sentence in _SENTENCES.items():
        if found := re.search(pattern, text, re.S):
            return sentence(found, key)
    return ConfigurationError(" ".join(text.split()).rstrip(".") + key, "a setting as --help lists it", "correct it")


def unusable(error: Exception) -> ConfigurationError:
    """Say what a class's constructor raised of a value that its type hints let pass."""
    lines = [line.strip(" -") for line in str(error).splitlines()] or [""]
    gist = next((line for after, line in pairwise(lines) if after == "Errors:"), lines[0])
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ConfigurationError(
        f"a setting that cannot be used ({type(error).__name__} in {Path(place.filename).stem}: {gist:.200})",
        "values that the class takes",
        "correct it; --debug shows where",
    )


def with_whole_name(error: ConfigurationError, arguments: Iterable[str]) -> ConfigurationError:
    """Name the setting as it was typed, where a class's own parser only knew its last part.

    Args:
        error: The parser's.
        arguments: The command line.
    """
    value, _, name = error.got.rpartition(" for ")
    typed = [argument.split("=")[0].lstrip("-") for argument in arguments if argument.startswith("--")]
    whole = [one for one in typed if one.endswith(f".{name}")] if "." not in name else []
    return ConfigurationError(f"{value} for {whole[-1]}", error.expected, error.do) if whole else error


def _of_a_class(inner: re.Match[str], key: str) -> ConfigurationError:
    """An error within the arguments of a class, said by the class's own parser."""
    got, expected, do = inner.groups()
    if got.startswith("no "):
        expected = "a value among its init_args"
    return ConfigurationError(f"{got} of {key}", expected, do)


def _unknown_setting(name: str, settings: Iterable[str]) -> ConfigurationError:
    close = nearest(name, {setting for setting in settings if setting != "help"}) or "those of its class"
    return ConfigurationError(f"an unknown setting {name!r}", f"one such as {close}", "see --help")


def _unknown_class(found: re.Match[str], key: str) -> ConfigurationError:
    """A class that cannot be imported: those of its module are looked through, or what all rooms export."""
    module, _, name = found[1].rpartition(".")
    rooms = [room.name for room in pkgutil.iter_modules(fundusseg.__path__, "fundusseg.") if room.ispkg]
    try:
        names = [public for public, value in vars(import_module(module)).items() if isinstance(value, type)]
    except (ImportError, ValueError):  # no such module, or none named
        places = {exported: f"{room}.{exported}" for room in rooms for exported in import_module(room).__all__}
        near = [places[one] for one in get_close_matches(name, places)]
        expected = f"a class such as {', '.join(near)}" if near else "the whole import path of a class"
    else:
        if module in rooms:  # its classes are loaded when they are asked for, and its modules are no choice
            names = import_module(module).__all__
        expected = f"a class such as {nearest(name, names)} of {module}"
    return ConfigurationError(f"class {found[1]!r}{key}", expected, "correct the class_path")


def _wrong_value(found: re.Match[str], key: str) -> ConfigurationError:
    """A value of none of the types, or none of the choices, that the setting takes."""
    types, value = found.groups()
    choices: list[str] = []
    kinds: list[str] = []
    for kind in _KIND.finditer(types):
        if kind["choices"]:
            choices += [str(choice) for choice in ast.literal_eval(f"({kind['choices']},)")]
        else:
            name = kind["name"] or kind["generic"]
            plain = _PLAIN.get(name, name)
            kinds.append(f"{plain} of {kind['element']}" if kind["element"] and plain == "list" else plain)
    # What looks like a class's name is meant as one, also where true or false would do.
    classes = {"int", "float", "str"} if re.fullmatch(r"[A-Z]\w+", value) else {"int", "float", "str", "bool"}
    if "dot import path" in found[0] and not classes & {*kinds}:
        return _unknown_class(re.fullmatch("(.*)", value) or found, key)
    if not choices:
        return ConfigurationError(f"{value!r}{key}", f"a value of type {' or '.join(kinds)}", "correct it")
    listed = ", ".join(repr(choice) for choice in choices) if len(choices) <= _FEW else "those that --help lists"
    return ConfigurationError(f"{value!r}{key}", f"one of {listed}", f"try {nearest(value, choices)}")


def _invalid_choice(found: re.Match[str], _: str) -> ConfigurationError:
    name, value, listed = found.groups()
    close = nearest(value, re.findall("'(.+?)'", listed))
    return ConfigurationError(f"{value} for {name}", f"one of {listed}", f"try {close}")


_SENTENCES: dict[str, Callable[[re.Match[str], str], ConfigurationError]] = {
    r"Problem with given class_path '(.+?)'": _unknown_class,
    r"expects a function or a callable class: .*Got value: (?:Namespace\(class_path=')?([\w.]+)": _unknown_class,
    r"Import path does not correspond to a subclass of (\w+).*Given value: (.+)$": lambda found, key: (
        ConfigurationError(f"{found[2]!r}{key}", f"a subclass of {found[1]}", "correct the class_path")
    ),
    r"Expected an? ([^\n]+?)\. Got value: ([^\n]+)": _wrong_value,
    r"Union subtypes\s+Subtypes: \[(.+?)\]\n.*Given value: (.+)$": _wrong_value,
    r"Expected a dot import path string: (\S+)": _unknown_class,
    r"arguments are required: (.+)": lambda found, _: ConfigurationError(
        f"no {found[1]}", f"--{found[1]} on the command line", "give it"
    ),
    r"argument (\S+): expected one argument": lambda found, _: ConfigurationError(
        f"{found[1]} without a value", "one", "give it behind a space or ="
    ),
    r"argument --(\S+): invalid choice: (.+) \(choose from (.+)\)": _invalid_choice,
    r"does not exist: '(.+)'": lambda found, key: ConfigurationError(
        f"no file at {found[1]}{key}", "a file that is there", "check the path"
    ),
    r"(?:Problems parsing|Unexpected) config:(.*)": lambda found, _: ConfigurationError(
        f"a configuration that is no YAML with sections ({' '.join(found[1].split()) or 'it is empty'})",
        "sections such as data, model and trainer",
        "correct the file that --config names",
    ),
}
"""How each kind of message is told, by what it is known by; the first that fits."""
