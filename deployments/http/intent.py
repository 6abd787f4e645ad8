"""``POST /v1/intent``: what the intent model understands of a text, or of many; nothing is stored."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cluster.settings import Settings
from deployments.http.bodies import JSON_TYPE, decode, json_response, media_type
from deployments.http.callers import Callers
from deployments.http.leaving import ClientLeft, unless_left
from deployments.http.openapi import content_of
from deployments.http.parts import IngressParts
from deployments.intent_client import IntentPort
from models.domain.errors import BadRequest, RaydeskError, TooLarge, Unavailable
from models.intent.taxonomy import Taxonomy
from models.intent.text import normalise
from models.intent.understanding import Understanding

MAX_TEXTS = 1_000
_START = 64
#: What servers note for a request whose client closed the connection; it reaches nobody.
_LEFT = 499


class IntentQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `text`, or many `texts`; not both.

    Args:
        text: what a contact wrote.
        texts: what contacts wrote; each is understood by itself.
    """

    text: str | msgspec.UnsetType = msgspec.UNSET
    texts: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_TEXTS)] | msgspec.UnsetType = msgspec.UNSET


class IntentName(msgspec.Struct, frozen=True, kw_only=True):
    """What people call an intent."""

    zh: str
    en: str


class IntentCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """An intent and its calibrated probability, 0 to 1."""

    intent: str
    confidence: float


class IntentRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a text of a list has no answer: a code to act on and a sentence for people."""

    code: str
    detail: str


class IntentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is understood of a text.

    Args:
        intent: the likeliest intent.
        name: what people call it.
        confidence: its calibrated probability, 0 to 1.
        sure: it is in scope, and sure enough for the bot to answer.
        candidates: the three likeliest, `intent` first.
    """

    intent: str
    name: IntentName
    confidence: float
    sure: bool
    candidates: list[IntentCandidate]


class IntentResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is understood of a text of a list: the members of an `IntentAnswer`, or `error`."""

    intent: str | None = None
    name: IntentName | None = None
    confidence: float | None = None
    sure: bool | None = None
    candidates: list[IntentCandidate] | None = None
    error: IntentRefusal | None = None


class IntentResults(msgspec.Struct, frozen=True, kw_only=True):
    """What is understood of each text, in their order."""

    results: list[IntentResult]


INTENT_TYPES = (IntentQuestion, IntentAnswer, IntentResults)
_question = msgspec.json.Decoder(IntentQuestion)
_encode = msgspec.json.Encoder().encode
_DOCUMENTED: dict[str, Any] = {
    "requestBody": {"required": True, "content": content_of(IntentQuestion)},
    "responses": {
        "200": {
            "description": "What is understood of the text, or of each text of a list.",
            "content": {
                JSON_TYPE: {
                    "schema": {
                        "oneOf": [
                            {"$ref": f"#/components/schemas/{kind.__name__}"} for kind in (IntentAnswer, IntentResults)
                        ]
                    }
                }
            },
        }
    },
    "security": [{"apiKey": []}, {"agentToken": []}],
}


class IntentRoutes:
    """The route that asks the intent model."""

    def __init__(self, parts: IngressParts, callers: Callers) -> None:
        self._settings = parts.settings
        self._intent = parts.intent
        self._callers = callers
        self.router = APIRouter(tags=["intent"])
        self.router.add_api_route(
            "/v1/intent", self.understand, methods=["POST"], response_class=Response, openapi_extra=_DOCUMENTED
        )

    async def understand(self, request: Request) -> Response:
        """Tell what one text asks for, or each of many.

        Of a list, a text that is empty or too long, or that the model did not come to in time, has an `error` in
        its place; the others have their answers. Each text counts for the rate limit.
        """
        caller = await self._callers.key_or_agent(request)
        media_type(request, JSON_TYPE)
        question = decode(_question, await request.body())
        if isinstance(question.text, str) == isinstance(question.texts, list):
            raise BadRequest("a question has either text or texts")
        texts = [question.text] if isinstance(question.text, str) else list(question.texts or ())
        self._callers.charge(caller, len(texts))
        if self._intent is None:
            raise Unavailable("this system runs without an intent model (intent.enabled)", float("inf"))
        try:
            found = await unless_left(request, _Asked(self._intent, self._settings).all(texts))
        except ClientLeft:
            return Response(status_code=_LEFT)
        if isinstance(question.text, str) and isinstance(found[0], RaydeskError):
            raise found[0]
        taxonomy = await self._intent.taxonomy()
        if isinstance(question.text, str):
            return json_response(_encode(_answer(found[0], taxonomy)))
        return json_response(_encode(IntentResults(results=[_result(each, taxonomy) for each in found])))


class _Asked:
    """The texts of one body on their way through the model; each has an answer or an error."""

    def __init__(self, intent: IntentPort, settings: Settings) -> None:
        self._intent = intent
        self._limit = settings.limits.text_bytes
        self._wait_ms = settings.intent.wait_ms

    async def all(self, texts: list[str]) -> list[Understanding | RaydeskError]:
        """Return what became of each text.

        Raises:
            TooLarge, Overloaded, Unavailable: the model cannot be asked about so many, or not now.
        """
        refusals = [self._refusal(text) for text in texts]
        good = [text for text, refusal in zip(texts, refusals, strict=True) if refusal is None]
        understood = iter(await self._intent.understand(good, self._wait_ms) if good else [])
        return [refusal or next(understood) or self._no_answer() for refusal in refusals]

    def _refusal(self, text: str) -> RaydeskError | None:
        if len(text) > self._limit or len(text.encode()) > self._limit:
            return TooLarge(f"a text has at most {self._limit} bytes")
        if _is_blank(text):
            return BadRequest("a text has at least one character that can be seen")
        return None

    def _no_answer(self) -> RaydeskError:
        return Unavailable(f"the intent model had no answer to this text within {self._wait_ms} ms", 1.0)


def _is_blank(text: str) -> bool:
    """Tell whether nothing of a text can be seen; nearly all show at their start that something can."""
    return not any(map(str.isalnum, text[:_START])) and not normalise(text)


def _answer(understood: Understanding, taxonomy: Taxonomy) -> IntentAnswer:
    intent = taxonomy[understood.intent]
    return IntentAnswer(
        intent=intent.name,
        name=IntentName(zh=intent.zh, en=intent.en),
        confidence=understood.confidence,
        sure=understood.sure,
        candidates=[IntentCandidate(intent=each.intent, confidence=each.confidence) for each in understood.candidates],
    )


def _result(found: Understanding | RaydeskError, taxonomy: Taxonomy) -> IntentResult:
    if isinstance(found, RaydeskError):
        return IntentResult(error=IntentRefusal(code=found.name, detail=found.detail))
    answer = _answer(found, taxonomy)
    return IntentResult(
        intent=answer.intent,
        name=answer.name,
        confidence=answer.confidence,
        sure=answer.sure,
        candidates=answer.candidates,
    )
