"""An exponential moving average of the weights, which validation, checkpoints and use then take."""

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from fundusseg.errors import ConfigurationError


class AveragedWeights(WeightAveraging):
    """Lightning's averaging, with a decay that grows: after n steps it is ``min(decay, (1 + n) / (10 + n))``.

    With a constant decay the first weights linger. Batch norm's first variance, 1, then stands in the average of a
    channel whose own has become 0.0001, and squashes it: a network trained from scratch for 200 steps found nothing
    in use, though it had learnt. Averages of the statistics are kept, as those of the last few batches are noisy.

    The growing decay is that of TensorFlow's moving averages. Polyak and Juditsky, SIAM Journal on Control and
    Optimization 30(4), 1992, doi 10.1137/0330046, on averaged weights.

    Args:
        decay: Share of the average that a step leaves once it has grown, 0 to below 1: ``1 / (1 - decay)`` steps count.

    Raises:
        ConfigurationError: The decay is out of range.
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ConfigurationError(f"decay {decay}", "a share from 0 to below 1", "set decay to 0.99")
        super().__init__(use_buffers=True, avg_fn=self._average)
        self.decay = decay

    def _average(self, average: Tensor, now: Tensor, steps: Tensor | int) -> Tensor:
        """The new average of one tensor; ``steps`` have gone into the old one."""
        count = torch.as_tensor(steps, dtype=torch.float32, device=average.device)
        left = torch.clamp((1 + count) / (10 + count), max=self.decay)
        return (left * average + (1 - left) * now).to(average.dtype)
