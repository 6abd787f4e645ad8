"""What stands before every route, as plain ASGI: headers, a last resort for defects, the body limit.

None of them buffers, so a streamed request or response stays one.
"""

import logging

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

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, counting what it reads."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        detail = f"a body has at most {self.max_bytes} bytes"
        # the rest of the body is not read, so the connection cannot carry another request
        headers = {"connection": "close"}
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if announced.isdigit() and int(announced) > self.max_bytes:
            await problem_response(problem_of(413, "too_large", detail), headers)(scope, receive, send)
            return
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self.max_bytes:
                    raise HTTPException(413, detail, headers)
            return message

        await self.app(scope, receive_counted, send)


class OpenToPages:
    """Lets pages of any origin call one path: a widget stands on the shop's pages, and no cookie is involved."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self.app = app
        self.path = path
        self.opened = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["POST"],
            allow_headers=["content-type"],
            expose_headers=["retry-after"],
            max_age=86_400,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, through the CORS rules if it is for the open path."""
        opened = scope["type"] == "http" and scope["path"] == self.path
        await (self.opened if opened else self.app)(scope, receive, send)
