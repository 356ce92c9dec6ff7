"""What the XLA tests hand to runs in processes of their own, by class_path."""

import json
from pathlib import Path

import torch
from lightning.pytorch import Callback
from torch import nn

from fundusseg.data.augmentation import Augmentation
from fundusseg.errors import ImageError
from fundusseg.models import Network
from fundusseg.xla.backend import counters
from fundusseg.xla.compile_monitor import CompileMonitor


class Recorder(Callback):
    """Writes each epoch's figures, what XLA counted, and the types of the network's tensors, as JSON.

    ``steps`` is what was transferred between an epoch's start and its last step: how often from the devices, and how
    many bytes to them.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).resolve()
        self.epochs: list[dict[str, float]] = []
        self.steps: list[list[float]] = []

    def on_train_epoch_start(self, trainer, pl_module):
        self._take(trainer)
        self._before = self._transfers(pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_index):
        if batch_index == trainer.num_training_batches - 1:
            now = self._transfers(pl_module)
            self.steps.append([after - before for before, after in zip(self._before, now, strict=True)])

    def _transfers(self, task):
        names = ("from_device", "bytes_to_device") if task.device.type == "xla" else ()
        return [counters()[name] for name in names]

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append({})

    def on_fit_end(self, trainer, pl_module):
        self._take(trainer)
        counted = [callback.epochs for callback in trainer.callbacks if isinstance(callback, CompileMonitor)]
        tensors = {**dict(pl_module.named_parameters()), **dict(pl_module.named_buffers())}
        metrics = [state for metric in pl_module.scores.values() for state in metric.metric_state.values()]
        content = {
            "epochs": self.epochs,
            "steps": self.steps,
            "counted": counted[0] if counted else None,
            "types": {name: str(tensor.dtype) for name, tensor in tensors.items()},
            "metric_types": sorted({str(state.dtype) for state in metrics}),
        }
        self.path.write_text(json.dumps(content))

    def _take(self, trainer):
        """What was logged by the end of the last epoch; the rates lie on the device, where reading them is a wait."""
        if self.epochs and not self.epochs[-1]:
            logged = {name: value.item() for name, value in trainer.callback_metrics.items() if name[:2] != "lr"}
            self.epochs[-1] = {name: value for name, value in logged.items() if value == value}


class Growing(Network):
    """A network whose step is another program each time: it pads by as many rows as it has seen batches."""

    divisor = 1

    def __init__(self, in_channels: int = 3, out_channels: int = 2) -> None:
        super().__init__(in_channels, out_channels, mean=[0.5], std=[0.5])
        self.encoder, self.decoder = nn.Identity(), nn.Identity()
        self.segmentation_head = nn.Conv2d(in_channels, out_channels, 1)
        self.seen = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        grown = nn.functional.pad(self.normalise(image), (0, 0, 0, self.seen))
        return self.segmentation_head(grown)[:, :, : image.shape[2]]


class Spoilt(Augmentation):
    """Finds one picture bad, in the middle of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __call__(self, image, target, seed):
        self.calls += 1
        if self.calls > 12:
            raise ImageError("a picture that went bad", "a picture", "replace it")
        return super().__call__(image, target, seed)
