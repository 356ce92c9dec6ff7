"""Several processes that agree on small things: on the hosts' own network, without their devices.

A training over several TPU hosts is one program, which all must reach together. What each host decides by itself would
part them: that it was told to stop, or which folder is the next free one. Metrics are not theirs to exchange (every
host has those of the whole), so this is no torch.distributed process group, over which torchmetrics would add them up.
"""

import json
from datetime import timedelta
from typing import Any

WAIT = timedelta(minutes=30)
"""How long one process waits for the others: a first compilation takes minutes."""


class Hosts:
    """The processes of one run. All must ask the same questions in the same order.

    Args:
        number: Of this one, from 0.
        count: Of all.
        address: Of process 0.
        port: That process 0 opens, where there are others.

    Attributes:
        number: Of this one.
        count: Of all.
    """

    def __init__(self, number: int = 0, count: int = 1, address: str = "localhost", port: int = 0) -> None:
        self.number, self.count = number, count
        self._store: Any = None
        self._round = 0
        if count > 1:
            from torch.distributed import TCPStore  # type: ignore[attr-defined]  # not in every build of torch

            self._store = TCPStore(address, port, count, number == 0, WAIT)

    def gather(self, value: Any) -> list[Any]:
        """What each process says, in their order: numbers, text, lists or nothing; waits for all of them."""
        if self._store is None:
            return [value]
        # Keys of the round, so that a fast process cannot overwrite what a slow one has not read.
        store, self._round = self._store, self._round + 1
        store.set(f"{self._round}/{self.number}", json.dumps(value, default=str))
        said = [json.loads(store.get(f"{self._round}/{number}")) for number in range(self.count)]
        if self.number:
            store.set(f"read/{self.number}", "")
        else:  # the store is this process's: it goes on, or ends, when all have read
            for number in range(1, self.count):
                store.get(f"read/{number}")
                store.delete_key(f"read/{number}")
            for number in range(self.count):
                store.delete_key(f"{self._round}/{number}")
        return said
