"""This process: denormal numbers flushed to zero, libraries quiet, a name for the user."""

import getpass
import logging
import os
import warnings

import torch

from fundusseg.xla import backend

_QUIET = (
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*your dataloader is not resumable.*",  # its sampler is
    ".*exists and is not empty.*",  # a run that goes on in its folder
    r"\s*Dump of a value that does not round-trip: a tuple.*",  # a library's default, which YAML has as a list
)


def prepare_process() -> None:
    """Make the CPU quick and the libraries quiet; before torch starts its threads, which inherit the first.

    Weights that decay towards zero become denormal numbers after a few epochs, and a CPU computes those many times
    slower: they are flushed to zero.
    """
    torch.set_flush_denormal(True)
    _name_user()
    for message in _QUIET:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger().addFilter(lambda record: "Defaulting to PJRT_DEVICE" not in record.getMessage())


def _name_user() -> None:
    """Give the user a name where a container runs under a number alone: torch asks for one when a training starts."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError, AttributeError):
        os.environ["LOGNAME"] = "nobody"


def compute_device(name: str) -> str:
    """The name by which torch knows a device: ``tpu`` is all XLA devices as one, others are as they are.

    Raises:
        ConfigurationError: There is no TPU, or torch_xla is not installed.
    """
    if name not in ("tpu", "xla"):
        return name
    backend.require_devices()
    backend.start(None)
    return str(backend.device())
