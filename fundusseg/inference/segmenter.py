"""One network on pictures as it was trained on them: squares in, probabilities out."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError
from fundusseg.inference.gathered_batches import GatheredBatches
from fundusseg.inference.precision import Precision, check_precision
from fundusseg.inference.tiling import predict_tiled
from fundusseg.models import Network, checkpoint
from fundusseg.models.checkpoint import Description
from fundusseg.models.compiled import Compiled, fold_batch_norms
from fundusseg.models.mobilenet_unet import network_for_inference
from fundusseg.sample import Image

VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""The picture as it is, mirrored, upside down, and both: a disc is a disc in each."""


CUDA_BATCH = 16
"""Pictures of a batch on a GPU: four photographs in four views."""


class Segmenter:
    """A network with its description, on one device. Several threads may use one at the same time.

    Args:
        network: uint8 (B, 3, S, S) to logits (B, R, S, S).
        description: The checkpoint's.
        device: Where to compute: ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: ``bf16`` computes convolutions in bfloat16, of which 8 bits are precise; some masks change by pixels
            of their edge.
        compiled: Compile the network at its first picture, see `fundusseg.models.compiled.Compiled`.

    Raises:
        ConfigurationError: The device is not there, or has no bfloat16.
    """

    def __init__(
        self,
        network: nn.Module,
        description: Description,
        device: str = "cpu",
        precision: Precision = "32-true",
        compiled: bool = False,
    ) -> None:
        try:
            self.device = torch.device(device)
            check_precision(precision, self.device.type)
            network = network.eval() if precision == "32-true" else fold_batch_norms(network.eval())
            self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        except (RuntimeError, AssertionError) as error:
            raise ConfigurationError(
                f"device {device!r} ({checkpoint.first_line(error)})",
                "a device of this machine",
                "use --device cpu",
            ) from error
        self.precision, self.description = precision, description
        if compiled and (self.device.type == "xla" or not self._whole):
            raise ConfigurationError(
                "--compile for " + ("a TPU" if self.device.type == "xla" else "a network that predicts tile by tile"),
                "another device or network: XLA compiles by itself, and tiles are not compiled",
                "leave --compile out",
            )
        self.compiled = Compiled(self.network) if compiled else None
        self.gathered = self._gathered()

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, device: str = "cpu", precision: Precision = "32-true", compiled: bool = False
    ) -> "Segmenter":
        """Load what `fit` wrote; nothing but the file is needed.

        Raises:
            CheckpointError: The file is missing or is not one of ours.
        """
        description, weights = checkpoint.load(path)
        network = checkpoint.build(description, weights, path, network_for_inference)
        return cls(network, description, device, precision, compiled)

    @torch.no_grad()
    def __call__(self, pictures: Image, views: int = 1) -> npt.NDArray[np.float32]:
        """Segment prepared squares.

        Args:
            pictures: N x S x S x 3 uint8.
            views: How many of `VIEWS` each is looked at in, 1 to 4.

        Returns:
            V x N x R x S x S probabilities, each view turned back.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
        # Where calls of several threads meet in one batch, they meet on the CPU.
        pixels = pixels if self.gathered else pixels.to(self.device)
        # (N, 3, S, S) to (V N, 3, S, S): all views in one batch, view by view.
        turned = torch.cat([pixels.flip(axes) for axes in VIEWS[:views]])
        found = (self.gathered or self._probabilities)(turned).chunk(views)
        back = [view.flip(axes) for view, axes in zip(found, VIEWS[:views], strict=True)]
        probabilities: npt.NDArray[np.float32] = torch.stack(back).cpu().numpy()
        return probabilities

    @property
    def _whole(self) -> bool:
        """Whether the network predicts all of its square, not the middle alone."""
        side = self.description.preparation.image_size
        return not isinstance(self.network, Network) or self.network.output_size(side, side) == (side, side)

    def _gathered(self) -> GatheredBatches | None:
        """How the views of several photographs become one batch; None on a CPU, which gains nothing by it."""
        if self.device.type == "xla" and self._whole:
            from fundusseg.xla.divided_network import DividedNetwork

            divided = DividedNetwork(self.network, self.device)
            return GatheredBatches(divided, divided.size)
        if self.device.type == "cuda" and self._whole:
            return GatheredBatches(lambda pixels: self._probabilities(pixels.to(self.device)).cpu(), CUDA_BATCH)
        return None

    def _probabilities(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 3, S, S) to float32 (B, R, S, S)."""
        side = pixels.shape[-1]
        # A network without padding predicts the middle alone: tiles with mirrored surroundings give the rest.
        if isinstance(self.network, Network) and self.network.output_size(side, side) != (side, side):
            with self._in_precision():
                return torch.stack([predict_tiled(self.network, picture, side) for picture in pixels])
        with self._in_precision():
            logits: Tensor = (self.compiled or self.network)(pixels.contiguous(memory_format=torch.channels_last))
        return logits.float().sigmoid()

    def _in_precision(self) -> AbstractContextManager[object]:
        return nullcontext() if self.precision == "32-true" else torch.autocast(self.device.type, torch.bfloat16)
