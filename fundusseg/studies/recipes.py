"""A YAML recipe as plain mappings: read, changed in places, and cut to some of its sources."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fundusseg.class_paths import renew
from fundusseg.errors import ConfigurationError
from fundusseg.sample import CUP, DISC, Region

Recipe = dict[str, Any]

DIVISION = ("val_share", "test_share", "folds", "fold", "test_sources", "split_by", "drop_duplicates_from")
"""What a recipe says of how its pictures are divided: a split file says it all."""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigurationError: It cannot be read, or names no datasets.
    """
    try:
        content = yaml.safe_load(renew(path.read_text(encoding="utf-8")))
        named = bool(content["data"]["datasets"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"a recipe that cannot be used: {path} ({type(error).__name__})",
            "a YAML file of `fit` with data.datasets",
            "correct the path",
        ) from error
    if not named:
        raise ConfigurationError(f"a recipe without datasets: {path}", "data.datasets", "list them")
    return dict(content)


def override(recipe: Mapping[str, Any], changes: Mapping[str, Any]) -> Recipe:
    """Change a recipe in places.

    Args:
        recipe: Nested mappings.
        changes: Likewise; a key may be dotted (``data.image_size``). A mapping changes what it names alone, but for one
            with another ``class_path``, which takes the place of the former.
    """
    merged = dict(recipe)
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        value = {rest: value} if rest else value  # the rest of a dotted key is left to the next call
        before = _spec(merged.get(first)) if isinstance(value, Mapping) else None
        if before is not None and value.get("class_path", before.get("class_path")) == before.get("class_path"):
            merged[first] = override(before, value)
        else:  # merged into nothing, so that dotted keys below are resolved too
            merged[first] = override({}, value) if isinstance(value, Mapping) else value
    return merged


def take_overrides(arguments: Sequence[str], option: str) -> tuple[list[str], Recipe]:
    """Take changes out of a command line: ``--OPTION.KEY=VALUE`` or ``--OPTION.KEY VALUE``, the value in YAML.

    A parser of types would let a change of ``data.image_size`` replace all that a file says of ``data``.

    Args:
        arguments: The command line.
        option: Name of the option.

    Returns:
        The other arguments, and the changes.

    Raises:
        ConfigurationError: The last one lacks its value.
    """
    rest: list[str] = []
    changes: Recipe = {}
    given = iter(arguments)
    for argument in given:
        if not argument.startswith(f"--{option}."):
            rest.append(argument)
            continue
        key, sign, value = argument.removeprefix(f"--{option}.").partition("=")
        text = value if sign else next(given, None)
        if text is None:
            raise ConfigurationError(f"{argument} without a value", f"{argument}=VALUE", "give it")
        changes = override(changes, {key: _loaded(text)})
    return rest, changes


def with_sources(recipe: Recipe, readers: Mapping[str, Any]) -> Recipe:
    """Cut a recipe to some sources.

    Args:
        recipe: Whole.
        readers: The reader of each source that stays, by name.
    """
    data = {**recipe["data"], "datasets": list(readers.values())}
    if weights := data.get("source_weights"):
        data["source_weights"] = {name: weight for name, weight in weights.items() if name in readers}
    if dropped := data.get("drop_duplicates_from"):
        data["drop_duplicates_from"] = [name for name in dropped if name in readers]
    return {**recipe, "data": data}


def cut_to_sources(recipe: Recipe, readers: Mapping[str, Any], labelled: Mapping[str, Collection[Region]]) -> Recipe:
    """Cut a recipe to some sources and to the regions that these label; a split file will divide it.

    Args:
        recipe: Whole.
        readers: The reader of each source that stays, by name.
        labelled: Regions that each source labels.
    """
    changed = with_sources(recipe, readers)
    data = {key: value for key, value in changed["data"].items() if key not in DIVISION}
    wanted = data.get("regions") or [DISC, CUP]
    data["regions"] = [region for region in wanted if any(region in labelled[source] for source in readers)]
    if not any({DISC, CUP} <= {*labelled[source]} & {*data["regions"]} for source in readers):
        data.pop("balance_ratios", None)  # no ratio is left
    changed["data"] = data
    if len(data["regions"]) == len(wanted):
        return changed
    # The network has one output channel for each region.
    return override(changed, {"model.model.init_args.out_channels": len(data["regions"])})


def _loaded(text: str) -> Any:
    """As YAML, or the text itself."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _spec(value: Any) -> dict[str, Any] | None:
    """A mapping; a class that is named alone is one too."""
    if isinstance(value, str):
        return {"class_path": value}
    return dict(value) if isinstance(value, Mapping) else None
