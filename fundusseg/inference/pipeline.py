"""Read ahead and write behind one worker: decoding and encoding run in threads beside the network."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Raw = TypeVar("Raw")
Worked = TypeVar("Worked")
Result = TypeVar("Result")


def pipeline(
    items: Iterable[Item],
    read: Callable[[Item], Raw],
    work: Callable[[Item, Raw], Worked],
    write: Callable[[Item, Worked], Result],
    workers: int = 1,
) -> Iterator[tuple[Item, Future[Result]]]:
    """Take items through three stages, in order; what one item raises is its own result.

    Pillow and OpenCV let go of Python's lock while they code, so that threads suffice. At most 2 x workers + 1 items
    are in hand at any time, which bounds the memory.

    Args:
        items: What to do.
        read: First stage, in threads.
        work: Second stage, in the caller's thread, one item after the other.
        write: Third stage, in threads.
        workers: Threads of the first stage, and of the third.

    Yields:
        Each item in order with its done future, which holds the third stage's result or what any stage raised.
    """
    with ThreadPoolExecutor(workers, "read") as readers, ThreadPoolExecutor(workers, "write") as writers:
        source = iter(items)
        reading = deque((item, readers.submit(read, item)) for item in islice(source, workers))
        writing: deque[tuple[Item, Future[Result]]] = deque()
        while reading:
            item, raw = reading.popleft()
            reading.extend((after, readers.submit(read, after)) for after in islice(source, 1))
            try:
                writing.append((item, writers.submit(write, item, work(item, raw.result()))))
            except Exception as error:  # whatever is wrong with one item, the others are done
                failed: Future[Result] = Future()
                failed.set_exception(error)
                writing.append((item, failed))
            del raw  # holds a picture
            while len(writing) > workers:
                yield _done(*writing.popleft())
        while writing:
            yield _done(*writing.popleft())


def side_by_side(
    items: Iterable[Item], do: Callable[[Item], Result], threads: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Take items through one function, several at the same time, in order; what one raises is its own result.

    Args:
        items: What to do.
        do: All that is done with one.
        threads: Items that are in hand at any time.

    Yields:
        Each item in order with its done future.
    """
    with ThreadPoolExecutor(threads, "photograph") as pool:
        source = iter(items)
        begun = deque((item, pool.submit(do, item)) for item in islice(source, threads))
        while begun:
            yield _done(*begun.popleft())
            begun.extend((item, pool.submit(do, item)) for item in islice(source, 1))


def _done(item: Item, future: Future[Result]) -> tuple[Item, Future[Result]]:
    future.exception()  # waits
    return item, future
