"""The OpenRPC documents of the desk's socket, the visitor's socket and ``POST /rpc``, made from the types.

https://spec.open-rpc.org. A name of a method is unique in a document, and some names mean something else
at another door, so each door has a document of its own. What the server pushes stands under
``x-notifications``, since OpenRPC has no word for it.
"""

from typing import Any

from models.domain.errors import RaydeskError, documented_errors
from models.protocol import jsonrpc
from models.protocol.described import Field, closure, fields_of, prose, references, schemas
from models.protocol.events import DESK_EVENTS, VISITOR_EVENTS
from models.protocol.methods import Door, Method, methods_at
from models.protocol.results import DeskSnapshot, VisitOpened

VERSION = "1"
#: Errors that any call can end in.
EVERYWHERE = ("bad_request", "unauthorized", "rate_limited", "internal_error")
DOORS: dict[Door, str] = {
    "desk": "The socket of a desk: `/desk` at a gateway.",
    "visitor": "The socket of a visitor: `/visitor` at a gateway.",
    "http": "`POST /rpc` at the ingress: the methods of a desk that need no socket.",
}
#: What a frame or body meets that is no call of a known method with parameters of the right form.
STANDARD_CODES: dict[int, str] = {
    jsonrpc.PARSE_ERROR: "The frame is not JSON in UTF-8.",
    jsonrpc.INVALID_REQUEST: "It is not a JSON-RPC 2.0 call, or a batch that is empty or too long.",
    jsonrpc.METHOD_NOT_FOUND: "No such method here.",
    jsonrpc.INVALID_PARAMS: "A parameter is missing, unknown, of the wrong type or too long.",
    jsonrpc.INTERNAL_ERROR: "A mistake of ours.",
}


def openrpc_document(door: Door) -> dict[str, Any]:
    """Return the document of one door as plain values."""
    components = schemas()
    methods = [_method(method, components) for method in methods_at(door).values()]
    pushed = _notifications(door)
    used = [*references(methods), *references(pushed)]
    return {
        "openrpc": "1.3.2",
        "info": {"title": f"raydesk: {door}", "version": VERSION, "description": DOORS[door]},
        "methods": methods,
        "x-notifications": pushed,
        "components": {
            "schemas": closure(used, components),
            "errors": {
                error.name: {"code": error.rpc_code, "message": prose(error.__doc__ or "")}
                for error in [*documented_errors(), RaydeskError]
            },
        },
    }


def errors_of(method: Method) -> tuple[str, ...]:
    """Name every error that a method can end in."""
    return (*method.errors, *(name for name in EVERYWHERE if name not in method.errors))


def _method(method: Method, components: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": [_param(field) for field in fields_of(components[method.params.__name__])],
        "result": {"name": "result", "schema": _result(method)},
        "errors": [{"$ref": f"#/components/errors/{name}"} for name in errors_of(method)],
    }


def _param(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "description": field.meaning,
        "required": field.required,
        "schema": field.schema,
    }


def _result(method: Method) -> dict[str, Any]:
    if method.result == dict[str, Any]:
        return {"type": "object"}
    return {"$ref": f"#/components/schemas/{method.result.__name__}"}


def _notifications(door: Door) -> list[dict[str, Any]]:
    if door == "http":
        return []
    events = DESK_EVENTS if door == "desk" else VISITOR_EVENTS
    kinds = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in events]
    params = [{"name": "events", "required": True, "schema": {"type": "array", "items": {"oneOf": kinds}}}]
    if door == "visitor":
        afresh = {"$ref": f"#/components/schemas/{VisitOpened.__name__}"}
        return [{"name": "event", "params": params}, {"name": "visit.snapshot", "x-params": afresh}]
    cursor = {
        "name": "cursor",
        "description": "The number of this entry in the agent's log; absent for what is not kept (typing).",
        "required": False,
        "schema": {"type": "integer", "minimum": 1},
    }
    snapshot = {"$ref": f"#/components/schemas/{DeskSnapshot.__name__}"}
    return [
        {"name": "event", "params": [cursor, *params]},
        {"name": "desk.snapshot", "x-params": snapshot},
    ]
