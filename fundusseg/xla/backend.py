"""TPU through torch_xla: devices, one program over all of them, and precision.

The only module that knows torch_xla, which has an announced end; it is imported when a device is asked for, so that a
machine without it never misses it. `PJRT_DEVICE=CPU CPU_NUM_DEVICES=8` makes eight virtual devices of any Linux x86-64
machine, which run the same programs as a TPU does.

One process per host drives all its devices (SPMD, Xu et al. 2021, arXiv 2105.04663): the batch is divided along a mesh
of one dimension, weights lie whole on each device, and the compiler adds what has to be exchanged. So a batch is the
global batch, batch norm sees all of it, and a loss is the same on 1 device and on 8.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
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
from fundusseg.xla.bfloat16 import to_bfloat16
from fundusseg.xla.device_steps import counting_on_device
from fundusseg.xla.hosts import Hosts

_REQUESTED = os.environ.get("PJRT_DEVICE")
"""What the user chose; torch_xla sets the variable itself when it is imported."""

_RANKS = {"image": 4, "target": 4, "valid": 2, "weight": 1, "source": 1, "index": 1, "pixel_weight": 4}
_RANKS |= {"train": 2, "val": 2, "test": 2}
"""Dimensions of a batch's tensors, or of a resident subset's draws; the first is divided among the devices."""


def has_tpu() -> bool:
    """Whether a TPU could be used; without importing torch_xla where there is no libtpu."""
    return _REQUESTED in (None, "TPU") and find_spec("libtpu") is not None and not _missing()


def _missing() -> str:
    """What keeps XLA devices from being used, in words; empty where nothing does."""
    try:
        import torch_xla
        from torch_xla._internal import tpu
    except ImportError:
        return "torch_xla is not installed"
    if _REQUESTED not in (None, "TPU"):
        return ""
    if not torch_xla._found_libtpu:
        return "libtpu is not installed"
    return "" if tpu.num_available_chips() else "this machine has no TPU"


def require_devices() -> None:
    """Make sure that there is a TPU, or virtual devices that were asked for.

    Raises:
        ConfigurationError: There is neither.
    """
    if missing := _missing():
        raise ConfigurationError(
            f"accelerator tpu where {missing}",
            "torch_xla with libtpu and a TPU, or virtual devices",
            "on a TPU VM `pip install 'fundusseg[tpu]'`, anywhere else `pip install 'fundusseg[xla]'` and start the "
            "command with PJRT_DEVICE=CPU CPU_NUM_DEVICES=8",
        )


def device() -> torch.device:
    """One XLA device, for a network alone, without a Trainer.

    Raises:
        ConfigurationError: There is none.
    """
    require_devices()
    import torch_xla

    return torch_xla.device()  # type: ignore[no-any-return]


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
    require_devices()
    plugin = XLAPrecision(precision)
    from torch_xla import _XLAC, runtime

    runtime.use_spmd()
    # Programs for virtual devices can be stored, but not loaded again (torch_xla 2.9).
    if cache_dir and runtime.device_type() != "CPU" and not _XLAC._xla_computation_cache_is_initialized():
        Path(cache_dir).mkdir(parents=True, exist_ok=True)
        runtime.initialize_cache(cache_dir)
    XLAAccelerator.parse_devices(devices)
    _check_batch(batch_size, runtime.global_runtime_device_count())
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
        return not _missing()

    @staticmethod
    def auto_device_count() -> int:
        """All of this host."""
        from torch_xla import runtime

        return int(runtime.addressable_runtime_device_count())

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
        from torch_xla.core import xla_model

        return dict(xla_model.get_memory_info(device))


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
        import torch_xla
        from torch_xla import runtime
        from torch_xla._internal import tpu
        from torch_xla.distributed import spmd

        super().__init__(device=torch_xla.device())
        count = runtime.global_runtime_device_count()
        self.mesh = spmd.Mesh(np.arange(count), (count,), ("data",))
        self.share = (int(runtime.process_index()), int(runtime.process_count()))
        master = tpu.discover_master_worker_ip() if self.share[1] > 1 else ""
        self.hosts = Hosts(*self.share, master, int(os.environ.get("MASTER_PORT", "12355")))
        self.global_rank = self.share[0]
        rank_zero_only.rank = self.global_rank  # type: ignore[attr-defined]

    @property
    def is_global_zero(self) -> bool:  # noqa: D102
        return self.global_rank == 0

    def setup_environment(self) -> None:
        """Move the network before callbacks look at it: the move makes new parameters."""
        import torch_xla

        super().setup_environment()
        torch_xla.manual_seed(torch.initial_seed() % 2**31)
        assert self.model is not None
        self.precision_plugin.convert_module(self.model)
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
        """What the first host has, such as the run's folder."""
        return self.hosts.gather(obj)[src]

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the other hosts."""
        self.hosts.gather(None)

    def replicate(self) -> None:
        """Say of every tensor of network, scores and optimiser that it lies whole on each device.

        A step's results say so, what has just been sent there does not: that would be another program.
        """
        from torch_xla import _XLAC
        from torch_xla.distributed import spmd

        assert self.model is not None
        tensors = [*self.model.parameters(), *self.model.buffers()]
        for module in self.model.modules():
            if isinstance(module, Metric):
                tensors += (state for state in module.metric_state.values() if isinstance(state, torch.Tensor))
        for optimizer in self.optimizers:
            for state in optimizer.state.values():
                if "step" in state and "capturable" in optimizer.defaults:  # a resumed one has counted on the host
                    state["step"] = state["step"].to(self.root_device)
                tensors += (value for value in state.values() if isinstance(value, torch.Tensor))
        for tensor in tensors:
            if tensor.device.type == "xla" and not _XLAC._get_xla_sharding_spec(tensor):
                spmd.mark_sharding(tensor, self.mesh, (None,) * tensor.ndim)

    def process_dataloader(self, dataloader: Any) -> Any:
        """Give batches that lie on the devices already."""
        return dataloader if isinstance(dataloader, DeviceLoader) else DeviceLoader(dataloader, self)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write plain CPU tensors, which load anywhere; fetched all at once."""
        from torch_xla.core import xla_model

        super().save_checkpoint(xla_model._maybe_convert_to_cpu(checkpoint), filepath, storage_options)


