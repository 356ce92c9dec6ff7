"""The mean loss of an epoch, each batch by how many pictures are in it."""

from torch import Tensor
from torchmetrics import MeanMetric


class LossMean(MeanMetric):
    """torchmetrics' own leaves the weights out where it is not to look for NaN, which would wait for a device.

    >>> import torch
    >>> mean = LossMean()
    >>> mean.update(torch.tensor(1.0), torch.tensor(3.0))
    >>> mean.update(torch.tensor(2.0), torch.tensor(1.0))
    >>> float(mean.compute())
    1.25
    """

    def __init__(self) -> None:
        super().__init__(nan_strategy="disable")

    def update(self, value: Tensor, weight: Tensor) -> None:  # type: ignore[override]
        """Add a batch's mean and the weight of its pictures; one that only pads weighs nothing."""
        self.mean_value += value * weight
        self.weight += weight
