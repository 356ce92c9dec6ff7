"""How far a long run is: a bar with rate and time left, or a line a minute where the output goes to a file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

_SECONDS_BETWEEN_LINES = 60.0


class _Rate(ProgressColumn):
    """How many per second."""

    def render(self, task: Task) -> Text:
        """For example ``3.1 per second``."""
        return Text("" if task.speed is None else f"{task.speed:.1f} per second", style="progress.data.speed")


@contextmanager
def progress(total: int, done: int, console: Console, what: str = "photographs") -> Iterator[Callable[[], None]]:
    """Show the progress of a run.

    Args:
        total: How many, those of an earlier run included.
        done: By an earlier run.
        console: Where to print.
        what: What they are.

    Yields:
        What to call after each.
    """
    if not console.is_terminal:
        yield _lines(total, done, console, what)
        return
    columns = (
        TextColumn("{task.description}", markup=False),  # a dataset's name may hold brackets and braces
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what[:1].upper() + what[1:], total=total, completed=done)
        yield lambda: bar.advance(task)


def _lines(total: int, done: int, console: Console, what: str) -> Callable[[], None]:
    begun = said = time.monotonic()
    now = done

    def advance() -> None:
        nonlocal now, said
        now += 1
        clock = time.monotonic()
        if clock - said >= _SECONDS_BETWEEN_LINES:
            said = clock
            # Of this run alone: what an earlier one did took none of this clock.
            rate = (now - done) / (clock - begun)
            left = f"{rate:.1f} per second, {(total - now) / rate:.0f} s left"
            console.print(f"{now} of {total} {what}, {left}", soft_wrap=True, markup=False, highlight=False)

    return advance
