"""Class paths in files: which packages may be imported for them, and those that have moved since fundusseg 0.1."""

import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import yaml

from fundusseg.errors import CheckpointError

_MOVED = {
    "training": {
        "losses": ("BCELoss DiceLoss FocalLoss JaccardLoss LogDiceLoss TverskyLoss WeightedBCELoss WeightedSum"),
        "schedules": "Cosine OneCycle Plateau",
        "finetuning": "TwoStage",
        "thresholds": "ThresholdSearch",
        "averaging": "AveragedWeights",
        "callbacks": "ContourPanel",
        "task": "SegmentationTask",
    },
    "data": {
        "augment": "Affine Augmentation CoarseElastic",
        "variants": "Variants",
        "border": "BorderWeights",
        "datamodule": "FundusDataModule",
        "preparation": "Preparation",
    },
    "xla": {"compilations": "CompileMonitor"},
}

RENAMED = {
    f"fundusseg.{module}.{name}": f"fundusseg.{room}.{name}"
    for room, modules in _MOVED.items()
    for module, names in modules.items()
    for name in names.split()
}
"""Today's class path by that of fundusseg 0.1; the entries go with version 1.0."""

# Whole paths alone: neither the end of a longer one (my.fundusseg.losses.DiceLoss) nor the start of a longer name.
_OLD = re.compile("|".join(rf"(?<![\w.]){re.escape(path)}(?!\w)" for path in RENAMED))


def renew(text: str) -> str:
    """Replace class paths of fundusseg 0.1 by today's.

    >>> renew("{class_path: fundusseg.losses.DiceLoss}")
    '{class_path: fundusseg.training.DiceLoss}'
    """
    return _OLD.sub(lambda found: RENAMED[found[0]], text)


# torch.nn, not torch: torch.load and torch.hub run what another file holds.
_TRUSTED = {"fundusseg", "torch.nn", "torch.optim", "albumentations"}


def trust(packages: Iterable[str]) -> None:
    """Let classes of more packages be imported where a checkpoint or a bundle names them.

    Importing a package runs its code: trust what you have installed and know.
    """
    _TRUSTED.update(packages)


def check_trusted(value: Any) -> None:
    """Refuse a class that a file names of a package that nobody trusts; nothing of it is imported.

    Args:
        value: A class path, or a configuration that may hold some.

    Raises:
        CheckpointError: It is of another package than fundusseg's own and those given to `trust`.
    """
    for path in _class_paths(value):
        if not _is_trusted(path):
            package = path.split(".", 1)[0]
            raise CheckpointError(
                f"a checkpoint that names {path!r} of another package",
                "classes of fundusseg, or of a package that you trust, as importing it runs its code",
                f"give --trust {package} if you know where the file and the package come from",
            )


def other_packages(value: Any) -> list[str]:
    """The packages that a configuration names and that are not trusted."""
    return sorted({path.split(".", 1)[0] for path in _class_paths(value) if not _is_trusted(path)})


def _is_trusted(path: str) -> bool:
    return any(path.startswith(f"{package}.") for package in _TRUSTED)


def _class_paths(value: Any, key: str = "class_path") -> Iterator[str]:
    """Every ``class_path``, and every other text that can be one: a parser takes a class by its path alone too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _class_paths(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _class_paths(inner, "")
    elif isinstance(value, str):
        inner = _parsed(value)
        if inner != value:  # a parser reads YAML within a text as well
            yield from _class_paths(inner, key)
        # Below class_path a package that is not there counts too: it is refused before anything looks for it.
        elif key == "class_path" or (_is_dotted(value) and _exists(value)):
            yield value


def _parsed(text: str) -> Any:
    """What a text is as YAML; itself where it is none, or a number."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # ValueError: of a date such as 2024-13-45
        return text
    return content if isinstance(content, dict | list | str) else text


def _is_dotted(text: str) -> bool:
    return "." in text and all(part.isidentifier() for part in text.split("."))


def _exists(path: str) -> bool:
    """Whether there is such a package; ``table.csv`` is none. Looking for it runs nothing of it."""
    try:
        return find_spec(path.split(".", 1)[0]) is not None
    except (ImportError, ValueError):
        return False
