"""Errors over HTTP: every one is a problem document (RFC 9457), whoever found it.

``code`` is what a program acts on, ``detail`` one plain sentence for people. Nothing that the caller
sent is repeated, apart from the names of fields: it may hold a secret.
"""

import math
from http import HTTPStatus
from typing import Any, cast

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from models.administration.changes import Outdated, plain, version_of
from models.domain.errors import InvalidField, RateLimited, RaydeskError, Unavailable, documented_errors

PROBLEM_TYPE = "application/problem+json"
_SHOWN_FIELDS = 10
_SHOWN_CHARS = 64
_CODES = {kind.http_status: kind.name for kind in documented_errors() if kind.http_status != HTTPStatus.CONFLICT} | {
    400: "malformed",
    405: "method_not_allowed",
    409: "conflict",
    415: "unsupported_media_type",
}
_DETAILS = {
    404: "there is nothing under this path",
    405: "this path does not take that method",
}


class FieldProblem(msgspec.Struct, frozen=True):
    """One field that is wrong: ``field`` is where it stands, as in ``body.inbox``."""

    field: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457).

    Args:
        type: always ``about:blank``; ``code`` tells the kinds apart.
        title: the name of the HTTP status.
        status: the HTTP status.
        code: what a program acts on.
        detail: one sentence for people.
        errors: the fields that are wrong, at most ten.
        current: of an entry that somebody else changed: what stands there now; absent when nothing does.
        version: of the same: its version; empty when nothing stands there.
    """

    title: str
    status: int
    code: str
    detail: str
    type: str = msgspec.field(default="about:blank")
    errors: tuple[FieldProblem, ...] = ()
    current: dict[str, Any] | None = None
    version: str | None = None


_PROBLEM_MEMBERS = msgspec.json.Encoder()


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Write a problem as a response, with what HTTP asks for beside it."""
    members = {"type": problem.type} | cast("dict[str, object]", msgspec.to_builtins(problem))
    response = Response(
        _PROBLEM_MEMBERS.encode(members), status_code=problem.status, headers=headers, media_type=PROBLEM_TYPE
    )
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers.setdefault("www-authenticate", "Bearer")
    return response


def problem_of(status: int, code: str, detail: str, errors: tuple[FieldProblem, ...] = ()) -> Problem:
    """Describe a problem by its status, its code and a sentence."""
    return Problem(title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, errors=errors)


def error_response(error: RaydeskError) -> Response:
    """Write one of our own errors as a response."""
    headers: dict[str, str] = {}
    if isinstance(error, (RateLimited, Unavailable)) and math.isfinite(error.retry_after_s):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    detail = error.detail or HTTPStatus(error.http_status).phrase
    wrong = (FieldProblem(field=error.field, detail=detail),) if isinstance(error, InvalidField) else ()
    problem = problem_of(error.http_status, error.name, detail, wrong)
    if isinstance(error, Outdated):
        problem = msgspec.structs.replace(problem, current=plain(error.current), version=version_of(error.current))
    return problem_response(problem, headers)


def internal_error() -> Response:
    """Write what a caller is told of a defect: that it is one."""
    return problem_response(problem_of(500, RaydeskError.name, "this is our fault; it has been noted"))


def store_error_response() -> Response:
    """Write what a caller is told while the store does not answer."""
    return error_response(Unavailable("the store does not answer", 1.0))


async def _on_raydesk_error(_: Request, error: Exception) -> Response:
    return error_response(cast("RaydeskError", error))


async def _on_store_error(_: Request, __: Exception) -> Response:
    return store_error_response()


async def _on_http_exception(_: Request, error: Exception) -> Response:
    found = cast("HTTPException", error)
    status = found.status_code
    phrase = HTTPStatus(status).phrase
    detail = _DETAILS.get(status, found.detail) if found.detail == phrase else found.detail
    code = _CODES.get(status, phrase.lower().replace(" ", "_"))
    return problem_response(problem_of(status, code, detail), dict(found.headers or {}))


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    findings = cast("RequestValidationError", error).errors()
    if any(finding["type"] == "json_invalid" for finding in findings):
        return problem_response(problem_of(400, "malformed", "the body is not JSON"))
    errors = tuple(
        FieldProblem(field=_place(finding["loc"]), detail=str(finding["msg"])) for finding in findings[:_SHOWN_FIELDS]
    )
    detail = f"{errors[0].field}: {errors[0].detail}" if errors else "the request is not what this path takes"
    return problem_response(problem_of(422, "bad_request", detail, errors))


def _place(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part)[:_SHOWN_CHARS] for part in location)


def install_problems(app: FastAPI) -> None:
    """Let ``app`` answer every error with a problem document."""
    app.add_exception_handler(RaydeskError, _on_raydesk_error)
    app.add_exception_handler(RedisError, _on_store_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
