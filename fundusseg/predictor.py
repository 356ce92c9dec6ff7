"""A checkpoint and a photograph give a label map at native size and its measures, without a Trainer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fundusseg import checkpoint
from fundusseg.checkpoint import Description
from fundusseg.errors import ConfigurationError
from fundusseg.masks import label_map, region_mask
from fundusseg.measures import Measures, measure
from fundusseg.models import Network
from fundusseg.roi import Box, crop, disc_box, restore
from fundusseg.sample import DISC, Image
from fundusseg.tiles import predict_tiled


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was found in one photograph.

    Attributes:
        probabilities: R x H x W float32 at native size, 0 outside the region of interest.
        label_map: H x W uint8: 0 background, 1 rim, 2 cup.
        measures: Cup/disc ratios and sizes.
        box: The square of the photograph that the network saw.
    """

    probabilities: npt.NDArray[np.float32]
    label_map: Image
    measures: Measures
    box: Box


class Predictor:
    """Segments photographs.

    Args:
        network: uint8 (B, 3, S, S) to logits (B, R, S, S).
        description: The checkpoint's.
        device: Where to compute: ``cpu``, ``cuda``, ``cuda:1``, ...
    """

    def __init__(self, network: nn.Module, description: Description, device: str = "cpu") -> None:
        try:
            self.device = torch.device(device)
            self.network = network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        except (RuntimeError, AssertionError) as error:
            raise ConfigurationError(
                f"device {device!r} ({checkpoint.first_line(error)})",
                "a device of this machine",
                "use --device cpu",
            ) from error
        self.description = description

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "cpu") -> "Predictor":
        """Load what `fit` wrote; nothing but the file is needed.

        Raises:
            CheckpointError: The file is missing or is not one of ours.
        """
        description, weights = checkpoint.load(path)
        return cls(checkpoint.build(description, weights), description, device)

    def __call__(self, image: Image) -> Prediction:
        """Segment one photograph.

        Args:
            image: H x W x 3 uint8 RGB. A network trained on disc-centred crops takes such a crop and looks twice:
                at all of it, then at the square that training would have cut around the disc it found.
        """
        preparation = self.description.preparation
        box = preparation.find_box(image)
        probabilities, labels = self._segment(image, box)
        if preparation.roi == "disc" and DISC in preparation.regions:
            disc = region_mask(labels, DISC, preparation.regions)
            if disc.any():
                box = disc_box(disc, preparation.roi_scale)
                probabilities, labels = self._segment(image, box)
        return Prediction(probabilities, labels, measure(labels, preparation.regions), box)

    def _segment(self, image: Image, box: Box) -> tuple[npt.NDArray[np.float32], Image]:
        """Probabilities and label map at native size of what lies in a box."""
        preparation = self.description.preparation
        probabilities = restore(self._probabilities(crop(image, box, preparation.image_size)), box, image.shape[:2])
        return probabilities, label_map(probabilities, preparation.regions, self.description.thresholds)

    def _probabilities(self, picture: Image) -> npt.NDArray[np.float32]:
        """S x S x 3 uint8 to R x S x S float32."""
        with torch.inference_mode(self.device.type != "xla"), torch.no_grad():  # XLA takes no views in inference mode
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].to(self.device)
            side = picture.shape[0]
            if isinstance(self.network, Network) and self.network.output_size(side, side) != (side, side):
                found = predict_tiled(self.network, pixels[0], side)
            else:
                found = self.network(pixels).float().sigmoid()[0]
            probabilities: npt.NDArray[np.float32] = found.cpu().numpy()
        return probabilities
