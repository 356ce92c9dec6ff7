"""Work for a client who may leave before it is done."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

Result = TypeVar("Result")


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """Wait for work, or for the client to hang up: then the work is cancelled, before its turn if it has not come.

    Args:
        request: Whose body was read to its end.
        work: What the answer needs.

    Raises:
        ClientLeft: The client hung up.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientLeft
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def though_gone(call: Callable[..., Result], *values: Any) -> Result:
    """Call in a thread, to its end though the client hangs up: a row half written would leave its lock behind."""
    return await asyncio.shield(run_in_threadpool(call, *values))


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
