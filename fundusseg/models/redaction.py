"""Paths of the machine that trained, taken out of what a checkpoint says: to share a network shares no folder."""

import json
import re
import shlex
from typing import Any

import yaml

_ABSOLUTE = re.compile(r"^(~|[A-Za-z]:[\\/]|[\\/]|\.\.?[\\/])")
_FOLDERS = (
    *("root", "cache_dir", "split", "resume", "start_from", "save_dir", "dirpath", "default_root_dir"),
    *("config", "segmenters", "localiser", "output"),
)
"""Settings that are paths, however they are written."""


def without_paths(configuration: str) -> str:
    """A resolved configuration in which every path is its last part, and what only this machine has is null.

    >>> print(without_paths("data: {root: /home/ann/eyes, datasets: [{init_args: {root: /mnt/papila}}], split: a/b}"))
    data:
      datasets:
      - init_args:
          root: papila
      root: .
      split: null
    <BLANKLINE>
    """
    content = yaml.safe_load(configuration)
    if not isinstance(content, dict):
        return configuration
    reduced = _reduce(content)
    data = reduced.get("data")
    if isinstance(data, dict):
        here = {"split": None, "cache_dir": None, "root": "."}
        data |= {name: value for name, value in here.items() if name in data}
    reduced |= {name: None for name in ("resume", "start_from", "config") if name in reduced}
    return configuration if reduced == content else yaml.safe_dump(reduced, sort_keys=True)


def command_without_paths(command: str) -> str:
    """A typed command in which every path is its last part.

    >>> command_without_paths("python -m fundusseg.fit --config=/home/ann/my.yaml --data.root '/mnt/a b' --data.seed 2")
    "python -m fundusseg.fit --config=my.yaml --data.root 'a b' --data.seed 2"
    """
    words, option = [], ""
    for word in shlex.split(command):
        name, equals, value = word.partition("=") if word.startswith("-") else (option, "", word)
        if word.startswith("-"):
            option = name
        words.append(f"{name}{equals}{_reduce_text(value, name)}" if word.startswith("-") else _reduce_text(word, name))
    return shlex.join(words)


def _reduce_text(text: str, option: str) -> str:
    """A word of a command line: a path, or YAML that may hold some."""
    try:
        value = yaml.safe_load(text) if text[:1] in ("[", "{") else text
    except yaml.YAMLError:
        value = text
    reduced = _reduce(value, option.lstrip("-").split(".")[-1], option.startswith("--data."))
    return str(reduced) if isinstance(value, str) else json.dumps(reduced)


def _reduce(value: Any, name: str = "", data: bool = False) -> Any:
    """A setting with every path in it as its last part; what the data hold and has a separator is one."""
    if isinstance(value, dict):
        return {key: _reduce(inner, str(key), data or key == "data") for key, inner in value.items()}
    if isinstance(value, list):
        return [_reduce(inner, name, data) for inner in value]
    if isinstance(value, str) and value and (data or name in _FOLDERS or _ABSOLUTE.match(value)):
        return re.split(r"[\\/]", value.rstrip("\\/"))[-1] or "."
    return value
