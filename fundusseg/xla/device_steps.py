"""An optimiser that counts its steps on the device, for as long as it steps there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def counting_on_device(optimizer: Any) -> Iterator[None]:
    """Let the optimiser take its rate and count its steps on the device, not as Python numbers.

    Those would become part of the program, and each step a new one. Only during the step, so that a checkpoint's
    optimiser goes on anywhere.
    """
    groups = [group for group in optimizer.param_groups if group.get("capturable") is False]
    rates = [group["lr"] for group in groups]
    for group, rate in zip(groups, rates, strict=True):
        group["capturable"] = True
        device = group["params"][0].device
        if isinstance(optimizer, torch.optim.Adam):  # others take a number
            group["lr"] = torch.tensor(rate, dtype=torch.float32).to(device)
    try:
        yield
    finally:
        for group, rate in zip(groups, rates, strict=True):
            # The schedule and the checkpoint read the rate as a number.
            group["capturable"], group["lr"] = False, rate
