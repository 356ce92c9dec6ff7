"""Folding and compiling change how a network is computed, not what."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch._inductor import config as inductor

from fundusseg.models import MobileUNet
from fundusseg.models.compiled import Compiled, fold_batch_norms

PIXELS = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made = MobileUNet(width=0.35)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    return made.eval()


@torch.no_grad()
def test_folding_keeps_the_function(network):
    folded = fold_batch_norms(copy.deepcopy(network))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert torch.allclose(folded(PIXELS), network(PIXELS), atol=1e-4)


@torch.no_grad()
def test_what_no_convolution_precedes_is_not_folded():
    layers = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in fold_batch_norms(layers)) == 2


@pytest.mark.slow
@torch.no_grad()
def test_a_compiled_network_gives_the_same():
    small = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    compiled = Compiled(small)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert torch.allclose(compiled(PIXELS.float()), small(PIXELS.float()), rtol=1e-4, atol=1e-3)
    assert compiled.is_compiled


@pytest.mark.slow
@torch.no_grad()
def test_without_a_compiler_the_network_runs_as_it_is():
    compiled = Compiled(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Hardswish()).eval())
    # By torch's own patch: monkeypatch would take the setting away afterwards, and with it every later compilation.
    missing = inductor.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True})
    with missing, pytest.warns(UserWarning, match="uncompiled.*leave --compile out"):
        first = compiled(PIXELS.float())
    assert not compiled.is_compiled and torch.equal(first, compiled.network(PIXELS.float()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(PIXELS.float())  # said once
