"""An optimiser counts on the device while it steps there, and as it did before wherever else."""

import pytest
import torch

from fundusseg.xla.device_steps import begin_states, counting_on_device


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RMSprop])
def test_rate_and_count_are_as_before_after_the_step_and_after_a_failed_one(kind):
    optimizer = kind([torch.nn.Parameter(torch.ones(2))], lr=0.25)
    (group,) = optimizer.param_groups
    with counting_on_device(optimizer):
        assert group["capturable"] is True
        assert torch.is_tensor(group["lr"]) == isinstance(optimizer, torch.optim.Adam)
    assert group["capturable"] is False and group["lr"] == 0.25 and isinstance(group["lr"], float)
    with pytest.raises(ValueError, match="in the step"), counting_on_device(optimizer):
        raise ValueError("in the step")
    assert group["capturable"] is False and isinstance(group["lr"], float)


def test_an_optimiser_that_counts_nothing_is_let_be():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.5)
    before = {**optimizer.param_groups[0]}
    with counting_on_device(optimizer):
        assert {**optimizer.param_groups[0]} == before


KINDS = {
    "Adam": (torch.optim.Adam, {"weight_decay": 0.1, "amsgrad": True}),
    "AdamW": (torch.optim.AdamW, {}),
    "NAdam": (torch.optim.NAdam, {}),
    "RMSprop": (torch.optim.RMSprop, {"momentum": 0.9, "centered": True}),
    "SGD": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "plain SGD": (torch.optim.SGD, {}),
    "dampened SGD": (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.5}),
    "Rprop": (torch.optim.Rprop, {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_states_that_are_there_before_the_first_step_change_no_step(name):
    kind, options = KINDS[name]
    trained = []
    for begun in (False, True):
        weights = [torch.nn.Parameter(torch.tensor([1.0, -2.0])), torch.nn.Parameter(torch.tensor(3.0))]
        still = torch.nn.Parameter(torch.ones(1), requires_grad=False)
        optimizer = kind([{"params": [weights[0], still]}, {"params": weights[1:], "lr": 0.3}], lr=0.1, **options)
        if begun:
            begin_states(optimizer, torch.device("cpu"))
            assert still not in optimizer.state
            # What begins otherwise is let be.
            assert (weights[0] in optimizer.state) == (name not in ("plain SGD", "dampened SGD", "Rprop"))
            keys = {key for state in optimizer.state.values() for key in state}
        for number in range(3):
            for weight in weights:
                weight.grad = weight.detach().cos() + number
            optimizer.step()
        assert not begun or name in ("dampened SGD", "Rprop") or keys == {*optimizer.state[weights[0]]}
        begin_states(optimizer, torch.device("cpu"))  # one that has stepped goes on
        trained.append(torch.cat([weight.detach().flatten() for weight in weights]))
    assert torch.equal(*trained)
