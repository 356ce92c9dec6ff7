"""What a checkpoint says of itself, in plain types, so that it loads with ``weights_only=True`` and nothing else.

It is a Lightning checkpoint with one more entry, `KEY`.
"""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from fundusseg import __version__
from fundusseg.atomic_file import write_whole
from fundusseg.class_paths import check_trusted, renew
from fundusseg.data.preparation import Preparation
from fundusseg.data.splits import Split
from fundusseg.errors import CheckpointError, ConfigurationError, FundusSegError
from fundusseg.models.canonical_form import canonical
from fundusseg.models.library_versions import versions
from fundusseg.models.redaction import command_without_paths, without_paths
from fundusseg.plain_types import is_of, require_types
from fundusseg.sample import Region

KEY = "fundusseg"
_NETWORK = "model."


@dataclass(frozen=True, slots=True)
class Earlier:
    """A training that came before, whose weights this one started from; or a site's calibration, see `sources`.

    Attributes:
        sources: Licence of every source that the weights were trained on; none where thresholds were fitted alone.
        split: Who was trained on, chosen on and tested; None where it is not known.
    """

    sources: dict[str, str]
    split: Split | None

    def as_dict(self) -> dict[str, Any]:
        """Plain types only, and no name: the split of an older checkpoint still has them."""
        return {"sources": dict(self.sources), "split": _shared(self.split)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Earlier":
        """Undo `as_dict`."""
        split = content["split"]
        return cls(dict(content["sources"]), None if split is None else Split.from_dict(split))


@dataclass(frozen=True, slots=True)
class Description:
    """What is needed to use a checkpoint and to say where it comes from.

    Attributes:
        version: Of fundusseg, when it was written.
        network: ``class_path`` and ``init_args`` of the network; building it loads no further file.
        preparation: How pictures become squares.
        thresholds: Probability above which a pixel belongs to the region.
        sources: Licence of every source it was trained on.
        configuration: The run's whole resolved YAML; empty where no command line made it.
        split: Who was trained on, chosen on and tested, without names, see `Split.anonymous`; None where it is not
            known.
        command: What was typed; empty where it is not known, as in older checkpoints.
        versions: Of Python and the libraries, by name; empty in older checkpoints.
        earlier: The trainings whose weights it started from, the last one first.
    """

    version: str
    network: dict[str, Any]
    preparation: Preparation
    thresholds: dict[Region, float]
    sources: dict[str, str]
    configuration: str
    split: Split | None
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    earlier: tuple[Earlier, ...] = ()

    @property
    def splits(self) -> list[Split | None]:
        """Its own split and those of the trainings before it: all that the network has seen."""
        return [self.split, *(training.split for training in self.earlier)]

    @property
    def past(self) -> tuple[Earlier, ...]:
        """What a network that starts from it has behind itself: this training, and those before it."""
        return (Earlier(self.sources, self.split), *self.earlier)

    @property
    def all_sources(self) -> dict[str, str]:
        """Licence of every source of this training and those before it."""
        return {source: licence for one in reversed(self.past) for source, licence in one.sources.items()}

    def as_dict(self) -> dict[str, Any]:
        """Plain types only, and no name."""
        preparation = asdict(self.preparation)
        preparation["regions"] = list(self.preparation.regions)
        return {
            "version": self.version,
            "network": self.network,
            "preparation": preparation,
            "thresholds": dict(self.thresholds),
            "sources": dict(self.sources),
            "configuration": self.configuration,
            "split": _shared(self.split),
            "command": self.command,
            "versions": dict(self.versions),
            "earlier": [training.as_dict() for training in self.earlier],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Description":
        """Undo `as_dict`.

        Raises:
            TypeError, KeyError, AttributeError, ValueError: The content is not what `as_dict` gives.
        """
        preparation = dict(content["preparation"])
        preparation["regions"] = tuple(preparation["regions"])
        split = content["split"]
        description = cls(
            version=content["version"],
            network=content["network"],
            preparation=Preparation(**preparation),
            thresholds=content["thresholds"],
            sources=content["sources"],
            configuration=renew(content["configuration"]),
            split=None if split is None else Split.from_dict(split),
            command=content.get("command", ""),
            versions=content.get("versions", {}),
            earlier=tuple(Earlier.from_dict(training) for training in content.get("earlier", ())),
        )
        require_types(description)
        # Without a number for each region, or with one that is none, a prediction would silently be empty.
        for region in description.preparation.regions:
            if not 0 <= description.thresholds[region] <= 1:
                raise ValueError(f"threshold {description.thresholds[region]} of {region}")
        return description


def _shared(split: Split | None) -> dict[str, Any] | None:
    """A split as it is given away."""
    return None if split is None else split.anonymous().as_dict()


def describe(
    network: nn.Module,
    preparation: Preparation,
    *,
    thresholds: Mapping[Region, float],
    sources: Mapping[str, str],
    configuration: str = "",
    split: Split | None = None,
    command: str = "",
    earlier: Sequence[Earlier] = (),
) -> Description:
    """Describe a network and its run; names of pictures and patients, and paths, are left out.

    Raises:
        ConfigurationError: The network does not say how it was built.
    """
    spec = network_spec(network, configuration)
    shared = None if split is None else split.anonymous()
    told = (without_paths(configuration), shared, command_without_paths(command))
    made = (dict(thresholds), dict(sources), *told, versions(), tuple(earlier))
    return Description(__version__, spec, preparation, *made)


def named(description: Description, path: str | Path) -> Description:
    """A description with the names and paths that a run's own folder holds, where the checkpoint still lies in it."""
    run = Path(path).absolute().parent.parent
    split, configuration = description.split, description.configuration
    with suppress(OSError, ValueError, yaml.YAMLError, ConfigurationError):
        if (run / "split.json").is_file() and (local := Split.load(run / "split.json")).anonymous() == split:
            split = local
    with suppress(OSError, ValueError, yaml.YAMLError):
        text = (run / "config.yaml").read_text(encoding="utf-8")
        if without_paths(text) == configuration:
            configuration = text
    return replace(description, split=split, configuration=configuration)


def network_spec(network: nn.Module, configuration: str = "") -> dict[str, Any]:
    """``class_path`` and ``init_args`` of a network: its own ``spec``, or what the command line built it from.

    Raises:
        ConfigurationError: Neither is there.
    """
    content = yaml.safe_load(configuration) or {}
    spec = getattr(network, "spec", None) or content.get("model", {}).get("model")
    if not spec:
        raise ConfigurationError(
            f"a network {type(network).__name__} that does not say how it was built",
            "a `spec` attribute with class_path and init_args",
            "derive it from fundusseg.models.Network, or give it to the command line by class_path",
        )
    return dict(spec)


def load(path: str | Path) -> tuple[Description, dict[str, Tensor]]:
    """Read a checkpoint's description and its network's weights, on the CPU.

    Raises:
        CheckpointError: The file is missing, unreadable, or not one of ours.
    """
    return parse(read(path), path)


def read(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint or a bundle, on the CPU; no code that it may hold is run.

    Raises:
        CheckpointError: The file is missing or unreadable.
    """
    path = Path(path)
    if not os.path.isfile(path):  # noqa: PTH113 - no error of a name that no file can have
        raise CheckpointError(f"no checkpoint at {path}", "a .ckpt file that `fit` wrote", "check the path")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes raise whatever the unpickler meets first
        raise CheckpointError(
            f"a file that is no readable checkpoint: {path}",
            "a whole .ckpt file that `fit` wrote",
            "copy it again, or give another",
        ) from error
    return content if isinstance(content, dict) else {}


def write(content: Mapping[str, Any], path: str | Path) -> None:
    """Write what `read` reads, atomically; equal content as equal bytes."""
    buffer = BytesIO()
    torch.save(canonical(dict(content)), buffer)
    write_whole(Path(path), buffer.getvalue())


def parse(content: Mapping[str, Any], path: str | Path) -> tuple[Description, dict[str, Tensor]]:
    """Take a checkpoint's content apart.

    Args:
        content: What `read` gave.
        path: The file, for the message.

    Raises:
        CheckpointError: It is not one of ours, or its weights are not finite.
    """
    try:
        description = Description.from_dict(content[KEY])
        state = content["state_dict"]
        weights = {name.removeprefix(_NETWORK): w for name, w in state.items() if name.startswith(_NETWORK)}
        if not is_of(weights, dict[str, Tensor]):
            raise TypeError("weights that are no tensors")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ConfigurationError) as error:
        raise CheckpointError(
            f"a checkpoint of something else: {path}", "a .ckpt file that fundusseg's `fit` wrote", "give another"
        ) from error
    if broken := [name for name, weight in weights.items() if not torch.isfinite(weight).all()]:
        raise CheckpointError(
            f"weights that are not finite in {path}: {broken[0]} and {len(broken) - 1} more of {len(weights)}",
            "numbers: this network predicts nothing",
            "give a checkpoint of an earlier epoch, and train with a lower learning rate",
        )
    return description, weights


def build(
    description: Description,
    weights: Mapping[str, Tensor],
    path: str | Path = "the checkpoint",
    make: Callable[[Mapping[str, Any]], nn.Module] | None = None,
) -> nn.Module:
    """Rebuild the network with its weights, in evaluation mode.

    Args:
        description: Of the network.
        weights: Its own.
        path: The file, for the message.
        make: Builds it of its ``class_path`` and ``init_args``; None for `from_spec`.

    Raises:
        CheckpointError: Its class cannot be imported, its weights do not fit, or it does not compute logits.
    """
    try:
        network = (make or from_spec)(description.network)
        fill(network, description, weights)
        _try(network.eval(), description.preparation)
    except CheckpointError as error:
        raise CheckpointError(f"{error.got} in {path}", error.expected, error.do) from error
    return network


@torch.no_grad()
def _try(network: nn.Module, preparation: Preparation) -> None:
    """Let a network see one picture: many arguments, such as a stride or the name of a layer, are used only then.

    Raises:
        CheckpointError: It fails, or gives no finite (1, R, H, W).
    """
    side, regions = preparation.image_size, len(preparation.regions)
    try:
        logits = network(torch.arange(side).remainder(256).to(torch.uint8).expand(1, 3, side, side))
        shape, finite = tuple(logits.shape), bool(torch.isfinite(logits).all())
        problem = f"it gives {shape}" if finite else "it gives values that are not finite"
        able = len(shape) == 4 and shape[:2] == (1, regions) and finite
    except Exception as error:  # whatever a layer meets first in arguments that nobody wrote
        problem, able = first_line(error), False
    if not able:
        raise CheckpointError(
            f"a network {type(network).__name__} that cannot segment a picture ({problem})",
            f"finite logits of 1 x {regions} x height x width",
            "copy the checkpoint again, or give another",
        )


def fill(network: nn.Module, description: Description, weights: Mapping[str, Tensor]) -> None:
    """Put a checkpoint's weights into a network.

    Raises:
        CheckpointError: They do not fit.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"weights that do not fit {type(network).__name__} ({first_line(error)})",
            f"the network that fundusseg {description.version} trained: {description.network}",
            "set --model.model to it, or install the version that wrote the checkpoint",
        ) from error


def from_spec(spec: Mapping[str, Any]) -> nn.Module:
    """Build a network from ``class_path`` and ``init_args``; only subclasses of ``nn.Module`` are ever called.

    Raises:
        CheckpointError: The class is of a package that is not trusted, cannot be imported, is no network, or takes
            other arguments.
    """
    path = str(spec.get("class_path", ""))
    check_trusted(path)
    module, _, name = path.rpartition(".")
    try:
        network = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"network class {path!r} ({first_line(error)})",
            "a class that can be imported",
            "install the package that the network comes from",
        ) from error
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise CheckpointError(f"network class {path!r}", "a subclass of torch.nn.Module", "give another checkpoint")
    given = spec.get("init_args") or {}
    if not is_of(given, dict[str, Any]):
        raise CheckpointError(f"arguments {given!r:.80} of {path!r}", "init_args by name", "give another checkpoint")
    if "encoder_weights" in given:
        given = given | {"encoder_weights": None}  # a checkpoint brings the weights: loading it asks no hub
    inner = {key: from_spec(value) if _is_spec(value) else value for key, value in given.items()}
    try:
        inspect.signature(network).bind(**inner)
    except TypeError as error:
        raise CheckpointError(
            f"arguments of {path!r} that it does not take ({error})",
            "the arguments of its constructor",
            "use the version of the package that wrote them",
        ) from error
    try:
        return network(**inner)
    except FundusSegError:
        raise
    except Exception as error:  # whatever a constructor meets first in arguments that nobody wrote
        raise CheckpointError(
            f"arguments of {path!r} that no network can be built with ({first_line(error)})",
            "those that the network was trained with",
            "copy the checkpoint again, or give another",
        ) from error


def _is_spec(value: Any) -> bool:
    return isinstance(value, dict) and "class_path" in value


def first_line(error: BaseException) -> str:
    """The gist of another library's message."""
    return str(error).strip().splitlines()[0].rstrip(".:") if str(error).strip() else type(error).__name__
