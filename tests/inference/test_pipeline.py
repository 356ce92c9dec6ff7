import threading
import time

import pytest

from fundusseg.inference.pipeline import pipeline


def test_items_come_out_in_order_whatever_takes_long():
    def read(item):
        time.sleep(0.01 * (item % 3))
        return item * 10

    out = list(pipeline(range(20), read, lambda item, raw: raw + item, lambda item, found: str(found), workers=4))
    assert [(item, future.result()) for item, future in out] == [(n, str(11 * n)) for n in range(20)]


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_what_one_item_raises_is_its_own(stage):
    def broken(place):
        def function(item, *_):
            if item == 2 and place == stage:
                raise OSError("bad disk")
            return item

        return function

    out = list(pipeline(range(5), *map(broken, range(3)), workers=2))
    assert [item for item, _ in out] == list(range(5))
    assert [str(future.exception()) for _, future in out] == ["None", "None", "bad disk", "None", "None"]


@pytest.mark.parametrize("workers", [1, 3])
def test_few_items_are_in_hand(workers):
    taken, most, lock, done = 0, 0, threading.Lock(), 0

    def items():
        nonlocal taken, most
        for number in range(40):
            with lock:
                taken += 1
                most = max(most, taken - done)
            yield number

    def write(item, found):
        time.sleep(0.002)

    for _ in pipeline(items(), lambda item: item, lambda item, raw: raw, write, workers):
        done += 1
    assert taken == 40 and most <= 2 * workers + 2


def test_the_middle_stage_stays_in_the_callers_thread():
    out = pipeline(
        range(4), lambda n: threading.get_ident(), lambda n, raw: (raw, threading.get_ident()), lambda n, f: f
    )
    threads = [future.result() for _, future in out]
    assert {worker for _, worker in threads} == {threading.get_ident()}
    assert threading.get_ident() not in {reader for reader, _ in threads}


def test_nothing_to_do():
    assert list(pipeline([], str, lambda item, raw: raw, lambda item, found: found)) == []
