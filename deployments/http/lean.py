"""A short way for the one call that every client makes: what a crowd that connects asks costs a third of the long way.

Ordinary calls of one path are answered before the router of the application, its exception handlers and its
dependencies; whatever is not ordinary takes the usual way, which also documents the path. Both ways end in the same
method of the route, so they say the same, errors among them.
"""

from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.problems import error_response, store_error_response
from models.domain.errors import RaydeskError

#: Answers a request with this body, or returns None: it is not an ordinary one.
Answer = Callable[[Request, bytes], Awaitable[Response | None]]


class LeanWay:
    """Answers ordinary calls of one path.

    Args:
        app: takes all others.
        path: called with POST.
        answer: makes the response; may raise our own errors and those of the store.
    """

    def __init__(self, app: ASGIApp, path: str, answer: Answer) -> None:
        self.app = app
        self.path = path
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the call on as if its body had not been read."""
        # a body of unknown length may turn out too long halfway, which is for the usual way to tell
        if (
            scope["type"] != "http"
            or scope["path"] != self.path
            or scope["method"] != "POST"
            or not any(name == b"content-length" for name, _ in scope["headers"])
        ):
            await self.app(scope, receive, send)
            return
        read = await _read(receive)
        response = await self._response(Request(scope), read)
        if response is not None:
            await response(scope, receive, send)
            return

        async def read_again() -> Message:
            return read.pop(0) if read else await receive()

        await self.app(scope, read_again, send)

    async def _response(self, request: Request, read: list[Message]) -> Response | None:
        if read[-1]["type"] != "http.request":
            return None
        try:
            return await self.answer(request, b"".join([message.get("body", b"") for message in read]))
        except RaydeskError as error:
            return error_response(error)
        except RedisError:
            return store_error_response()


async def _read(receive: Receive) -> list[Message]:
    """Read a whole body, or until its sender is gone."""
    read = [await receive()]
    while read[-1]["type"] == "http.request" and read[-1].get("more_body", False):
        read.append(await receive())
    return read
