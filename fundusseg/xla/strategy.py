"""How Lightning trains on XLA devices: accelerator, precision, one program over all of them, batches that lie there."""

import os
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.plugins import Precision
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities import find_shared_parameters, set_shared_parameters
from lightning_utilities.core.rank_zero import rank_zero_only
from torch import nn
from torch.utils.data import DataLoader
from torchmetrics import Metric

from fundusseg.errors import ConfigurationError
from fundusseg.xla import backend
from fundusseg.xla.bfloat16 import to_bfloat16
from fundusseg.xla.device_steps import begin_states, counting_on_device
from fundusseg.xla.hosts import Hosts

_RANKS = {"image": 4, "target": 4, "valid": 2, "weight": 1, "source": 1, "index": 1, "pixel_weight": 4}
_RANKS |= {"train": 2, "val": 2, "test": 2}
"""Dimensions of a batch's tensors, or of a resident subset's draws; the first is divided among the devices."""


def trainer_arguments(
    devices: int | str | list[int], batch_size: int, precision: str | int | None = None, cache_dir: str | None = None
) -> dict[str, Any]:
    """What a Trainer needs to run on all XLA devices at once; before anything else uses them.

    Args:
        devices: How many, of this host; ``auto`` takes all.
        batch_size: Of the whole, over all devices of all hosts.
        precision: 32-true or bf16-true.
        cache_dir: Where compiled programs are kept between runs; None keeps none.

    Raises:
        ConfigurationError: There is no device, or one of the arguments does not suit.
    """
    backend.require_devices()
    # Checked before the devices are started, which cannot be undone.
    plugin = XLAPrecision(precision)
    backend.start(cache_dir)
    XLAAccelerator.parse_devices(devices)
    _check_batch(batch_size, backend.device_count())
    return {
        "accelerator": XLAAccelerator(),
        "devices": devices,
        "strategy": SPMDStrategy(),
        "precision": None,
        "plugins": [plugin],
        "inference_mode": False,  # its tensors take no views on XLA
    }


def _check_batch(batch_size: int, devices: int) -> None:
    if batch_size % devices:
        lower = batch_size // devices * devices
        near = f"{lower} or {lower + devices}" if lower else f"{devices}"
        raise ConfigurationError(
            f"a batch of {batch_size} for {devices} devices", f"a multiple of {devices}", f"set batch_size to {near}"
        )


class XLAAccelerator(Accelerator):
    """XLA devices as torch_xla's runtime sees them: TPU, or virtual ones."""

    def setup_device(self, device: torch.device) -> None: ...  # noqa: D102 - the runtime has done it

    def teardown(self) -> None: ...  # noqa: D102 - nothing is held

    @staticmethod
    def name() -> str:  # noqa: D102
        return "tpu"

    @staticmethod
    def is_available() -> bool:  # noqa: D102
        return not backend.missing()

    @staticmethod
    def auto_device_count() -> int:
        """All of this host."""
        return backend.device_count(here=True)

    @staticmethod
    def parse_devices(devices: int | str | list[int]) -> int:
        """How many devices are asked for.

        Raises:
            ConfigurationError: Not all of this host's: one program runs on all that it sees.
        """
        count = XLAAccelerator.auto_device_count()
        asked = len(devices) if isinstance(devices, list) else devices
        if str(asked) not in ("auto", "-1", str(count)):
            raise ConfigurationError(
                f"devices {devices} where {count} are visible",
                f"{count} or auto, as one program runs on all that it sees",
                "show it fewer, with CPU_NUM_DEVICES for virtual devices or TPU_VISIBLE_CHIPS for a TPU",
            )
        return count

    @staticmethod
    def get_parallel_devices(devices: int) -> list[torch.device]:
        """The one device that all look like."""
        return [torch.device("xla", 0)]

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        """Memory of a device, as the runtime knows it."""
        return backend.memory(device)


