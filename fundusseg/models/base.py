"""What all networks share: normalisation on the device, and the way back from a checkpoint."""

import copy
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError, nearest


class Network(nn.Module):
    """Base of all networks: pixels in, one logit map for each region out.

    A subclass sets ``encoder``, ``decoder``, ``segmentation_head`` and ``divisor``. Its constructor takes
    plain values only, and each instance remembers them in ``spec``, from which a checkpoint builds the network
    again.

    Args:
        in_channels: Channels of the picture.
        out_channels: Regions.
        mean: Mean of the pixels scaled to 0..1, for each channel; one value serves all channels.
        std: Standard deviation of the same; above 0.

    Attributes:
        divisor: Height and width of the picture must be multiples of it.

    Raises:
        ConfigurationError: A count is below 1, or mean and std do not fit the channels.
    """

    encoder: nn.Module
    decoder: nn.Module
    segmentation_head: nn.Module
    divisor: int
    mean: Tensor
    std: Tensor
    _init_args: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the constructor remember its call."""
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _remembering(cls.__init__)  # type: ignore[method-assign]

    def __init__(
        self, in_channels: int = 3, out_channels: int = 2, *, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        require_at_least_one(in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, in_channels) or (name == "std" and min(values) <= 0):
                raise ConfigurationError(
                    f"{name} {list(values)}",
                    f"1 or {in_channels} values of pixels scaled to 0..1{', above 0' * (name == 'std')}",
                    f"give {name} one value for each of the {in_channels} input channels",
                )
            repeated = list(values) * (in_channels // len(values))
            self.register_buffer(name, torch.tensor(repeated, dtype=torch.float32))

    @property
    def spec(self) -> dict[str, Any]:
        """The constructor's call: ``{"class_path": ..., "init_args": {...}}``, plain values, with defaults.

        Defaults are written out, so that a checkpoint outlives a change of them.
        """
        return {"class_path": _public_path(type(self)), "init_args": copy.deepcopy(self._init_args)}

    def _amend_spec(self, **values: Any) -> None:
        """Change remembered arguments, those that the outermost constructor has."""
        self._init_args |= {name: plain(value, name) for name, value in values.items() if name in self._init_args}

    def normalise(self, image: Tensor) -> Tensor:
        """Turn pixels into what the encoder expects: ``(image / 255 - mean) / std``.

        A network of one channel takes the mean of three: a grey picture's three channels are equal.

        Args:
            image: B x C x H x W, uint8, or float in 0..255; C may be 3 for a network of one channel.

        Returns:
            B x C x H x W in the network's own precision and the image's memory format; computed in float32.
        """
        precise = torch.promote_types(self.mean.dtype, torch.float32)
        mean, std = (values.to(precise).view(1, -1, 1, 1) for values in (self.mean, self.std))
        pixels = image.to(precise)  # B x C x H x W; mean and std are 1 x C x 1 x 1
        if self.in_channels == 1 and image.shape[1] == 3:
            pixels = pixels.mean(dim=1, keepdim=True)
        # The kernels' own: in bfloat16 mean and std may have stayed in float32.
        precision = next((weight.dtype for weight in self.parameters() if weight.ndim > 1), self.mean.dtype)
        return ((pixels / 255 - mean) / std).to(precision)

    def forward(self, image: Tensor) -> Tensor:
        """Predict the logits (B x R x ``output_size``) of B x C x H x W pixels, uint8, or float in 0..255."""
        features = self.encoder(self.normalise(image))  # a list, B x C_l x H/2^l x W/2^l, from the picture down
        return cast(Tensor, self.segmentation_head(self.decoder(features)))  # B x C_0 x H x W -> B x R x H x W

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the logits of a picture that ``check_size`` accepts; they lie in its middle."""
        return height, width

    def check_size(self, height: int, width: int) -> None:
        """Check that a picture's size suits the network's poolings.

        Raises:
            ConfigurationError: Height or width is not a multiple of ``divisor``; the padded size is named.
        """
        padded = [max(-(-side // self.divisor), 1) * self.divisor for side in (height, width)]
        if padded != [height, width]:
            raise ConfigurationError(
                f"pictures of height {height} and width {width} for {type(self).__name__}",
                f"multiples of {self.divisor}",
                f"resize or pad to height {padded[0]} and width {padded[1]}",
            )


def _remembering(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor so that the outermost one keeps its bound arguments in ``_init_args``."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def remember(self: Network, *args: Any, **kwargs: Any) -> None:
        # The outermost constructor runs first; those that it calls find its arguments and leave them.
        if "_init_args" not in self.__dict__:
            call = signature.bind(self, *args, **kwargs)
            call.apply_defaults()
            _, *names = call.arguments
            self._init_args = {}
            for name in names:
                value = call.arguments[name]
                variadic = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
                self._init_args |= plain(value, name) if variadic else {name: plain(value, name)}
        init(self, *args, **kwargs)

    return remember


def plain(value: Any, name: str) -> Any:
    """Reduce an argument to numbers, text, lists and dicts, which every checkpoint can hold.

    Raises:
        ConfigurationError: It is anything else.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, name) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, name) for item in value]
    raise ConfigurationError(
        f"{name} of type {type(value).__name__}",
        "numbers, text, or lists and dicts of them",
        "give the network plain values, so that its checkpoint can rebuild it",
    )


def _public_path(cls: type) -> str:
    """Where a class is imported from: the outermost package that exports it, so that modules within may move."""
    packages = cls.__module__.split(".")
    for depth in range(1, len(packages)):
        package = ".".join(packages[:depth])
        if getattr(sys.modules.get(package), cls.__qualname__, None) is cls:
            return f"{package}.{cls.__qualname__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def require_at_least_one(**counts: int) -> None:
    """Check counts that a user set.

    Raises:
        ConfigurationError: One is below 1.
    """
    for name, count in counts.items():
        if count < 1:
            raise ConfigurationError(f"{name} {count}", "1 or more", f"set {name} to 1 or more")


def require_choice(name: str, value: str, choices: Any) -> None:
    """Check a name that a user chose.

    Args:
        name: Of the setting.
        value: What was chosen.
        choices: The ``Literal`` that lists what there is.

    Raises:
        ConfigurationError: It is not among them.
    """
    if value not in get_args(choices):
        raise ConfigurationError(
            f"{name} {value!r}", f"one of {list(get_args(choices))}", f"try {nearest(value, get_args(choices))}"
        )


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Count parameters as Keras does.

    Returns:
        All, the running means and variances of batch norm included; and the trainable ones.
    """
    parameters = list(module.parameters())
    statistics = sum(
        buffer.numel()
        for layer in module.modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
        for name, buffer in layer.named_buffers(recurse=False)
        if name in ("running_mean", "running_var")
    )
    total = sum(parameter.numel() for parameter in parameters)
    return total + statistics, sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
