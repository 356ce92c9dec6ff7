"""Processes agree over the network alone."""

import socket
from concurrent.futures import ThreadPoolExecutor

from fundusseg.xla.hosts import Hosts
from fundusseg.xla.strategy import SPMDStrategy


def test_one_process_asks_nobody():
    assert Hosts().gather("a") == ["a"]


def test_hosts_decide_alike_and_leave_nothing_behind():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]

    def ask(number: int) -> tuple[Hosts, list]:
        strategy = object.__new__(SPMDStrategy)  # its devices are not asked
        strategy.hosts = Hosts(number, 3, "localhost", port)
        told = number == 1
        said = [
            strategy.hosts.gather("x" * number),
            strategy.reduce_boolean_decision(told, all=False),
            strategy.reduce_boolean_decision(told),
            strategy.reduce_boolean_decision(False, all=False),
            strategy.reduce_boolean_decision(True),
            strategy.broadcast(f"runs/version_{number}"),
            strategy.barrier("run-stage"),
        ]
        return strategy.hosts, said

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(ask, range(3)))
    assert [said for _, said in answers] == [[["", "x", "xx"], True, False, False, True, "runs/version_0", None]] * 3
    assert answers[0][0]._store.num_keys() <= 1, "one may be the store's own"
