"""One file with all that leads from a photograph to its numbers: localiser, segmenters, eye, calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fundusseg import __version__
from fundusseg.errors import CheckpointError, ConfigurationError
from fundusseg.inference.conventions import Conventions
from fundusseg.inference.eye_side import EyeReader
from fundusseg.inference.failure_detection import FailureDetector
from fundusseg.inference.precision import Precision
from fundusseg.inference.segmenter import Segmenter
from fundusseg.inference.uncertainty import Calibration
from fundusseg.models import checkpoint
from fundusseg.models.checkpoint import Earlier
from fundusseg.models.mobilenet_unet import network_for_inference
from fundusseg.models.redaction import command_without_paths, without_paths
from fundusseg.plain_types import require_types
from fundusseg.runtimes.choices import Runtime
from fundusseg.runtimes.runtime_network import runtime_network
from fundusseg.sample import DISC, Region

KEY = "fundusseg_bundle"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds; a checkpoint alone is a bundle of one segmenter.

    Attributes:
        segmenters: At least one, all of the same regions and crops.
        localiser: Finds the disc in a whole photograph; None where pictures are crops already.
        calibration: Of the vertical ratio's interval; None where it was not calibrated.
        eye: Tells which eye it is; None where the disc's place alone does.
        failure_detector: Tells the risk that an outline is wrong; None where fixed limits alone ask for a person.
        conventions: Readers by how large they draw the cup; None where nothing is known of them.

    Raises:
        ConfigurationError: Segmenters do not fit each other, or the localiser does not look for the disc in whole
            photographs.
    """

    segmenters: tuple[Segmenter, ...]
    localiser: Segmenter | None = None
    calibration: Calibration | None = None
    eye: EyeReader | None = None
    failure_detector: FailureDetector | None = None
    conventions: Conventions | None = None

    def __post_init__(self) -> None:
        kinds = {_kind(segmenter) for segmenter in self.segmenters}
        if len(kinds) != 1:
            raise ConfigurationError(
                f"segmenters of {' and of '.join(sorted(kinds)) or 'nothing'}",
                "one kind of regions and crops",
                "leave the others out",
            )
        if self.localiser is None:
            return
        preparation = self.localiser.description.preparation
        if DISC not in preparation.regions or preparation.roi == "disc":
            raise ConfigurationError(
                f"a localiser of {_kind(self.localiser)}",
                "one that finds the disc in whole photographs",
                "give a checkpoint of configs/localiser.yaml",
            )

    @property
    def networks(self) -> dict[str, Segmenter]:
        """Every network that draws, by what it does: ``segmenter``, or ``segmenter 1``, ..., and ``localiser``."""
        several = len(self.segmenters) > 1
        named = {f"segmenter {n}" if several else "segmenter": one for n, one in enumerate(self.segmenters, start=1)}
        return named if self.localiser is None else {**named, "localiser": self.localiser}

    @property
    def parts(self) -> dict[str, Segmenter]:
        """Every network by what it does, the one that tells the ``eye`` too, on which no outline depends."""
        return self.networks if self.eye is None else {**self.networks, "eye": self.eye.network}

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "cpu",
        runtime: Runtime = "torch",
        precision: Precision = "32-true",
        compiled: bool = False,
    ) -> "Bundle":
        """Read a bundle, or a checkpoint.

        Args:
            path: The file.
            device: Where the networks compute.
            runtime: What computes them, see `fundusseg.runtimes`.
            precision: Of the segmenters; the localiser, which decides where they look, stays in float32.
            compiled: Compile segmenters and localiser.

        Raises:
            CheckpointError: The file is missing, unreadable, or none of ours.
            ConfigurationError: The device is not there, or the runtime not installed.
        """
        content = checkpoint.read(path)
        if KEY not in content:
            return cls((_segmenter(content, path, device, runtime, precision, compiled),))
        try:
            inside = content[KEY]
            localiser, calibration = inside["localiser"], inside["calibration"]
            # Bundles of before have none of these.
            eye, detector, conventions = (inside.get(key) for key in ("eye", "failure_detector", "conventions"))
            if calibration is not None:
                calibration = Calibration(**calibration)
                require_types(calibration)
            if conventions is not None:
                conventions = Conventions(conventions)
                require_types(conventions)
            return cls(
                tuple(_segmenter(one, path, device, runtime, precision, compiled) for one in inside["segmenters"]),
                None if localiser is None else _segmenter(localiser, path, device, runtime, compiled=compiled),
                calibration,
                None if eye is None else EyeReader(_segmenter(eye, path, device, runtime)),
                None if detector is None else FailureDetector.from_dict(detector),
                conventions,
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"a bundle of another make: {path}", f"one that fundusseg {__version__} reads", "bundle it again"
            ) from error


def _kind(segmenter: Segmenter) -> str:
    """What segmenters must share to look at one square together."""
    preparation = segmenter.description.preparation
    crops = f"{preparation.roi_scale:g} disc diameters" if preparation.roi == "disc" else preparation.roi
    return f"{', '.join(preparation.regions)} in {crops}"


