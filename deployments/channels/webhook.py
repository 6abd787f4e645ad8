"""The way of a webhook call: read it, have it verified and parsed, wait for the receipts, answer in time.

Promises:

* The vendor hears that all is well only after every message of the call has its receipt.
* Whatever goes wrong, the vendor gets an answer within the channel's ``answer_within_s``, reading of
  the body included. A call that is late is answered 503, and its repetition is a duplicate at worst.
* Messages of one contact are handed on in the order of the call, those of several side by side.
"""

import asyncio
import logging
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from deployments.channels.channel import Answer, Call, Channel, Receiver
from models.domain.errors import RaydeskError, TooLarge, Unavailable

log = logging.getLogger("raydesk.channels")
_LATE = "the answer was not ready in time; the call may be repeated"


def webhook_routes(channels: Mapping[str, Channel], receiver: Receiver) -> APIRouter:
    """Make the routes ``/v1/channels/<channel>/<inbox>`` of all ``channels``, by their names."""
    routes = APIRouter(tags=["channels"])
    for channel in channels.values():
        _add_routes(routes, channel, receiver)
    return routes


def _add_routes(routes: APIRouter, channel: Channel, receiver: Receiver) -> None:
    path = f"/v1/channels/{channel.name}/{{inbox}}"

    async def verify(inbox: str, request: Request) -> Response:
        """Prove to the vendor that this URL is ours."""
        return await _answer(channel, receiver, inbox, request)

    async def receive(inbox: str, request: Request) -> Response:
        """Take what contacts wrote; answered once it is stored."""
        return await _answer(channel, receiver, inbox, request)

    routes.add_api_route(path, verify, methods=["GET"], operation_id=f"verify_{channel.name}", response_class=Response)
    routes.add_api_route(
        path, receive, methods=["POST"], operation_id=f"receive_{channel.name}", response_class=Response
    )


async def _answer(channel: Channel, receiver: Receiver, inbox: str, request: Request) -> Response:
    try:
        async with asyncio.timeout(channel.answer_within_s):
            answer = await _take(channel, receiver, inbox, request)
    except TimeoutError:
        answer = _refused(channel, inbox, Unavailable(_LATE))
    except RaydeskError as error:
        answer = _refused(channel, inbox, error)
    except ClientDisconnect:
        answer = Answer(status=400)  # nobody hears it
    headers = {"X-Content-Type-Options": "nosniff", **answer.headers}
    return Response(answer.body, answer.status, headers, answer.media_type)


async def _take(channel: Channel, receiver: Receiver, inbox: str, request: Request) -> Answer:
    call = Call(
        method=request.method,
        url=str(request.url),
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=await _body(request, channel.body_limit_bytes),
    )
    reading = await channel.read(inbox, call)
    for outcome in await receiver.receive_many(reading.messages):
        if isinstance(outcome, RaydeskError):
            raise outcome
    return reading.answer


async def _body(request: Request, limit_bytes: int) -> bytes:
    """Read the body, and stop as soon as it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise TooLarge(f"the body is longer than {limit_bytes} bytes")
    return bytes(body)


def _refused(channel: Channel, inbox: str, error: RaydeskError) -> Answer:
    log.warning("%s inbox %.64s: a call was refused: %s: %s", channel.name, inbox, error.name, error.detail)
    return channel.refuse(error)
