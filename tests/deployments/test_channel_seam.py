"""The channel that docs/channels.md shows, taken from there and put to work: received, refused, sent."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deployments.channels.channel import Channel, Failed, Later, Sent
from deployments.channels.webhook import webhook_routes
from models.domain.commands import Receipt, Receive
from models.domain.errors import RaydeskError, Unavailable
from models.domain.outgoing import Outgoing

pytestmark = pytest.mark.anyio
DOCUMENT = Path(__file__).parents[2] / "docs" / "channels.md"
SECRET = "courier-secret"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Shelf:
    """A router in memory, which refuses the texts it is told to."""

    def __init__(self) -> None:
        self.stored: list[Receive] = []

    async def receive_many(self, messages: Sequence[Receive]) -> list[Receipt | RaydeskError]:
        return [self._receive(message) for message in messages]

    def _receive(self, message: Receive) -> Receipt | RaydeskError:
        if message.text == "refuse me":
            return Unavailable("not now")
        self.stored.append(message)
        return Receipt(conversation="s" + "0" * 28, seq=len(self.stored), at_ms=0)


def courier(respond: Any, secret: str = SECRET) -> Channel:
    (source,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "courier"}
    exec(compile(source, str(DOCUMENT), "exec"), names)
    client = httpx.AsyncClient(transport=httpx.MockTransport(respond))
    return names["Courier"]({"letters": "demo"}, secret, client, lambda: 1.0)


async def post(channel: Channel, shelf: Shelf, body: bytes, secret: str = SECRET, inbox: str = "letters"):
    app = FastAPI()
    app.include_router(webhook_routes({channel.name: channel}, shelf))
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://raydesk") as client:
        return await client.post(
            f"/v1/channels/courier/{inbox}", content=body, headers={"X-Courier-Signature": signature}
        )


async def test_signed_letter_is_stored():
    channel, shelf = courier(lambda request: httpx.Response(200)), Shelf()
    answer = await post(channel, shelf, b'{"id": "1", "sender": "anna", "text": "hello"}')
    assert (answer.status_code, answer.text) == (200, "ok")
    (message,) = shelf.stored
    assert (message.channel, message.inbox, message.external_id, message.source_id, message.text) == (
        "courier",
        "letters",
        "anna",
        "1",
        "hello",
    )
    await channel.aclose()


@pytest.mark.parametrize(
    ("body", "secret", "inbox", "status"),
    [
        (b'{"id": "1", "sender": "anna", "text": "hello"}', "forged", "letters", 401),
        (b'{"id": "1", "sender": "anna", "text": "hello"}', SECRET, "elsewhere", 404),
        (b'{"id": 1}', SECRET, "letters", 400),
        (b'{"id": "1", "sender": "anna", "text": "refuse me"}', SECRET, "letters", 503),
    ],
)
async def test_what_is_not_taken_is_refused_plainly(body: bytes, secret: str, inbox: str, status: int):
    channel, shelf = courier(lambda request: httpx.Response(200)), Shelf()
    assert (await post(channel, shelf, body, secret, inbox)).status_code == status
    assert not shelf.stored
    await channel.aclose()


async def test_channel_without_a_secret_takes_nothing():
    channel, shelf = courier(lambda request: httpx.Response(200), secret=""), Shelf()
    answer = await post(channel, shelf, b'{"id": "1", "sender": "anna", "text": "hello"}', secret="")
    assert answer.status_code == 401
    await channel.aclose()


async def test_letter_is_sent_with_its_key_and_every_answer_has_its_meaning():
    answers = iter([httpx.Response(503, headers={"retry-after": "7"}), httpx.Response(200), httpx.Response(410)])
    keys: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        return next(answers)

    channel = courier(respond)
    outgoing = Outgoing(
        account="demo",
        conversation="s",
        message="s-1",
        channel="courier",
        inbox="letters",
        external_id="anna",
        text="hi",
        at_ms=0,
    )
    assert channel.parts(outgoing) == ("hi",)
    outcomes = [await channel.send(outgoing, "hi", "s-1") for _ in range(3)]
    assert outcomes == [Later(detail="status 503", after_s=7.0), Sent(), Failed(detail="")]
    assert keys == ["s-1"] * 3
    await channel.aclose()