def _closed(output: Any) -> Any:
    """End a program here, so that it is the same in every batch."""
    import torch_xla

    torch_xla.sync()
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
        from torch_xla.distributed import spmd
        from torch_xla.distributed.parallel_loader import ParallelLoader

        self.strategy.replicate()
        device, hosts = self.strategy.root_device, self.strategy.share[1]
        sharding = {
            name: spmd.ShardingSpec(self.strategy.mesh, ("data",) + (None,) * (rank - 1), minibatch=hosts > 1)
            for name, rank in _RANKS.items()
        }
        self._error = None
        loader = ParallelLoader(self._watched(), [device], input_sharding=sharding)
        try:
            yield from loader.per_device_loader(device)
        finally:
            loader.close()
        if self._error is not None:
            raise self._error

    def _watched(self) -> Iterator[Any]:
        """The host's batches; an error ends them and is kept: in the sending thread it would go unseen."""
        try:
            yield from self.loader
        except Exception as error:
            self._error = error


def random_state(state: int | None = None) -> int:
    """Seed of what the devices draw next, after setting it where one is given."""
    from torch_xla.core import xla_model

    if state is not None:
        xla_model.set_rng_state(state)
    return int(xla_model.get_rng_state())


def counters() -> dict[str, float]:
    """What torch_xla has counted since the process began.

    Graphs ``compiled`` and their ``seconds``, transfers ``to_device`` and ``from_device`` and their bytes, and calls of
    each ``aten::`` operator that the host computed.
    """
    from torch_xla.debug import metrics

    def data(name: str) -> tuple[float, float]:
        found = metrics.metric_data(name)
        return (found[0], found[1]) if found else (0, 0.0)

    compiled, nanoseconds = data("CompileTime")
    return {
        "compiled": compiled,
        "seconds": nanoseconds / 1e9,
        "to_device": data("TransferToDeviceTime")[0],
        "from_device": data("TransferFromDeviceTime")[0],
        "bytes_to_device": data("OutboundData")[1],
        "bytes_from_device": data("InboundData")[1],
        **{name: metrics.counter_value(name) for name in metrics.counter_names() if name.startswith("aten::")},
    }
