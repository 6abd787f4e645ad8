"""Every error that a caller can meet, with one code each for JSON-RPC and HTTP.

::

    RaydeskError
    ├── BadRequest            -32602 / 422   a parameter is missing, of the wrong type or too long
    │   ├── InvalidId                        an id that has not the form of one
    │   └── InvalidField                     one field of what was handed in, by its place
    ├── Unauthorized          -32010 / 401   no token, a forged one, or an expired one
    ├── Forbidden             -32011 / 403   the role or the ownership does not allow it
    ├── NotFound              -32012 / 404   no such conversation, inbox, agent
    ├── Conflict              -32013 / 409   the conversation is not in a state that allows it
    ├── CursorAhead           -32014 / 409   a cursor that this log has not reached
    ├── RateLimited           -32020 / 429   too many calls; retry after ``retry_after_s``
    ├── TooLarge              -32021 / 413   a body, frame or text over its limit
    └── Unavailable           -32030 / 503   not known to be stored: send it again with the same client id
        ├── Overloaded                       the queue in front of a router is full
        └── StaleEpoch                       this owner was superseded; another one answers
"""


class RaydeskError(Exception):
    """An error with a code that a caller may act on; crosses Ray, so its arguments are positional."""

    name = "internal_error"
    rpc_code = -32603
    http_status = 500

    def __init__(self, detail: str = "", *more: object) -> None:
        """Keep ``detail``, one plain sentence for the caller."""
        super().__init__(detail, *more)
        self.detail = detail

    def __str__(self) -> str:
        """Return the sentence for the caller."""
        return self.detail


class BadRequest(RaydeskError):
    """A parameter is missing, of the wrong type, or too long."""

    name, rpc_code, http_status = "bad_request", -32602, 422


class InvalidId(BadRequest):
    """A text that has not the form of the id it should be."""

    def __init__(self, kind: str, found: str) -> None:
        """Name the ``kind`` of id expected and what was ``found``."""
        super().__init__(f"not a {kind} id: {found[:64]!r}")
        self.args = (kind, found)


class InvalidField(BadRequest):
    """A field of what was handed in is not allowed."""

    def __init__(self, detail: str, field: str) -> None:
        """Say what is wrong, and where: ``field`` is its place, as in ``week.0.1.closes``."""
        super().__init__(detail, field)
        self.field = field


class Unauthorized(RaydeskError):
    """No token, a forged one, or an expired one."""

    name, rpc_code, http_status = "unauthorized", -32010, 401


class Forbidden(RaydeskError):
    """The caller's role, or who owns the thing, does not allow it."""

    name, rpc_code, http_status = "forbidden", -32011, 403


class NotFound(RaydeskError):
    """No such conversation, inbox, agent or method."""

    name, rpc_code, http_status = "not_found", -32012, 404


class Conflict(RaydeskError):
    """The thing is not in a state that allows this."""

    name, rpc_code, http_status = "conflict", -32013, 409


class CursorAhead(RaydeskError):
    """A cursor that this log has not reached: forged, or from another store."""

    name, rpc_code, http_status = "cursor_ahead", -32014, 409


class RateLimited(RaydeskError):
    """Too many calls from this socket, key or address."""

    name, rpc_code, http_status = "rate_limited", -32020, 429

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        """Tell after how many seconds a retry may succeed."""
        super().__init__(detail, retry_after_s)
        self.retry_after_s = retry_after_s


class TooLarge(RaydeskError):
    """A body, frame or text over its limit."""

    name, rpc_code, http_status = "too_large", -32021, 413


class Unavailable(RaydeskError):
    """Not known to be stored: send it again with the same client id."""

    name, rpc_code, http_status = "unavailable", -32030, 503

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        """Tell after how many seconds a retry may succeed."""
        super().__init__(detail, retry_after_s)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """The bounded queue in front of a router is full; refused at once, nothing accepted is shed."""


class StaleEpoch(Unavailable):
    """This owner of a shard was superseded by a newer epoch and must not write."""


_BY_NAME: dict[str, type[RaydeskError]] = {
    kind.name: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        CursorAhead,
        RateLimited,
        TooLarge,
        Unavailable,
    )
}


def error_named(name: str, detail: str) -> RaydeskError:
    """Rebuild the error that a ``Refusal`` carried across a process."""
    return _BY_NAME.get(name, RaydeskError)(detail)


def documented_errors() -> list[type[RaydeskError]]:
    """List every error with its codes, for the protocol documents."""
    return list(_BY_NAME.values())