class XLAPrecision(Precision):
    """Computes in float32, or the network in bfloat16.

    In bfloat16 are the network's weights and what flows between its layers. Batch norms with their statistics, the
    pixels' normalisation, thresholds, losses and scores stay in float32.

    Args:
        precision: As the Trainer takes it; None is 32-true.

    Raises:
        ConfigurationError: Neither 32-true nor bf16-true.
    """

    def __init__(self, precision: str | int | None = None) -> None:
        names = {None: "32-true", "32": "32-true", "32-true": "32-true", "bf16-true": "bf16-true"}
        name = names.get(precision if precision is None else str(precision))
        if name is None:
            raise ConfigurationError(
                f"precision {precision} on XLA", "32-true or bf16-true", "set --trainer.precision bf16-true"
            )
        self.precision: Any = name

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Round the network's weights where bfloat16 was chosen; once, however often it is called."""
        if self.precision == "bf16-true":
            to_bfloat16(getattr(module, "model", module))
        return module

    def optimizer_step(self, optimizer: Any, model: Any, closure: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """One step, closed as one program."""
        with counting_on_device(optimizer):
            return _closed(super().optimizer_step(optimizer, model, closure, **kwargs))


class SPMDStrategy(SingleDeviceStrategy):
    """One program over all devices of all hosts, one process per host.

    Attributes:
        mesh: The devices, in one dimension.
        share: This process's number and their count: which part of each batch it reads.
        hosts: Through which they agree.
    """

    strategy_name = "xla_spmd"

    def __init__(self) -> None:
        super().__init__(device=backend.device())
        self.mesh = backend.mesh()
        number, count, first = backend.process()
        self.share = (number, count)
        # The port that torch.distributed uses too; nothing else of it is running here.
        self.hosts = Hosts(number, count, first, int(os.environ.get("MASTER_PORT", "12355")))
        self.global_rank = self.share[0]
        rank_zero_only.rank = self.global_rank  # type: ignore[attr-defined]

    @property
    def is_global_zero(self) -> bool:  # noqa: D102
        return self.global_rank == 0

    def setup_environment(self) -> None:
        """Move the network before callbacks look at it: the move makes new parameters."""
        super().setup_environment()
        backend.seed(torch.initial_seed())
        assert self.model is not None
        self.precision_plugin.convert_module(self.model)
        # Moved tensor by tensor, a parameter that two layers share would become two.
        shared = find_shared_parameters(self.model)
        self.model_to_device()
        set_shared_parameters(self.model, shared)

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return _closed(super().validation_step(*args, **kwargs))

    def test_step(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return _closed(super().test_step(*args, **kwargs))

    def reduce(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        """The tensor as it is, since one program sees all; on the host, where Lightning looks at it."""
        return tensor.cpu() if isinstance(tensor, torch.Tensor) else tensor

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """Whether one, or all, of the hosts say so."""
        said = self.hosts.gather(bool(decision))
        return bool(min(said) if all else max(said))

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        """What the first host has, such as the run's folder: Lightning asks for no other's."""
        return self.hosts.gather(obj)[0]

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the other hosts."""
        self.hosts.gather(None)

    def replicate(self) -> None:
        """Say of every tensor of network, scores and optimiser that it lies whole on each device.

        A step's results say so, what has just been sent there does not: that would be another program, compiled anew.
        So it is said before each pass over the data, when an optimiser that begins or was resumed, or a metric that was
        reset, may have sent new tensors; of those that have said so already nothing changes.
        """
        assert self.model is not None
        tensors = [*self.model.parameters(), *self.model.buffers()]
        for module in self.model.modules():
            if isinstance(module, Metric):
                tensors += (state for state in module.metric_state.values() if isinstance(state, torch.Tensor))
        for optimizer in self.optimizers:
            begin_states(optimizer, self.root_device)
            for state in optimizer.state.values():
                if "step" in state and "capturable" in optimizer.defaults:  # a resumed one has counted on the host
                    state["step"] = state["step"].to(self.root_device)
                tensors += (value for value in state.values() if isinstance(value, torch.Tensor))
        backend.replicate(tensors, self.mesh)

    def process_dataloader(self, dataloader: Any) -> Any:
        """Give batches that lie on the devices already."""
        return dataloader if isinstance(dataloader, DeviceLoader) else DeviceLoader(dataloader, self)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write plain CPU tensors, which load anywhere; fetched all at once."""
        super().save_checkpoint(backend.to_cpu(checkpoint), filepath, storage_options)


def _closed(output: Any) -> Any:
    """End a program here, so that it is the same in every batch."""
    backend.end_program()
    return output


class DeviceLoader:
    """Batches of a data loader on the devices, the next ones sent while a step runs.

    Args:
        loader: On the host.
        strategy: Whose mesh the batches are divided along.
    """

    def __init__(self, loader: DataLoader[Any], strategy: SPMDStrategy) -> None:
        self.loader, self.strategy = loader, strategy
        # Lightning looks for these: to number the epochs of the sampler, among others.
        self.dataset, self.sampler, self.batch_sampler = loader.dataset, loader.sampler, loader.batch_sampler
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        self.strategy.replicate()
        self._error = None
        share = self.strategy.share[1]
        yield from backend.send(self._watched(), self.strategy.root_device, self.strategy.mesh, _RANKS, share)
        if self._error is not None:
            raise self._error

    def _watched(self) -> Iterator[Any]:
        """The host's batches; an error ends them and is kept: in the sending thread it would go unseen."""
        try:
            yield from self.loader
        except Exception as error:
            self._error = error
