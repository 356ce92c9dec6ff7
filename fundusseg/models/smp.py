"""Any architecture and encoder of segmentation_models_pytorch, timm's encoders (``tu-``) included."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import segmentation_models_pytorch as smp
import timm
from timm.data.constants import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    IMAGENET_DPN_MEAN,
    IMAGENET_DPN_STD,
    IMAGENET_INCEPTION_MEAN,
    IMAGENET_INCEPTION_STD,
)
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError, nearest
from fundusseg.models.base import Network
from fundusseg.models.encoder_weights import SUFFIXES, load_encoder

ARCHITECTURES: dict[str, type[nn.Module]] = {
    architecture.__name__: architecture for architecture in smp.MODEL_ARCHITECTURES_MAPPING.values()
}
"""Architectures by name, ``"Unet"``."""

_OURS = ("encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params")


class SMPModel(Network):
    """A network of segmentation_models_pytorch (Iakubovskii 2019, https://github.com/qubvel-org).

    Args:
        architecture: A name in ``ARCHITECTURES``.
        encoder: An encoder of the library, or ``tu-`` and the name of a timm model.
        encoder_weights: None for random ones; a name on the hub, ``"imagenet"``; or a file of the encoder's
            weights (``torch.save`` of a dict of tensors, or safetensors), for a machine without a connection.
        in_channels: Channels of the picture.
        out_channels: Regions; each is a logit.
        options: More arguments of the architecture, ``{"decoder_channels": [64, 32, 16, 8, 4]}``.
        mean: Mean of the pixels scaled to 0..1, for each channel; by default what the encoder's weights
            expect.
        std: Standard deviation of the same.

    Raises:
        ConfigurationError: A name or an option is unknown, the weights file does not fit, or the hub is out
            of reach.
    """

    def __init__(
        self,
        architecture: str = "Unet",
        encoder: str = "mobilenet_v2",
        encoder_weights: str | None = None,
        in_channels: int = 3,
        out_channels: int = 2,
        options: dict[str, Any] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        options = dict(options or {})
        _check_names(architecture, encoder, options)
        arguments = {"encoder_name": encoder, "in_channels": in_channels, "classes": out_channels, **options}
        network = _construct(architecture, arguments)
        hub = encoder_weights if encoder_weights and not _is_file(encoder_weights) else None
        if hub:
            network = _download(architecture, arguments, hub)
        elif encoder_weights:
            load_encoder(network.encoder, encoder, Path(encoder_weights))
        expected = encoder_statistics(encoder, hub, in_channels)
        mean, std = (list(given or own) for given, own in zip((mean, std), expected, strict=True))
        super().__init__(in_channels, out_channels, mean=mean, std=std)
        # A checkpoint brings the weights itself: to rebuild needs neither the file nor the hub.
        self._amend_spec(encoder_weights=None, mean=mean, std=std)
        self.encoder, self.decoder = network.encoder, network.decoder
        self.segmentation_head = network.segmentation_head
        self.divisor = int(network.encoder.output_stride)

    def forward(self, image: Tensor) -> Tensor:
        """Predict the logits (B x R x H x W) of B x C x H x W pixels, uint8, or float in 0..255."""
        features = self.encoder(self.normalise(image))  # a list, B x C_l x H/2^l x W/2^l, from the picture down
        # The vision transformers of DPT give a tuple: feature maps and prefix tokens.
        decoded = self.decoder(*features) if isinstance(features, tuple) else self.decoder(features)
        logits: Tensor = self.segmentation_head(decoded)  # upsampled where the decoder ends below the picture's size
        return logits


def _check_names(architecture: str, encoder: str, options: Mapping[str, Any]) -> None:
    """Check what the library would answer with a traceback, or silently pass over."""
    if architecture not in ARCHITECTURES:
        raise ConfigurationError(
            f"architecture {architecture!r}",
            f"one of {sorted(ARCHITECTURES)}",
            f"try {nearest(architecture, ARCHITECTURES)}",
        )
    timms = encoder.startswith("tu-")
    if not (timm.is_model(encoder[3:]) if timms else encoder in smp.encoders.encoders):
        names = [f"tu-{name}" for name in timm.list_models()] if timms else list(smp.encoders.encoders)
        raise ConfigurationError(
            f"encoder {encoder!r}",
            "an encoder of segmentation_models_pytorch, or 'tu-' and the name of a timm model",
            f"try {nearest(encoder, names)}",
        )
    parameters = inspect.signature(ARCHITECTURES[architecture]).parameters
    known = {name for name in parameters if name not in (*_OURS, "kwargs")}
    for option in options:
        # Arguments that the architecture does not know go to timm's encoders, and to nowhere with the others.
        if option in _OURS or (option not in known and not timms):
            raise ConfigurationError(
                f"option {option!r} for {architecture}",
                f"one of {sorted(known)}",
                f"try {nearest(option, known)}",
            )


def _construct(architecture: str, arguments: Mapping[str, Any]) -> Any:
    """Build the library's network without weights, any complaint of its own in one sentence."""
    try:
        return ARCHITECTURES[architecture](encoder_weights=None, **arguments)
    except Exception as error:
        raise ConfigurationError(
            f"{architecture} with {dict(arguments)}, which cannot be built ({_reason(error)})",
            "an encoder and options that fit the architecture",
            "choose another encoder, or other options",
        ) from error


def _download(architecture: str, arguments: Mapping[str, Any], name: str) -> Any:
    """Build the library's network with weights from the hub."""
    encoder = str(arguments["encoder_name"])
    if encoder.startswith("tu-"):
        known = ["imagenet"] if timm.models.is_model_pretrained(encoder[3:]) else []
    else:
        known = list(smp.encoders.encoders[encoder]["pretrained_settings"])
    if name not in known:
        raise ConfigurationError(
            f"weights {name!r} for encoder {encoder!r}",
            f"one of {known}, or a file ending in {', '.join(SUFFIXES)}",
            "choose one of them; a 'tu-' encoder takes the tag of its weights in its own name",
        )
    try:
        return ARCHITECTURES[architecture](encoder_weights=True if encoder.startswith("tu-") else name, **arguments)
    except Exception as error:
        raise ConfigurationError(
            f"no weights {name!r} of encoder {encoder!r} from the hub ({_reason(error)})",
            "a connection to huggingface.co, or weights that it has brought before",
            "download the weights elsewhere and set encoder_weights to the path of the file",
        ) from error


def encoder_statistics(
    encoder: str, hub: str | None = None, in_channels: int = 3
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, of pixels scaled to 0..1, that an encoder's weights expect.

    From the weights' own card where they came from the hub, else from the family that the encoder belongs to.
    Other channels than three get the average of the three.
    """
    if encoder.startswith("tu-"):
        card = timm.models.get_pretrained_cfg(encoder[3:])
        mean, std = (card.mean, card.std) if card else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    elif hub:
        settings = smp.encoders.get_preprocessing_params(encoder, pretrained=hub)
        top = settings["input_range"][1]
        mean, std = (tuple(value / top for value in settings[name]) for name in ("mean", "std"))
    elif encoder.startswith("dpn"):
        mean, std = IMAGENET_DPN_MEAN, IMAGENET_DPN_STD
    elif encoder.startswith(("inception", "xception", "timm-tf_efficientnet_lite")):
        mean, std = IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD
    else:
        mean, std = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    if in_channels != len(mean):
        mean, std = (fmean(mean),), (fmean(std),)
    return tuple(mean), tuple(std)


def _is_file(weights: str) -> bool:
    """Whether the weights are meant as a file rather than a name on the hub."""
    return Path(weights).suffix in SUFFIXES or Path(weights).is_file() or len(Path(weights).parts) > 1


def _reason(error: Exception) -> str:
    """The first line of what a library complains about."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
