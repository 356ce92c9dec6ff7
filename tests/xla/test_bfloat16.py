"""A network in bfloat16 whose batch norms stay precise."""

import torch
from torch import nn

from fundusseg.xla import strategy


def test_rounding_twice_is_rounding_once():
    task = nn.Module()
    task.model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    plugin = strategy.XLAPrecision("bf16-true")
    plugin.convert_module(plugin.convert_module(task))
    assert len(task.model[1]._forward_hooks) == len(task.model[1]._forward_pre_hooks) == 1
    assert task.model(torch.zeros(1, 3, 2, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert task.model[1].running_mean.dtype == torch.float32
