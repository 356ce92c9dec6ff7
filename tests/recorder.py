"""A callback that leaves what a run in another process came to, as JSON."""

import json
from pathlib import Path

from lightning.pytorch import Callback

from fundusseg.compilations import CompileMonitor


class Recorder(Callback):
    """Writes each epoch's figures, what XLA counted, and the types of the network's tensors.

    Args:
        path: The JSON file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).resolve()
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append({})

    def on_train_epoch_start(self, trainer, pl_module):
        self._take(trainer)

    def on_fit_end(self, trainer, pl_module):
        self._take(trainer)
        counted = [c.epochs for c in trainer.callbacks if isinstance(c, CompileMonitor)]
        tensors = {**dict(pl_module.named_parameters()), **dict(pl_module.named_buffers())}
        metrics = [state for metric in pl_module.scores.values() for state in metric.metric_state.values()]
        content = {
            "epochs": self.epochs,
            "counted": counted[0] if counted else None,
            "types": {name: str(tensor.dtype) for name, tensor in tensors.items()},
            "metric_types": sorted({str(state.dtype) for state in metrics}),
            "device": str(pl_module.device),
        }
        self.path.write_text(json.dumps(content))

    def _take(self, trainer):
        """What was logged by the end of the last epoch; the rates lie on the device, where reading them is a wait."""
        if self.epochs and not self.epochs[-1]:
            logged = {name: value.item() for name, value in trainer.callback_metrics.items() if name[:2] != "lr"}
            self.epochs[-1] = {name: value for name, value in logged.items() if value == value}
