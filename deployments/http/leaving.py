"""Work for a client that may leave before it is done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

_Done = TypeVar("_Done")


class ClientLeft(Exception):
    """Nobody is there any more to be answered."""


async def unless_left(request: Request, work: Coroutine[Any, Any, _Done]) -> _Done:
    """Return what ``work`` gives; it is cancelled when the client closes its connection before.

    The body of the request must have been read: what comes after it is only its end.

    Raises:
        ClientLeft: the client closed its connection.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        # what was asked of others is taken back before this returns
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
