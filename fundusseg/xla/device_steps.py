"""An optimiser that counts its steps on the device, for as long as it steps there, and has its states before them."""

import copy
from collections import defaultdict
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


_FRESH = {"step": 0.0, "mu_product": 1.0}
"""What an optimiser that has not stepped has; all else of its states is 0."""

_BEGUN = (torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RMSprop, torch.optim.SGD)
"""Optimisers that begin so; what is derived from them may have states of its own."""


def begin_states(optimizer: Any, device: torch.device) -> None:
    """Give an optimiser the states that its first step would make, on the device.

    Made in the step they would be constants of its program: the first step would be another program than all others.
    Others than the optimisers of `_BEGUN` are let be, and compile once more.
    """
    groups = optimizer.param_groups
    # With a dampening the first step is another than one that finds a momentum of 0.
    dampened = any(group.get("dampening") for group in groups)
    stateless = isinstance(optimizer, torch.optim.SGD) and not any(group["momentum"] for group in groups)
    if optimizer.state or dampened or stateless or type(optimizer) not in _BEGUN:
        return
    twin = copy.copy(optimizer)
    twin.state, twin.param_groups = defaultdict(dict), []
    weights: dict[torch.Tensor, torch.Tensor] = {}
    for group in groups:
        trained = [weight for weight in group["params"] if weight.requires_grad]
        # Of zeros, as they tell which states there are, not their values.
        own = [torch.nn.Parameter(torch.zeros(weight.shape, dtype=weight.dtype)) for weight in trained]
        for one in own:
            one.grad = torch.zeros_like(one)
        weights |= dict(zip(own, trained, strict=True))
        # What may be captured in a graph of CUDA may not step here.
        here = {"capturable": False} if "capturable" in group else {}
        twin.param_groups.append({**group, **here, "params": own})
    twin.step()
    for weight, state in twin.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                state[name] = value.fill_(_FRESH.get(name, 0.0)).to(device)
        optimizer.state[weights[weight]] = state
