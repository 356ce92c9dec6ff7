"""TPU through torch_xla: devices, one program over all of them, transfers and what was counted.

The only module that knows torch_xla, which has an announced end; it is imported when a device is asked for, so that a
machine without it never misses it. `PJRT_DEVICE=CPU CPU_NUM_DEVICES=8` makes eight virtual devices of any Linux x86-64
machine, which run the same programs as a TPU does. How Lightning trains there stands in `fundusseg.xla.strategy`.

One process per host drives all its devices (SPMD, Xu et al. 2021, arXiv 2105.04663): the batch is divided along a mesh
of one dimension, weights lie whole on each device, and the compiler adds what has to be exchanged. So a batch is the
global batch, batch norm sees all of it, and a loss is the same on 1 device and on 8.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fundusseg.errors import ConfigurationError

_REQUESTED = os.environ.get("PJRT_DEVICE")
"""What the user chose; torch_xla sets the variable itself when it is imported."""


def has_tpu() -> bool:
    """Whether a TPU could be used; without importing torch_xla where there is no libtpu."""
    return _REQUESTED in (None, "TPU") and find_spec("libtpu") is not None and not missing()


def missing() -> str:
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
    if lacking := missing():
        raise ConfigurationError(
            f"accelerator tpu where {lacking}",
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


def start(cache_dir: str | None) -> None:
    """Drive all devices by one program; before anything else uses them.

    Args:
        cache_dir: Where compiled programs are kept between runs; None keeps none.
    """
    from torch_xla import _XLAC, runtime

    runtime.use_spmd()
    # Programs for virtual devices can be stored, but not loaded again (torch_xla 2.9).
    if cache_dir and runtime.device_type() != "CPU" and not _XLAC._xla_computation_cache_is_initialized():
        Path(cache_dir).mkdir(parents=True, exist_ok=True)
        runtime.initialize_cache(cache_dir)


def device_count(here: bool = False) -> int:
    """Devices of all hosts, or of this one."""
    from torch_xla import runtime

    return int(runtime.addressable_runtime_device_count() if here else runtime.global_runtime_device_count())


def process() -> tuple[int, int, str]:
    """This process's number, their count, and the address of the first where there are others."""
    from torch_xla import runtime
    from torch_xla._internal import tpu

    # The address is asked of the TPU metadata server, which a single host need not have.
    number, count = int(runtime.process_index()), int(runtime.process_count())
    return number, count, tpu.discover_master_worker_ip() if count > 1 else ""


def mesh() -> Any:
    """All devices in one dimension, ``data``."""
    from torch_xla.distributed import spmd

    count = device_count()
    return spmd.Mesh(np.arange(count), (count,), ("data",))


def replicate(tensors: Iterable[torch.Tensor], mesh: Any) -> None:
    """Say of tensors that they lie whole on each device, where nothing was said of them yet."""
    from torch_xla import _XLAC
    from torch_xla.distributed import spmd

    for tensor in tensors:
        if tensor.device.type == "xla" and not _XLAC._get_xla_sharding_spec(tensor):
            spmd.mark_sharding(tensor, mesh, (None,) * tensor.ndim)


def divide(batch: torch.Tensor, mesh: Any) -> None:
    """Divide a batch on the devices along its first dimension."""
    from torch_xla.distributed import spmd

    spmd.mark_sharding(batch, mesh, ("data",) + (None,) * (batch.ndim - 1))


def send(
    batches: Iterator[Any], device: torch.device, mesh: Any, ranks: Mapping[str, int], hosts: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches on the devices, divided along the mesh, the next ones sent while a step runs.

    Args:
        batches: Of the host.
        device: That all devices look like.
        mesh: Of `mesh`.
        ranks: Dimensions of a batch's tensors, by name; the first is divided.
        hosts: How many read a part of each batch.
    """
    from torch_xla.distributed import spmd
    from torch_xla.distributed.parallel_loader import ParallelLoader

    sharding = {
        name: spmd.ShardingSpec(mesh, ("data",) + (None,) * (rank - 1), minibatch=hosts > 1)
        for name, rank in ranks.items()
    }
    loader = ParallelLoader(batches, [device], input_sharding=sharding)
    try:
        yield from loader.per_device_loader(device)
    finally:
        loader.close()


def end_program() -> None:
    """Close the program that has been recorded, and start it; what comes is another one."""
    import torch_xla

    torch_xla.sync()


def to_cpu(content: Any) -> Any:
    """A checkpoint's content with plain CPU tensors, fetched all at once."""
    from torch_xla.core import xla_model

    return xla_model._maybe_convert_to_cpu(content)


def memory(device: Any) -> dict[str, Any]:
    """Memory of a device, as the runtime knows it."""
    from torch_xla.core import xla_model

    return dict(xla_model.get_memory_info(device))


def seed(number: int) -> None:
    """Seed what the devices draw."""
    import torch_xla

    torch_xla.manual_seed(number % 2**31)


def random_state(state: int | None = None) -> int:
    """Seed of what the devices draw next, after setting it where one is given.

    The whole state is this one number: each draw is computed from it and moves it on.
    """
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

    # metric_data gives count, sum and samples: of times the count is wanted, of bytes the sum.
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
