"""The OpenRPC document of the sockets and of ``POST /rpc``, made from the types of `models.protocol.methods`.

https://spec.open-rpc.org
"""

from typing import Any

import msgspec

from models.domain.errors import RaydeskError, documented_errors
from models.protocol import jsonrpc
from models.protocol.methods import METHODS, Method

VERSION = "1"
_REFERENCE = "#/components/schemas/{name}"
#: Errors that any call can end in.
EVERYWHERE = ("rate_limited", "internal_error")


def openrpc_document() -> dict[str, Any]:
    """Return the document as plain values."""
    types = [method.params for method in METHODS] + [method.result for method in METHODS]
    _, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "raydesk",
            "version": VERSION,
            "description": "Desk and visitor sockets, and POST /rpc. See docs/protocol.md.",
        },
        "methods": [_method(method) for method in METHODS],
        "components": {
            "schemas": components,
            "errors": {
                error.name: {"code": error.rpc_code, "message": _sentence(error)}
                for error in [*documented_errors(), RaydeskError]
            },
        },
    }


def describe(method: Method) -> str:
    """Return the first sentence of what a method is for."""
    return _sentence(method.params)


def fields_of(params: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each field of a type, with ``required`` told apart."""
    schema, components = msgspec.json.schema_components([params], ref_template="{name}")
    own = components[schema[0]["$ref"]]
    required = own.get("required", [])
    return {name: field | {"required": name in required} for name, field in own.get("properties", {}).items()}


def _method(method: Method) -> dict[str, Any]:
    (result,), _ = msgspec.json.schema_components([method.result], ref_template=_REFERENCE)
    return {
        # the same name means something else on the two kinds of socket, so OpenRPC needs it told apart
        "name": method.name,
        "summary": describe(method),
        "tags": [{"name": where} for where in method.where] + ([{"name": "http"}] if method.http else []),
        "paramStructure": "by-name",
        "params": [
            {"name": name, "required": field["required"], "schema": {k: v for k, v in field.items() if k != "required"}}
            for name, field in fields_of(method.params).items()
        ],
        "result": {"name": "result", "schema": result},
        "errors": [
            {"$ref": f"#/components/errors/{name}"} for name in (*method.errors, *EVERYWHERE)
        ],
    }


def _sentence(documented: type) -> str:
    return (documented.__doc__ or "").strip().partition("\n")[0]


STANDARD_CODES: dict[int, str] = {
    jsonrpc.PARSE_ERROR: "the frame is not JSON",
    jsonrpc.INVALID_REQUEST: "the frame is not a JSON-RPC 2.0 call",
    jsonrpc.METHOD_NOT_FOUND: "no such method on this kind of socket",
    jsonrpc.INVALID_PARAMS: "a parameter is missing, unknown, or of the wrong type",
    jsonrpc.INTERNAL_ERROR: "a mistake of ours",
}