def save(
    path: str | Path,
    segmenters: Sequence[str | Path],
    localiser: str | Path | None,
    calibration: Calibration | None,
    half: bool = False,
    eye: str | Path | None = None,
    failure_detector: FailureDetector | None = None,
    conventions: Conventions | None = None,
) -> None:
    """Write checkpoints as one bundle, each with its description and weights and nothing else.

    Args:
        path: The bundle.
        segmenters: Checkpoints of `fit`.
        localiser: Checkpoint of `fit`.
        calibration: Of these together.
        half: Store kernels as float16; they are computed with in float32, as all others.
        eye: Checkpoint of `tools/train_eye.py`.
        failure_detector: Of these together.
        conventions: Readers of the cup, for these networks.
    """
    content = {
        "version": __version__,
        "segmenters": [_part(segmenter, half) for segmenter in segmenters],
        "localiser": None if localiser is None else _part(localiser, half),
        "calibration": None if calibration is None else asdict(calibration),
        "eye": None if eye is None else _part(eye, half),
        "failure_detector": None if failure_detector is None else failure_detector.as_dict(),
        "conventions": None if conventions is None else dict(conventions.readers),
    }
    checkpoint.write({KEY: content}, Path(path))


def save_calibrated(
    source: str | Path,
    path: str | Path,
    thresholds: Mapping[Region, float],
    calibration: Calibration | None,
    eyes: Earlier,
) -> None:
    """Write a bundle anew for a site: its weights to the bit, with other thresholds and another interval.

    Args:
        source: A bundle, or a checkpoint.
        path: The new bundle.
        thresholds: Of each region, for every segmenter.
        calibration: Of them all together.
        eyes: What it was calibrated on: no source that was trained on, and a split of validation pictures alone.
    """
    content = checkpoint.read(source)
    alone: dict[str, Any] = {"segmenters": [], "localiser": None}
    inside = content[KEY] if KEY in content else alone | {"segmenters": [_part(source, half=False)]}
    segmenters = []
    for part in inside["segmenters"]:
        description = checkpoint.parse(part, source)[0]
        changed = replace(description, thresholds=dict(thresholds), earlier=(eyes, *description.earlier))
        segmenters.append({**part, checkpoint.KEY: changed.as_dict()})
    # Its readers' convention is the bundle's own now: the others lie elsewhere from it, nobody knows where.
    interval = None if calibration is None else asdict(calibration)
    made = {"version": __version__, "calibration": interval, "conventions": None}
    checkpoint.write({KEY: {**inside, **made, "segmenters": segmenters}}, Path(path))


def write_segmenters(source: str | Path, folder: Path) -> list[Path]:
    """Write each segmenter of a bundle as a checkpoint that a training can start from.

    Args:
        source: A bundle, or a checkpoint.
        folder: Where to.
    """
    content = checkpoint.read(source)
    parts = content[KEY]["segmenters"] if KEY in content else [content]
    paths = [folder / f"segmenter-{number}.ckpt" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        checkpoint.write(part, path)
    return paths


def save_with_segmenters(source: str | Path, path: str | Path, segmenters: Sequence[str | Path]) -> None:
    """Write a bundle anew with other segmenters; localiser, eye, interval and failure detector stay.

    The interval is to be measured anew, see `save_with_calibration`. The failure detector ranks as it did, but the risk
    that it tells was measured on the weights before. The readers are those of the weights before, and go.

    Args:
        source: A bundle, or a checkpoint.
        path: The new bundle.
        segmenters: Checkpoints of `fit`, in place of all of its own.
    """
    content = checkpoint.read(source)
    inside = content.get(KEY) or {"localiser": None, "calibration": None}
    parts = {"version": __version__, "segmenters": [_part(segmenter, half=False) for segmenter in segmenters]}
    checkpoint.write({KEY: {**inside, **parts, "conventions": None}}, Path(path))


def save_with_calibration(source: str | Path, path: str | Path, calibration: Calibration | None) -> None:
    """Write a bundle anew with another interval, or with none."""
    inside = checkpoint.read(source)[KEY]
    checkpoint.write({KEY: {**inside, "calibration": calibration and asdict(calibration)}}, Path(path))


def _part(path: str | Path, half: bool) -> dict[str, Any]:
    """A checkpoint without what only training needs."""
    content = checkpoint.read(path)
    description, _ = checkpoint.parse(content, path)
    # One of an older version may still hold them.
    configuration, command = without_paths(description.configuration), command_without_paths(description.command)
    description = replace(description, configuration=configuration, command=command)
    weights = {name: weight for name, weight in content["state_dict"].items() if name.startswith("model.")}
    if half:
        weights = {name: _halved(weight) for name, weight in weights.items()}
    return {checkpoint.KEY: description.as_dict(), "state_dict": weights}


def _halved(weight: Tensor) -> Tensor:
    """A kernel as float16, where it fits; vectors (biases, batch normalisation) are few, and stay as they are."""
    if weight.dtype != torch.float32 or weight.ndim < 2:
        return weight
    half = weight.half()
    return half if bool(half.isfinite().all()) else weight


def _segmenter(
    content: dict[str, Any],
    path: str | Path,
    device: str,
    runtime: Runtime,
    precision: Precision = "32-true",
    compiled: bool = False,
) -> Segmenter:
    if runtime != "torch" and (compiled or precision != "32-true"):
        raise ConfigurationError(
            f"--runtime {runtime} with --precision or --compile",
            "one of them: those are torch's",
            "leave the others out",
        )
    description, weights = checkpoint.parse(content, path)
    network = checkpoint.build(description, weights, path, network_for_inference)
    return Segmenter(runtime_network(network, description, runtime, device), description, device, precision, compiled)
