"""Learning-rate schedules that know how long the run is."""

from abc import ABC, abstractmethod
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR, ReduceLROnPlateau, SequentialLR


class Schedule(ABC):
    """Makes Lightning's scheduler entry for an optimiser and a run of known length."""

    @abstractmethod
    def __call__(self, optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
        """Give Lightning's ``lr_scheduler`` entry: scheduler, interval, and what is monitored."""


class OneCycle(Schedule):
    """Up to the optimiser's rate and down again, each step (Smith 2018, arXiv 1803.09820); momentum stays.

    Args:
        warm_up: Share of the steps on the way up.
        start_divisor: Rate over first rate.
    """

    def __init__(self, warm_up: float = 0.3, start_divisor: float = 25.0) -> None:
        self.warm_up, self.start_divisor = warm_up, start_divisor

    def __call__(self, optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
        """Span the cycle over the run; each parameter group peaks at its own rate, the optimiser's or its share."""
        rates = [group["lr"] for group in optimizer.param_groups]
        scheduler = OneCycleLR(
            optimizer, rates, total_steps, pct_start=self.warm_up, div_factor=self.start_divisor, cycle_momentum=False
        )
        return {"scheduler": scheduler, "interval": "step"}


class Cosine(Schedule):
    """Linear warm-up, then half a cosine to zero, each step (Loshchilov and Hutter 2017, arXiv 1608.03983).

    Args:
        warm_up: Share of the steps on the way up.
    """

    def __init__(self, warm_up: float = 0.05) -> None:
        self.warm_up = warm_up

    def __call__(self, optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
        """Reach the optimiser's rate after the warm-up, and zero with the run's last step."""
        rising = max(1, round(self.warm_up * total_steps))
        # Nearly from 0, which torch refuses.
        rise = LinearLR(optimizer, start_factor=1e-3, total_iters=rising)
        # A run of one step has no fall, and a period of 0 would divide by it.
        fall = CosineAnnealingLR(optimizer, T_max=max(1, total_steps - rising))
        return {"scheduler": SequentialLR(optimizer, [rise, fall], [rising]), "interval": "step"}


class Plateau(Schedule):
    """Lower the rate when a validation figure no longer improves.

    Args:
        monitor: A logged figure.
        mode: Whether smaller (``min``) or larger (``max``) is better.
        factor: What the rate is multiplied by.
        patience: Epochs to wait.
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 4,
    ) -> None:
        self.monitor, self.mode, self.factor, self.patience = monitor, mode, factor, patience

    def __call__(self, optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
        """Watch ``monitor`` once an epoch; the run's length does not matter."""
        scheduler = ReduceLROnPlateau(optimizer, self.mode, factor=self.factor, patience=self.patience)
        return {"scheduler": scheduler, "interval": "epoch", "monitor": self.monitor}
