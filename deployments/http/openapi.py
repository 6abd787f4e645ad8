"""The OpenAPI document: FastAPI's own, with the types of the wire and the ways to prove who one is."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from deployments.http.bodies import JSON_TYPE
from deployments.http.problems import PROBLEM_TYPE, Problem

_REF = "#/components/schemas/{name}"
_SCHEMES = {
    "agentToken": {"type": "http", "scheme": "bearer", "description": "Token of `POST /v1/login`."},
    "visitorToken": {"type": "http", "scheme": "bearer", "description": "A visitor's token, of `POST /v1/connect`."},
    "apiKey": {"type": "http", "scheme": "bearer", "description": "API key of an account: `rdk_...`."},
}
_DESCRIPTION = """The customer-service engine raydesk.

Every error is a problem document (RFC 9457); act on its `code`. After 429 and 503 wait for `Retry-After`
seconds and send the same again: a message is taken once by its inbox and `source_id`.

Sockets are not part of this document: `POST /v1/connect` tells where they are, `/openrpc/desk.json` and
`/openrpc/visitor.json` what they speak.
"""


def content_of(kind: type, media_type: str = JSON_TYPE, description: str = "") -> dict[str, Any]:
    """Describe a body by a msgspec type."""
    schema = {"$ref": _REF.format(name=kind.__name__)}
    return {media_type: {"schema": schema | ({"description": description} if description else {})}}


def answers(kind: type) -> dict[int | str, dict[str, Any]]:
    """Describe the successful answer of a route by a msgspec type."""
    return {200: {"description": (kind.__doc__ or "").partition("\n")[0], "content": content_of(kind)}}


def openapi_builder(app: FastAPI, kinds: Sequence[type]) -> Callable[[], dict[str, Any]]:
    """Return what makes the document of ``app``, once; ``kinds`` are the msgspec types that its routes name."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, kinds)
        return app.openapi_schema

    return build


def _document(app: FastAPI, kinds: Sequence[type]) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    for operations in document["paths"].values():
        for operation in operations.values():
            # FastAPI describes its own form of a validation error, which is never sent
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "What went wrong.",
                "content": {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
            }
    _, components = msgspec.json.schema_components((Problem, *kinds), ref_template=_REF)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(components)
    document["components"]["securitySchemes"] = _SCHEMES
    return document
