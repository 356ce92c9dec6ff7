"""Pictures of several threads share batches, on a GPU or a TPU; each gets its own back."""

import io
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import torch

from fundusseg.inference.gathered_batches import GatheredBatches
from tests.support.virtual import on_devices


def numbered(number: int, count: int) -> torch.Tensor:
    return torch.full((count, 3, 4, 4), number, dtype=torch.uint8)


def test_calls_that_come_while_one_is_computed_go_together_and_get_their_own_back():
    sizes, arrived = [], threading.Event()

    def compute(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(int((pixels[:, 0, 0, 0] > 0).sum()))
        assert len(pixels) == 8
        arrived.wait(10)
        return pixels[:, :1].float() * 2

    gathered = GatheredBatches(compute, 8)
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(gathered, numbered(number, 4)) for number in range(1, 6)]
        while len(gathered._waiting) < 4:
            pass
        arrived.set()
        for number, call in enumerate(calls, start=1):
            assert call.result().shape == (4, 1, 4, 4) and (call.result() == 2 * number).all()
    assert sizes == [4, 8, 8], "the first alone, the others by twos"


def test_more_pictures_than_a_batch_are_divided():
    gathered = GatheredBatches(lambda pixels: pixels[:, :1].float(), 4)
    found = gathered(torch.cat([numbered(number, 1) for number in range(11)]))
    assert found[:, 0, 0, 0].tolist() == list(range(11))


def test_what_a_device_raises_is_each_callers_to_know():
    def compute(pixels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory")

    gathered = GatheredBatches(compute, 8)
    with ThreadPoolExecutor(3) as pool:
        for call in [pool.submit(gathered, numbered(1, 2)) for _ in range(3)]:
            with pytest.raises(RuntimeError, match="out of memory"):
                call.result(10)


@on_devices
@pytest.mark.slow
def test_eight_devices_find_what_the_cpu_finds_by_one_program(tmp_path):
    virtual = {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": "8"}
    command = [sys.executable, "-m", "tests.support.xla_predict", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **virtual}, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    said = json.loads(run.stdout.splitlines()[-1])
    assert said["codes"] == [0] * 5 and said["devices"] == said["size"] == 8 and said["at_once"] == 4
    assert said["compiled"] == 1 and said["compiled again"] <= 1 and not said["on the host"]
    assert said["apart"] < 1e-4 and said["same rows"]
    scores = [pd.read_csv(io.StringIO(text)).select_dtypes("number") for text in said["scores"]]
    pd.testing.assert_frame_equal(*scores, atol=0.02)
    assert said["found"] > 0 and said["differing"] == 0, "no pixel of these lies on its threshold"
