import pytest
import torch

from fundusseg.training.schedules import Cosine, OneCycle, Plateau


def rates(schedule, steps: int = 100) -> list[float]:
    """Rate of each step, for an optimiser whose rate is 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    entry = schedule(optimizer, steps)
    assert entry["interval"] == "step"
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        entry["scheduler"].step()
    return seen


def test_one_cycle_peaks_where_asked_and_ends_low():
    seen = rates(OneCycle(warm_up=0.2, start_divisor=10))
    assert seen[0] == pytest.approx(0.1)
    assert max(seen) == pytest.approx(1.0) and abs(seen.index(max(seen)) - 20) <= 1
    assert seen[-1] < 1e-3


def test_cosine_rises_then_falls():
    seen = rates(Cosine(warm_up=0.1))
    assert seen[0] < 0.01
    assert seen[10] == pytest.approx(1.0)
    assert seen[55] == pytest.approx(0.5, abs=0.02)
    assert seen[-1] < 1e-3


def test_plateau_lowers_after_its_patience():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    entry = Plateau(monitor="val/dice", mode="max", factor=0.5, patience=1)(optimizer, 10)
    assert (entry["interval"], entry["monitor"]) == ("epoch", "val/dice")
    for value in (0.5, 0.6, 0.6, 0.6):
        entry["scheduler"].step(value)
    assert optimizer.param_groups[0]["lr"] == 0.5
