"""``/v1/messages``: an account's backend hands in what a contact wrote, one message or many.

A message is taken once by its inbox and ``source_id``, so whatever got no answer can be sent again.
"""

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cluster.store.directory import ApiKey
from deployments.http.bodies import JSON_TYPE, NDJSON_TYPE, decode, json_response, media_type
from deployments.http.bulk import Bulk
from deployments.http.callers import Callers
from deployments.http.message_forms import BulkResult, IncomingMessage, Taken, command_of, identity_of, taken
from deployments.http.openapi import content_of
from deployments.http.parts import IngressParts
from deployments.http.people import Inboxes, Links
from models.domain.commands import Receive
from models.domain.errors import RaydeskError, TooLarge

_message = msgspec.json.Decoder(IncomingMessage)
_encode = msgspec.json.Encoder().encode
_DOCUMENTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": content_of(IncomingMessage) | content_of(IncomingMessage, NDJSON_TYPE, "One message a line."),
    },
    "responses": {
        "200": {
            "description": "A message, or what became of each line of a bulk body.",
            "content": {
                JSON_TYPE: {
                    "schema": {
                        "oneOf": [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in (Taken, BulkResult)]
                    }
                }
            },
        }
    },
    "security": [{"apiKey": []}],
}


class MessageRoutes:
    """The route that takes messages."""

    def __init__(self, parts: IngressParts, callers: Callers, inboxes: Inboxes, links: Links) -> None:
        self._parts = parts
        self._callers = callers
        self._inboxes = inboxes
        self._links = links
        self.router = APIRouter(tags=["messages"])
        self.router.add_api_route(
            "/v1/messages", self.take, methods=["POST"], response_class=Response, openapi_extra=_DOCUMENTED
        )

    async def take(self, request: Request) -> Response:
        """Take one message (`application/json`), or one per line (`application/x-ndjson`).

        The answer comes when the messages are stored. Of a bulk body the good lines are taken and the bad
        ones named by their number, from 1; lines of one contact keep their order.
        """
        key = await self._callers.api_key(request)
        if media_type(request, JSON_TYPE, NDJSON_TYPE) == NDJSON_TYPE:
            return await self._take_bulk(key, await request.body())
        self._callers.charge(key)
        message = decode(_message, await request.body())
        receive = self._command(key, message)
        if message.user_id is not None:
            contact = await self._links.to_user(identity_of(receive), message.user_id)
            receive = msgspec.structs.replace(receive, contact=contact)
        return json_response(_encode(taken(await self._parts.router.receive(receive))))

    async def _take_bulk(self, key: ApiKey, body: bytes) -> Response:
        bulk = Bulk(body)
        limit = self._parts.settings.limits.bulk_lines
        if len(bulk.lines) > limit:
            raise TooLarge(f"a bulk body has at most {limit} lines")
        self._callers.charge(key, len(bulk.lines))
        for number, line in bulk.lines:
            try:
                message = bulk.read(line)
                bulk.keep(number, self._command(key, message), message.user_id)
            except RaydeskError as error:
                bulk.refuse(number, error)
        await bulk.link(self._links)
        await bulk.hand_in(self._parts.router)
        return json_response(_encode(bulk.result()))

    def _command(self, key: ApiKey, message: IncomingMessage) -> Receive:
        received_at_ms = int(self._parts.now() * 1000)
        return command_of(message, key.account, self._inboxes, self._parts.settings, received_at_ms)
