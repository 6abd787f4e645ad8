"""JSON-RPC 2.0 as values: a frame becomes calls, an outcome becomes a frame.

https://www.jsonrpc.org/specification. Nothing here opens a socket. A call's parameters stay encoded
until its method is known, and are then decoded into that method's own type.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from models.domain.errors import RaydeskError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

#: How many calls one batch frame may carry.
MAX_BATCH = 100

CallId = int | str | None
#: What decoding raises; the last one when thousands of arrays stand in each other.
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request, or a notification when it has no ``id``."""

    jsonrpc: Literal["2.0"]
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: CallId | msgspec.UnsetType = msgspec.UNSET


class _Result(msgspec.Struct, gc=False):
    id: CallId
    result: Any
    jsonrpc: str = "2.0"


class _Error(msgspec.Struct, omit_defaults=True):
    code: int
    message: str
    data: dict[str, Any] | None = None


class _Failure(msgspec.Struct):
    error: _Error
    id: CallId = None
    jsonrpc: str = "2.0"


class _AnyId(msgspec.Struct):
    id: CallId = None


class _Head(msgspec.Struct, gc=False):
    jsonrpc: Literal["2.0"]
    method: str
    id: CallId | msgspec.UnsetType = msgspec.UNSET


_encode = msgspec.json.Encoder().encode
_call = msgspec.json.Decoder(Call).decode
_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_any_id = msgspec.json.Decoder(_AnyId).decode
_head = msgspec.json.Decoder(_Head).decode


class ProtocolError(Exception):
    """A frame that is no valid call; ``response`` is what its sender must be told."""

    def __init__(self, response: bytes) -> None:
        super().__init__(response)
        self.response = response


def decode_call(frame: bytes | memoryview) -> Call:
    """Read one call.

    Raises:
        ProtocolError: it is not JSON, not UTF-8, or not a call.
    """
    try:
        return _call(frame)
    except msgspec.ValidationError as error:
        raise ProtocolError(failure(INVALID_REQUEST, f"not a JSON-RPC 2.0 call: {error}", _id_of(frame))) from None
    except _NOT_JSON as error:
        raise ProtocolError(failure(PARSE_ERROR, f"not JSON: {error}", None)) from None


def _id_of(frame: bytes | memoryview) -> CallId:
    """Find the id of a call that is wrong otherwise, so that its sender knows which one failed."""
    try:
        return _any_id(frame).id
    except _NOT_JSON:
        return None


def refuses(method: str, error: RaydeskError) -> Callable[[bytes], tuple[int, bytes] | None]:
    """Make what answers each call of ``method`` with the same error, at a tenth of what reading the call would cost.

    What it makes returns the id of a call and its answer, None for a frame that is not for it: another method, a
    notification, an id that is no number, or no call at all.
    """
    begin, _, end = failure_of(error, 0).rpartition(b'"id":0')

    def answer(frame: bytes) -> tuple[int, bytes] | None:
        try:
            head = _head(frame)
        except _NOT_JSON:
            return None
        if head.method != method or type(head.id) is not int:
            return None
        return head.id, b'%b"id":%d%b' % (begin, head.id, end)

    return answer


def is_batch(frame: bytes | memoryview) -> bool:
    """Tell whether a frame is an array of calls."""
    return bytes(frame[:32]).lstrip()[:1] == b"["


def split_batch(frame: bytes | memoryview) -> list[bytes]:
    """Return the calls of a batch, each still encoded.

    Raises:
        ProtocolError: it is not JSON, empty, or longer than ``MAX_BATCH``.
    """
    try:
        calls = _batch(frame)
    except _NOT_JSON as error:
        raise ProtocolError(failure(PARSE_ERROR, f"not JSON: {error}", None)) from None
    if not 0 < len(calls) <= MAX_BATCH:
        raise ProtocolError(failure(INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} calls, not {len(calls)}", None))
    return [bytes(call) for call in calls]


def count_calls(frame: bytes) -> int:
    """Return how many calls a frame carries; one that cannot be read counts as one."""
    if not is_batch(frame):
        return 1
    try:
        return max(1, len(_batch(frame)))
    except _NOT_JSON:
        return 1


def success(result: Any, call_id: CallId) -> bytes:
    """Write the answer to a call that did what it was asked."""
    return _encode(_Result(call_id, result))


def failure(code: int, message: str, call_id: CallId, data: dict[str, Any] | None = None) -> bytes:
    """Write the answer to a call that did not."""
    return _encode(_Failure(_Error(code, message, data), call_id))


def failure_of(error: RaydeskError, call_id: CallId) -> bytes:
    """Write the answer to a call that ended in one of our errors."""
    data: dict[str, Any] = {"name": error.name}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        data["retry_after_s"] = retry_after_s
    return failure(error.rpc_code, error.detail, call_id, data)


def notification(method: str, params: bytes) -> bytes:
    """Write a notification whose parameters are JSON already."""
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params)


def events_frame(cursor: int, events: bytes) -> bytes:
    """Write the events of one entry of a desk's log; ``events`` is a JSON array."""
    return b'{"jsonrpc":"2.0","method":"event","params":{"cursor":%d,"events":%b}}' % (cursor, events)


def live_frame(events: bytes) -> bytes:
    """Write events that move no cursor (typing, and a visitor's messages, whose ids are the cursor)."""
    return b'{"jsonrpc":"2.0","method":"event","params":{"events":%b}}' % events
