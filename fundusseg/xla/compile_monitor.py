"""A watch on XLA: what was compiled, what left the device, what the host waited for."""

import warnings
from collections import Counter

from lightning.pytorch import Callback, LightningModule, Trainer

from fundusseg.errors import RecompilationError
from fundusseg.xla.backend import counters

SETTLED = 2
"""Epochs after which nothing is compiled any more."""

_WAIT = "aten::_local_scalar_dense"
"""The operator that reads one number."""


class CompileMonitor(Callback):
    """Says when a step does not stay on the device: compilations after the second epoch, and operators of the host.

    On other devices it does nothing. Each epoch is logged as ``xla/...``, the run is summed up at its end. When frozen
    weights begin to be trained (`fundusseg.training.TwoStage`), that epoch may compile again.

    Args:
        strict: Make it an error.

    Attributes:
        epochs: What `fundusseg.xla.backend.counters` counted in each epoch.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.epochs: list[Counter[str]] = []
        self._before: dict[str, float] = {}
        self._trained: int | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        on_device = pl_module.device.type == "xla"
        self.epochs, self._before, self._trained = [], counters() if on_device else {}, None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch's figures; complain.

        Raises:
            RecompilationError: Where ``strict`` is set and there is cause for a warning.
        """
        if not self._before:
            return
        now = counters()
        epoch = Counter({name: value - self._before.get(name, 0) for name, value in now.items()})
        self._before = now
        self.epochs.append(epoch)
        figures: dict[str, float] = {f"xla/{_plain(name)}": value for name, value in epoch.items()}
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=trainer.global_step)
        # When a frozen encoder joins, one epoch may compile again: it begins to count as at the start.
        trained = sum(parameter.requires_grad for parameter in pl_module.parameters())
        settled = len(self.epochs) > SETTLED and trained == self._trained
        self._trained = trained
        if faults := _faults(epoch, int(trainer.num_training_batches), settled):
            complaint = RecompilationError(
                f"{', '.join(faults)} in epoch {trainer.current_epoch}",
                f"everything on the device, and nothing compiled after {SETTLED} epochs",
                "keep shapes fixed, read no tensor in a step, and replace the operators named",
            )
            if self.strict:
                raise complaint
            warnings.warn(str(complaint), stacklevel=2)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the summary."""
        if trainer.is_global_zero and self.epochs:
            print(self.summary())

    def summary(self) -> str:
        """The run in three lines."""
        whole: Counter[str] = sum(self.epochs, Counter())
        named = ", ".join(f"{name} {count} times" for name, count in fallbacks(whole).items()) or "none"
        compiled, waits = (" ".join(str(epoch[name]) for epoch in self.epochs) for name in ("compiled", _WAIT))
        to_device, from_device = (whole[f"bytes_{way}"] / 2**20 for way in ("to_device", "from_device"))
        return (
            f"XLA, by epoch: graphs compiled {compiled}, in {whole['seconds']:.1f} s; waits for a number {waits}\n"
            f"XLA, operators computed on the host: {named}\n"
            f"XLA, transfers: {whole['to_device']} to the devices ({to_device:.1f} MiB), "
            f"{whole['from_device']} from them ({from_device:.1f} MiB)"
        )


def fallbacks(epoch: Counter[str]) -> dict[str, int]:
    """Operators that the host computed, and how often."""
    return {name: count for name, count in epoch.items() if name.startswith("aten::") and name != _WAIT and count}


def _plain(name: str) -> str:
    """A counter's name for a logger."""
    return "waits" if name == _WAIT else name.replace("aten::", "fallback_")


def _faults(epoch: Counter[str], steps: int, settled: bool) -> list[str]:
    """What is wrong with an epoch, in words."""
    faults = [f"{name} computed on the host {count} times" for name, count in fallbacks(epoch).items()]
    # A graph in each step; in the first epochs of a few steps as many are compiled rightly.
    if epoch["compiled"] >= max(steps, 8):
        faults.append(f"{epoch['compiled']} graphs compiled in {steps} steps, as where a shape changes in each")
    elif settled and epoch["compiled"]:
        faults.append(f"{epoch['compiled']} graphs compiled")
    if epoch[_WAIT] >= max(steps, 10):
        faults.append(f"{epoch[_WAIT]} waits for a number ({_WAIT}) in {steps} steps")
    return faults
