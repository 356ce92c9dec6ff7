"""When what failed is tried again: after waits that double, each thing by itself."""

import time
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class _Failure:
    first: float
    wait: float
    due: float


class Retries:
    """Remembers failures until they are forgotten, or the process ends.

    Args:
        first_wait: Seconds before the second try.
        longest_wait: Seconds that waits grow to.
    """

    def __init__(self, first_wait: float, longest_wait: float) -> None:
        self._first_wait, self._longest_wait = first_wait, longest_wait
        self._failures: dict[Hashable, _Failure] = {}

    def due(self, what: Hashable) -> bool:
        """Whether it may be tried now."""
        return what not in self._failures or time.monotonic() >= self._failures[what].due

    def failed(self, what: Hashable) -> float:
        """Note a failure; returns for how many seconds it has been failing."""
        now = time.monotonic()
        known = self._failures.get(what)
        wait = min(2 * known.wait, self._longest_wait) if known else self._first_wait
        first = known.first if known else now
        self._failures[what] = _Failure(first, wait, now + wait)
        return now - first

    def forget(self, what: Hashable) -> None:
        """It succeeded, or is given up."""
        self._failures.pop(what, None)
