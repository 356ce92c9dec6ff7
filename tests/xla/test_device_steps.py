"""An optimiser counts on the device while it steps there, and as it did before wherever else."""

import pytest
import torch

from fundusseg.xla.device_steps import counting_on_device


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
