"""A training that a scheduler stops, and that the same command continues to the same weights."""

import hashlib
import random
import shutil
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torchmetrics import Metric

from fundusseg.cli import stop_signals
from fundusseg.data.splits import Split
from fundusseg.errors import ConfigurationError
from fundusseg.models.checkpoint import KEY
from fundusseg.training.run_folder import enter, runs_without_logger
from fundusseg.xla import backend

EXIT_CODE = 128 + signal.SIGTERM
"""What a run stopped by SIGTERM exits with: 143, which a shell reports for any process that it ended; by Ctrl-C 130.

Schedulers know it for "told to stop", not "failed": Kubernetes restarts it under every policy but ``Never``, AWS Batch
and Google Batch retry it by an ``onExitCode`` rule, Slurm requeues by itself. 0 would say that the run is done, and 2
is a user's mistake, which no retry mends.
"""

AGREE_EVERY = 10
"""Optimiser steps after which several processes ask whether one of them was told to stop: each waits then."""

_KEY = "preemption"


class Preemption(Callback):
    """Stops a training on SIGTERM or Ctrl-C with a checkpoint that holds all that decides how it goes on.

    It stops after the next step that leaves no gradient half accumulated and that no validation follows, or after the
    epoch; all processes at the same place. The checkpoint lies in the run's folder and carries the digest of the
    run's resolved configuration in its name: only the same command finds it. A finished training leaves one too, until
    its test is done; and so does every epoch, for a process that is killed, as where its machine is lost.

    Beside what Lightning restores (weights, optimiser, schedule, callbacks, counters) and the data module's position,
    every checkpoint holds the random state, the metrics that were being filled, and the figures that callbacks watch.

    A second Ctrl-C ends the process without a checkpoint.

    Attributes:
        saved: The last checkpoint that was written or found.
        kept: That of the last whole epoch.
        signal: What the process was told to stop by.
    """

    def __init__(self) -> None:
        self.saved: Path | None = None
        self.kept: Path | None = None
        self.signal = signal.SIGTERM
        self._heard = stop_signals()  # asked now: Lightning ignores Ctrl-C itself, once it was pressed
        self._asked = False
        self._saving = False
        self._restored: dict[str, Any] = {}

    @classmethod
    def of(cls, trainer: Trainer) -> "Preemption | None":
        """A trainer's, or None where it has none: a trial run, or checkpoints switched off."""
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        return next((callback for callback in callbacks if isinstance(callback, cls)), None)

    def find(self, trainer: Trainer, task: Any) -> Path | None:
        """The checkpoint of a stopped run of the same configuration; the logger then goes on in its folder."""
        # Whether a file is this command's is read from its name: digests of configurations, none is opened.
        logger: Any = trainer.logger
        if logger is not None and not hasattr(logger, "root_dir"):
            folder = Path(getattr(logger, "save_dir", None) or trainer.default_root_dir)
            self.saved = next(folder.glob(_name(task)), None)
            return self.saved
        runs = runs_without_logger(trainer) if logger is None else Path(logger.root_dir)
        found = sorted(runs.glob(f"*/{_name(task)}"), key=lambda path: path.stat().st_mtime)
        if found:
            self.saved = found[-1]
            if logger is None:
                enter(trainer, found[-1].parent)
            else:  # its constructor's argument, which a configuration must not hold
                logger._version = found[-1].parent.name
        return self.saved

    def forget(self, trainer: Trainer) -> None:
        """Remove the checkpoint: the run is done, and the same command starts afresh."""
        for path in (self.saved, self.kept):
            if path is not None and trainer.is_global_zero:
                path.unlink(missing_ok=True)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A training that was to stop early is not taken up again."""
        trainer.should_stop = bool(self._restored.get("should_stop"))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up chance and metrics where they were; from now on, listen."""
        if self._restored:
            _set_random_state(self._restored["random"], pl_module.device)
            # Not in `on_load_checkpoint`: a sanity check in between would draw random numbers and reset metrics.
            _set_metrics(pl_module, self._restored["metrics"], _sums(trainer))
            trainer._logger_connector._callback_metrics.update(self._restored["figures"])
        self._restored = {}
        self._asked = trainer.received_sigterm
        _tell(trainer, False)
        if threading.current_thread() is threading.main_thread():
            for number in self._heard:
                signal.signal(number, self._listen)  # in place of Lightning's, which would cut validations short

    def _listen(self, number: int, frame: FrameType | None) -> None:
        self._asked, self.signal = True, signal.Signals(number)
        if number == signal.SIGINT:
            self._heed_interrupts()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Stop here?"""
        if _processes(trainer) == 1 or trainer.global_step % AGREE_EVERY == 0:
            self._decide(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A validation that has begun is finished; within an epoch, Lightning would count its step twice."""
        if trainer.state.fn == TrainerFn.FITTING:
            _tell(trainer, False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop here? If not, let the same command go on from here, where the process is killed meanwhile."""
        self._decide(trainer)
        self._keep(trainer, pl_module)

    def _keep(self, trainer: Trainer, task: Any) -> None:
        """Take the last epoch's checkpoint by another name: no second copy, where the disk has links."""
        # Asked by every process, as the first tells it to the others.
        self.kept = Path(trainer.log_dir or trainer.default_root_dir) / _name(task)
        last = Path(getattr(trainer.checkpoint_callback, "dirpath", None) or "") / "last.ckpt"
        if not (trainer.is_global_zero and last.is_file()):
            return
        partial = self.kept.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        try:
            partial.hardlink_to(last)
        except OSError:
            shutil.copyfile(last, partial)
        partial.replace(self.kept)

    def _decide(self, trainer: Trainer) -> None:
        """Let Lightning stop at the end of this step or epoch, once its own work for it is done."""
        # Gradients that are half accumulated are in no checkpoint.
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        last = trainer.is_last_batch
        accumulating = batches % trainer.accumulate_grad_batches != 0 and not last
        # Where steps are counted, not epochs, Lightning takes up no training between two epochs.
        if not accumulating and not (last and trainer.max_steps != -1):
            alone = _processes(trainer) == 1  # asking takes a transfer, on a GPU
            _tell(trainer, self._asked if alone else trainer.strategy.reduce_boolean_decision(self._asked, all=False))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save: Lightning stops now, all counters are those of a whole step or epoch."""
        self._heed_interrupts()
        if isinstance(exception, SIGTERMException) and trainer.state.fn == TrainerFn.FITTING:
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, so that a run that is stopped in its test is only tested again; there, Ctrl-C is heard at once."""
        self._save(trainer, pl_module)
        self._heed_interrupts()

    def _heed_interrupts(self) -> None:
        """Let Ctrl-C end the process again, as Python's own handler does."""
        if threading.current_thread() is threading.main_thread() and signal.SIGINT in self._heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _save(self, trainer: Trainer, task: Any) -> None:
        self.saved = Path(trainer.log_dir or trainer.default_root_dir) / _name(task)
        self._saving = True
        trainer.save_checkpoint(self.saved)
        self._saving = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what decides how the training goes on, in plain types."""
        checkpoint[_KEY] = {
            "random": _random_state(pl_module.device),
            "metrics": _metrics(pl_module),
            "figures": {name: figure.cpu() for name, figure in trainer.callback_metrics.items()},
            # A best or last checkpoint may be resumed with more patience.
            "should_stop": self._saving and trainer.should_stop,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep it until the training starts.

        Raises:
            ConfigurationError: The data are no longer those of the run that was found: whom it trained on may be
                validated or tested on now.
        """
        self._restored = checkpoint.get(_KEY, {})
        if self.saved is not None and trainer.state.fn == TrainerFn.FITTING and not _same_data(trainer, checkpoint):
            raise ConfigurationError(
                "data that have changed since the training of this configuration was stopped",
                "the same pictures, labels and split",
                f"restore them, or remove {self.saved} to start afresh",
            )


def _same_data(trainer: Trainer, checkpoint: dict[str, Any]) -> bool:
    split: Any = getattr(getattr(trainer, "datamodule", None), "split", None)
    return split is None or Split.from_dict(checkpoint[KEY]["split"]) == split.anonymous()


def _processes(trainer: Trainer) -> int:
    """Those that must stop at the same place."""
    hosts: int = getattr(trainer.strategy, "share", (0, 1))[1]
    return max(trainer.world_size, hosts)


def _name(task: Any) -> str:
    return f"preempted-{hashlib.sha256(task.configuration.encode()).hexdigest()[:16]}.ckpt"


def _tell(trainer: Trainer, stop: bool) -> None:
    """Set what Lightning's loops look at where they can be left."""
    trainer._signal_connector.received_sigterm = stop


def _random_state(device: torch.device) -> dict[str, Any]:
    kind, key, *rest = np.random.get_state()  # noqa: NPY002 (a third party's augmentation may draw from it)
    return {
        "python": random.getstate(),
        "numpy": (kind, np.asarray(key).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "xla": backend.random_state() if device.type == "xla" else None,
    }


def _set_random_state(state: dict[str, Any], device: torch.device) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))  # XLA's checkpoints make lists of tuples
    np.random.set_state(tuple(state["numpy"]))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    if device.type == "xla" and state["xla"] is not None:
        backend.random_state(state["xla"])


def _metrics(task: LightningModule) -> dict[str, dict[str, torch.Tensor]]:
    """States of the metrics that have been updated since they were last read, summed over the processes."""
    states = {}
    for name, metric in task.named_modules():
        if isinstance(metric, Metric) and metric.update_called:
            with metric.sync_context():
                states[name] = {key: torch.as_tensor(value).cpu() for key, value in metric.metric_state.items()}
    return states


def _sums(trainer: Trainer) -> bool:
    """Whether this process takes up the sums: the first of several, or each host of one program, which holds all."""
    return trainer.is_global_zero or trainer.world_size == 1


def _set_metrics(task: LightningModule, states: dict[str, dict[str, torch.Tensor]], mine: bool) -> None:
    """Take up all that was summed, or start from nothing."""
    for name, state in states.items():
        metric: Any = task.get_submodule(name)
        # Else torchmetrics takes it for one that was never updated, and warns or leaves it out of the next checkpoint.
        metric._update_count = 1
        for key, value in state.items() if mine else ():
            setattr(metric, key, value.to(metric.device))
