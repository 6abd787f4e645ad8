"""A shop's backend: hands in by HTTP what contacts wrote elsewhere."""

import asyncio
import random

import httpx

from tests.chaos.ledger import Ledger
from tests.chaos.wire import HTTP_S, RETRYABLE, Line, bulk_of, encode

_LINES = 200


class RestSender:
    """A shop's backend that hands in what contacts wrote elsewhere: what is due goes as one body, in order.

    A body that got no answer, or lines of it that were not taken, go again under the same source ids before
    anything newer. Every so many messages it goes on with another contact, so that new conversations keep coming.

    Args:
        http: of the ingress.
        ledger: notes what happens.
        name: unlike any other's in the run.
        inbox: of the channel ``api``.
        key: an API key.
        messages_each: how much one contact writes.
    """

    def __init__(
        self, http: httpx.AsyncClient, ledger: Ledger, name: str, *, inbox: str, key: str, messages_each: int
    ) -> None:
        self._http = http
        self._ledger = ledger
        self._name = name
        self._number = 0
        self._inbox = inbox
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        self._each = messages_each
        #: the first contact writes less, each sender's another number, so that not all change at once.
        self._left = random.randint(1, messages_each)
        #: source id -> contact of what has no receipt, oldest first.
        self._due: dict[str, str] = {}
        self._wake = asyncio.Event()

    @property
    def unanswered(self) -> int:
        """How many messages have no receipt yet."""
        return len(self._due)

    def write(self, due_s: float) -> None:
        """Have the next message handed in."""
        if not self._left:
            self._left = self._each
            self._number += 1
        self._left -= 1
        contact = f"{self._name}-{self._number}"
        source_id = f"{contact}:{self._left}"
        self._ledger.sent(contact, source_id, due_s)
        self._due[source_id] = contact
        self._wake.set()

    async def run(self) -> None:
        """Hand in until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                if (wait_s := await self._hand_in(list(self._due.items())[:_LINES])) is not None:
                    await asyncio.sleep(wait_s)

    async def _hand_in(self, messages: list[tuple[str, str]]) -> float | None:
        """Send a body once; returns after how long the rest must be sent again, None if all was taken."""
        body = b"\n".join(
            encode(
                {
                    "inbox": self._inbox,
                    "external_id": contact,
                    "source_id": source_id,
                    "text": f"{source_id}: is it open on Sunday?",
                }
            )
            for source_id, contact in messages
        )
        try:
            answer = await self._http.post("/v1/messages", content=body, headers=self._headers, timeout=HTTP_S)
        except httpx.HTTPError as error:
            self._ledger.refused[f"http: {type(error).__name__}"] += 1
            return random.uniform(0.05, 0.2)
        if answer.status_code == httpx.codes.OK:
            return self._take(messages, bulk_of(answer.content).results)
        self._ledger.refused[f"http: {answer.status_code}"] += 1
        if answer.status_code < 500 and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            self._ledger.mishap(f"POST /v1/messages was refused: {answer.status_code} {answer.text}")
        # half a second at most: the test asks how soon it goes on, and nobody else is in the queue
        return min(0.5, float(answer.headers.get("Retry-After", "0.2"))) * random.uniform(0.5, 1.0)

    def _take(self, messages: list[tuple[str, str]], results: list[Line]) -> float | None:
        wait_s = None
        for (source_id, _), line in zip(messages, results, strict=True):
            if line.error is None:
                del self._due[source_id]
                self._ledger.confirmed(source_id, line.conversation, line.seq, duplicate=line.duplicate)
            else:
                self._ledger.refused[f"line: {line.error.code}"] += 1
                if line.error.code not in RETRYABLE:
                    self._ledger.mishap(f"a line of POST /v1/messages was refused: {line.error.code}")
                wait_s = 0.2
        return wait_s
