"""Bodies over HTTP: what a name or an id may look like, and how a body is read and written."""

import re
from typing import Annotated, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from models.domain.errors import BadRequest

JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"
MAX_ID_CHARS = 256
NO_CONTROL = r"^[^\u0000-\u001f\u007f]+(?![\s\S])"
"""No control character, not even a line feed at the end, where ``$`` would allow one."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_T = TypeVar("_T")


def is_text(value: str) -> str:
    """Refuse half a character: JSON can escape a lone surrogate, which no UTF-8 can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("not valid Unicode") from None
    return value


def is_plain(value: str) -> str:
    """Refuse control characters, and what is no Unicode."""
    if _CONTROL.search(value):
        raise ValueError("must not hold control characters")
    return is_text(value)


Text = Annotated[str, AfterValidator(is_text)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(is_plain)]
Short = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(is_plain)]
Token = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(is_plain)]
WireId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS, pattern=NO_CONTROL)]


class Body(BaseModel):
    """A request body: closed to unknown fields, and silent about what it was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def decode(decoder: "msgspec.json.Decoder[_T]", data: bytes) -> _T:
    """Decode JSON that must have the form of a type.

    Raises:
        HTTPException: 400, it is no JSON or no UTF-8.
        BadRequest: it is JSON of another form.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HTTPException(400, "the body is not JSON in UTF-8") from None


def media_type(request: Request, *allowed: str) -> str:
    """Return the content type of a request, without its parameters.

    Raises:
        HTTPException: 415, it is not among ``allowed``.
    """
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in allowed:
        raise HTTPException(415, f"the content type must be {' or '.join(allowed)}")
    return found


def json_response(data: bytes, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON that is encoded already."""
    return Response(data, headers=headers, media_type=JSON_TYPE)
