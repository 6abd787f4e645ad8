"""``/v1/conversations``: a case and its messages as they are stored, for the account that they belong to."""

from typing import Annotated, Any, cast

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from cluster.store import keys
from deployments.http.bodies import json_response
from deployments.http.callers import Callers
from deployments.http.openapi import answers
from deployments.http.parts import IngressParts
from models.domain.conversation import ConversationRecord
from models.domain.errors import InvalidId, NotFound
from models.domain.ids import is_conversation_id
from models.domain.message import Claim, Message

_DEFAULT_PAGE = 50
_MAX_PAGE = 200
_claim = msgspec.json.Decoder(Claim)
_SECURITY: dict[str, Any] = {"security": [{"apiKey": []}, {"agentToken": []}]}

ConversationId = Annotated[str, Path(alias="id", description="The SessionID.")]


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, newest first.

    Args:
        messages: a stretch of the conversation without gaps.
        next_before: `before` of the next older page; null when this is the oldest.
    """

    messages: list[Message]
    next_before: int | None


class ConversationRoutes:
    """Routes that read conversations; the account is part of every key, so none of another is reachable."""

    def __init__(self, parts: IngressParts, callers: Callers) -> None:
        self._redis = parts.redis
        self._callers = callers
        self.router = APIRouter(tags=["conversations"])
        self.router.add_api_route(
            "/v1/conversations/{id}",
            self.conversation,
            methods=["GET"],
            response_class=Response,
            responses=answers(ConversationRecord),
            openapi_extra=_SECURITY,
        )
        self.router.add_api_route(
            "/v1/conversations/{id}/messages",
            self.messages,
            methods=["GET"],
            response_class=Response,
            responses=answers(MessagePage),
            openapi_extra=_SECURITY,
        )

    async def conversation(self, request: Request, conversation: ConversationId) -> Response:
        """Return where a conversation stands."""
        account = await self._account(request)
        return json_response(await self._record(account, conversation))

    async def messages(
        self,
        request: Request,
        conversation: ConversationId,
        before: Annotated[int | None, Query(ge=1, le=2**53, description="Only messages with a smaller `seq`.")] = None,
        limit: Annotated[int, Query(ge=1, le=_MAX_PAGE, description="How many at most.")] = _DEFAULT_PAGE,
    ) -> Response:
        """Return a page of a conversation's messages, newest first; notes among them."""
        account = await self._account(request)
        await self._record(account, conversation)
        found = await self._page(keys.session(account, conversation), before, limit)
        oldest = _claim.decode(found[-1]).seq if found else 1
        next_before = b"%d" % oldest if oldest > 1 else b"null"
        return json_response(b'{"messages":[%b],"next_before":%b}' % (b",".join(found), next_before))

    async def _account(self, request: Request) -> str:
        caller = await self._callers.key_or_agent(request)
        self._callers.charge(caller)
        return caller.account

    async def _record(self, account: str, conversation: str) -> bytes:
        if not is_conversation_id(conversation):
            raise InvalidId("conversation", conversation)
        record = await self._redis.get(keys.conversation(account, conversation))
        if record is None:
            raise NotFound("no such conversation")
        return cast("bytes", record)

    async def _page(self, session: str, before: int | None, limit: int) -> list[bytes]:
        """Read newest first; message ``n`` stands at index ``-n``, which no new message shifts."""
        first, last = (0, limit - 1) if before is None else (-(before - 1), -max(1, before - limit))
        if before == 1:
            return []
        return cast("list[bytes]", await self._redis.lrange(session, first, last))  # type: ignore[misc]
