"""What the watch on compilations complains of, and what it sums up."""

from collections import Counter

import pytest

from fundusseg.xla import compile_monitor
from fundusseg.xla.compile_monitor import CompileMonitor


@pytest.mark.parametrize(
    ("epoch", "steps", "settled", "words"),
    [
        ({"compiled": 4}, 4, False, []),
        ({"compiled": 1}, 4, False, []),
        ({"compiled": 1}, 4, True, ["1 graphs compiled"]),
        ({"compiled": 20}, 20, False, ["20 graphs compiled in 20 steps", "shape"]),
        ({"aten::grid_sampler_2d": 3, "aten::sort": 0}, 4, False, ["aten::grid_sampler_2d", "3 times"]),
        ({"aten::_local_scalar_dense": 3}, 20, True, []),
        ({"aten::_local_scalar_dense": 20}, 20, False, ["20 waits"]),
    ],
)
def test_what_the_watch_complains_of(epoch, steps, settled, words):
    faults = " ".join(compile_monitor._faults(Counter(epoch), steps, settled))
    assert bool(faults) == bool(words) and all(word in faults for word in words)


def test_the_summary_adds_up():
    monitor = CompileMonitor()
    monitor.epochs = [
        Counter({"compiled": 3, "seconds": 2.5, "to_device": 4, "bytes_to_device": 2**20, "aten::sort": 2}),
        Counter({"aten::_local_scalar_dense": 7, "to_device": 1, "bytes_to_device": 2**19, "aten::sort": 2}),
    ]
    said = monitor.summary()
    assert "graphs compiled 3 0, in 2.5 s; waits for a number 0 7" in said
    assert "aten::sort 4 times" in said and "_local" not in said and "5 to the devices (1.5 MiB)" in said
