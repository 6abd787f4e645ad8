"""What stands before every route, as plain ASGI: headers, a last resort for defects, the body limit.

None of them buffers, so a streamed request or response stays one.
"""

import logging
from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.problems import internal_error, problem_of, problem_response

log = logging.getLogger(__name__)
#: As ASGI writes them: names in lower case, which those of a response are as well.
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]


class SecurityHeaders:
    """Adds what browsers must be told to each response that does not say it itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, with headers added to its response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = [name for name, _ in message["headers"]]
                message["headers"] = [*message["headers"], *(header for header in _HEADERS if header[0] not in said)]
            await send(message)

        await self.app(scope, receive, send_with_headers)


class LastResort:
    """Notes a defect in the log and answers 500, if nothing was answered yet."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on and catch what nobody caught; cancellation passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_watched)
        except Exception:  # the edge of the process: nobody above can do better
            if started:
                raise
            log.exception("%s %r failed", scope["method"], scope["path"])
            await internal_error()(scope, receive, send)


class BodyLimit:
    """Refuses a body over its limit: by its announced length at once, else at the byte that is too many."""

    def __init__(self, app: ASGIApp, max_bytes: int, larger: Mapping[str, int] | None = None) -> None:
        """Stand before ``app``.

        Args:
            app: what comes behind.
            max_bytes: of a body.
            larger: path -> the same, where it is another number.
        """
        self.app = app
        self.max_bytes = max_bytes
        self.larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, counting what it reads."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        max_bytes = self.larger.get(scope["path"], self.max_bytes)
        detail = f"a body has at most {max_bytes} bytes"
        # the rest of the body is not read, so the connection cannot carry another request
        headers = {"connection": "close"}
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if announced.isdigit() and int(announced) > max_bytes:
            await problem_response(problem_of(413, "too_large", detail), headers)(scope, receive, send)
            return
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > max_bytes:
                    raise HTTPException(413, detail, headers)
            return message

        await self.app(scope, receive_counted, send)


class OpenToPages:
    """Lets pages of any origin call some paths: a widget stands on the shop's pages, and no cookie is involved."""

    def __init__(self, app: ASGIApp, paths: Sequence[str]) -> None:
        """Stand before ``app``; a path that ends with a slash stands for all below it."""
        self.app = app
        self.paths = frozenset(path for path in paths if not path.endswith("/"))
        self.below = tuple(path for path in paths if path.endswith("/"))
        self.opened = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-file-name"],
            expose_headers=["retry-after"],
            max_age=86_400,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, through the CORS rules if it is for the open path."""
        opened = scope["type"] == "http" and self._is_open(scope["path"])
        await (self.opened if opened else self.app)(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self.paths or path.startswith(self.below)
