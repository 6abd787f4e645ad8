"""An open-loop generator of visitor messages and the desks that read them, in one process of its own.

Arrivals are independent of answers: message *i* is due at ``start + i / rate`` and its latency counts
from then, whatever held it up, the generator included (coordinated omission cannot hide a stall). Every
message has an id; every receipt and every event at a desk is checked against it.
"""

import asyncio
import time
from array import array
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hdrh.histogram import HdrHistogram
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from cluster.load.clients.frames import framed

_LONGEST_US = 120_000_000
_TICK_S = 0.002
_ACK_S = 0.2
_TEXT = WSMsgType.TEXT


class _Receipt(msgspec.Struct, gc=False):
    id: int | None = None
    error: dict[str, Any] | None = None
    method: str = ""


class _Message(msgspec.Struct, gc=False):
    source_id: str = ""
    author: str = ""


class _Conversation(msgspec.Struct, gc=False):
    id: str


class _Event(msgspec.Struct, gc=False):
    type: str
    conversation: _Conversation | None = None
    message: _Message | None = None
    messages: tuple[_Message, ...] = ()


class _Params(msgspec.Struct, gc=False):
    events: list[_Event]
    cursor: int = 0


class _Frame(msgspec.Struct, gc=False):
    id: int | None = None
    params: _Params | None = None


_ACCEPT = b'{"jsonrpc":"2.0","id":0,"method":"conversation.accept","params":{"conversation":"%b"}}'
_receipt = msgspec.json.Decoder(_Receipt).decode
_frame = msgspec.json.Decoder(_Frame).decode


@dataclass
class Audit:
    """What was sent and what became of it, one by one."""

    total: int
    visitors: int
    receipts: bytearray = field(init=False)
    seen: bytearray = field(init=False)
    last: "array[int]" = field(init=False)
    confirmed: int = 0
    shown: int = 0
    refused: int = 0
    doubled: int = 0
    reordered: int = 0

    def __post_init__(self) -> None:
        """Make room for every message."""
        self.receipts = bytearray(self.total)
        self.seen = bytearray(self.total)
        self.last = array("q", [-1] * self.visitors)

    def at_desk(self, number: int) -> bool:
        """Note that a desk was shown message ``number``; False if it had been before."""
        if self.seen[number]:
            self.doubled += 1
            return False
        self.seen[number] = 1
        self.shown += 1
        visitor = number % self.visitors
        if number < self.last[visitor]:
            self.reordered += 1
        self.last[visitor] = number
        return True

    @property
    def settled(self) -> bool:
        """Whether everything is shown, and every receipt there."""
        return self.shown + self.refused >= self.total and self.confirmed + self.refused >= self.total

    def counts(self) -> dict[str, int]:
        """Return the counts; ``lost`` were confirmed and never shown."""
        lost = sum(1 for receipt, seen in zip(self.receipts, self.seen, strict=True) if receipt and not seen)
        return {
            "sent": self.total,
            "accepted": self.confirmed,
            "delivered": self.shown,
            "refused": self.refused,
            "lost": lost,
            "doubled": self.doubled,
            "reordered": self.reordered,
        }


class _Visitor(WSListener):
    def __init__(self, load: "Load") -> None:
        self.load = load
        self.opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        answer = _receipt(frame.get_payload_as_memoryview())
        if answer.id is None:
            return
        if answer.id < 0:
            if answer.error is not None:
                self.opened.set_exception(RuntimeError(str(answer.error)))
            else:
                self.opened.set_result(None)
        elif answer.error is not None:
            self.load.audit.refused += 1
        else:
            self.load.on_receipt(answer.id)


class _Desk(WSListener):
    def __init__(self, load: "Load") -> None:
        self.load = load
        self.cursor = 0
        self.opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        got = _frame(frame.get_payload_as_memoryview())
        if got.params is None:
            if got.id == -1:
                self.opened.set_result(None)
            return
        now = time.monotonic()
        self.cursor = got.params.cursor or self.cursor
        for event in got.params.events:
            if event.message is not None and event.message.author == "contact":
                self.load.on_desk(event.message.source_id, now)
            for message in event.messages:
                self.load.on_desk(message.source_id, now)
            if event.type == "offered" and event.conversation is not None:
                self.load.offered += 1
                transport.send(_TEXT, _ACCEPT % event.conversation.id.encode())

    def ack(self) -> None:
        """Confirm what was shown."""
        self.transport.send(_TEXT, b'{"jsonrpc":"2.0","method":"desk.ack","params":{"cursor":%d}}' % self.cursor)


class Load:
    """One run's traffic.

    Args:
        visitors, desks: (socket url, token) of each.
    """

    def __init__(self, visitors: list[tuple[str, str]], desks: list[tuple[str, str]]) -> None:
        self._visitor_tokens = visitors
        self._desk_tokens = desks
        self._visitors: list[_Visitor] = []
        self._desks: list[_Desk] = []
        self.audit = Audit(0, len(visitors))
        self.offered = 0
        self._prefix = ""
        self._started = 0.0
        self._rate = 1.0
        self._warmed = 0
        self.latency = HdrHistogram(1, _LONGEST_US, 3)
        self.receipt_latency = HdrHistogram(1, _LONGEST_US, 3)
        self._latest: list[int] = []
        self._receipts: list[int] = []

    async def connect(self) -> None:
        """Open all sockets and their sessions."""
        for url, token in self._desk_tokens:
            _, desk = await ws_connect(lambda: _Desk(self), url, read_buffer_init_size=65536, use_aiofastnet=False)
            desk.transport.send(_TEXT, _open("desk.open", token))
            self._desks.append(desk)
        for url, token in self._visitor_tokens:
            _, visitor = await ws_connect(lambda: _Visitor(self), url, read_buffer_init_size=2048, use_aiofastnet=False)
            visitor.transport.send(_TEXT, _open("visit.open", token))
            self._visitors.append(visitor)
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.opened for each in [*self._desks, *self._visitors]))

    async def begin(self) -> None:
        """Let every visitor write once, and wait until each conversation is on a desk.

        Raises:
            TimeoutError: not all were offered within a minute.
        """
        await self.run(rate=200.0, total=len(self._visitors), prefix="hello", drain_s=0.0)
        async with asyncio.timeout(60):
            while self.offered < len(self._visitors):
                await asyncio.sleep(0.05)

    async def run(
        self, *, rate: float, total: int, prefix: str, warm_up: int = 0, drain_s: float = 10.0
    ) -> dict[str, Any]:
        """Send ``total`` messages at ``rate`` a second and wait until all were shown, or ``drain_s`` passed.

        Args:
            rate: messages a second, over all visitors.
            total: how many.
            prefix: makes the client ids of this run unlike any other's.
            warm_up: the first so many messages are audited but not timed.
            drain_s: how long to wait for the last ones.
        """
        self.audit = Audit(total, len(self._visitors))
        self._prefix = prefix
        self._rate, self._warmed = rate, warm_up
        self.latency.reset()
        self.receipt_latency.reset()
        self._latest, self._receipts = [], []
        cpu = time.process_time()
        self._started = time.monotonic() + 0.05
        acks = asyncio.ensure_future(self._ack())
        worst_lag = await self._send_all(rate, total)
        sent_in = time.monotonic() - self._started
        deadline = time.monotonic() + drain_s
        while not self.audit.settled and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        took = time.monotonic() - self._started
        acks.cancel()
        for latency_us in self._latest:
            self.latency.record_value(min(latency_us, _LONGEST_US))
        for latency_us in self._receipts:
            self.receipt_latency.record_value(min(latency_us, _LONGEST_US))
        return {
            "offered_per_s": rate,
            "achieved_per_s": round(self.audit.shown / took, 1),
            "sent_in_s": round(sent_in, 3),
            "generator_lag_ms": round(worst_lag * 1e3, 1),
            "generator_cpu": round((time.process_time() - cpu) / took, 3),
            **{f"p{p}_ms": self.latency.get_value_at_percentile(p) / 1e3 for p in (50, 90, 99, 99.9)},
            "max_ms": self.latency.get_max_value() / 1e3,
            **{f"receipt_p{p}_ms": self.receipt_latency.get_value_at_percentile(p) / 1e3 for p in (50, 99)},
            **self.audit.counts(),
        }

    async def saturate(self, *, window: int, total: int, prefix: str, drain_s: float = 20.0) -> dict[str, Any]:
        """Find the most that goes through: each visitor keeps ``window`` messages unconfirmed (closed loop).

        Its latencies mean nothing, since a slow system slows its own arrivals; only the rate and the audit do.
        """
        count = len(self._visitors)
        self.audit = Audit(total, count)
        self._prefix, self._rate, self._warmed = prefix, 1e12, total
        template = self._template()
        started = self._started = time.monotonic()
        acks = asyncio.ensure_future(self._ack())
        number = [0]
        confirmed = 0
        cpu = time.process_time()
        while confirmed < total and time.monotonic() - started < drain_s:
            confirmed = self.audit.confirmed
            due = min(total, confirmed + self.audit.refused + window * count)
            if due > number[0]:
                self._write(template, number[0], due)
                number[0] = due
            await asyncio.sleep(_TICK_S)
        took = time.monotonic() - started
        await asyncio.sleep(0.5)
        acks.cancel()
        return {
            "closed_loop_per_s": round(confirmed / took, 1),
            "generator_cpu": round((time.process_time() - cpu) / took, 3),
            **self.audit.counts(),
        }

    def _template(self) -> bytes:
        head = '{"jsonrpc":"2.0","id":%d,"method":"message.send","params":{"client_id":"' + self._prefix
        tail = ':%d","text":"Where is my parcel? The app has said out for delivery since Monday, and nobody rang."}}'
        return (head + tail).encode()

    def _write(self, template: bytes, number: int, due: int) -> None:
        """Send messages ``number`` to ``due``, what one visitor sends in one write."""
        count = len(self._visitors)
        frames: dict[int, list[bytes]] = {}
        while number < due:
            frames.setdefault(number % count, []).append(framed(template % (number, number)))
            number += 1
        for visitor, parts in frames.items():
            self._visitors[visitor].transport.underlying_transport.write(b"".join(parts))

    async def _send_all(self, rate: float, total: int) -> float:
        """Send each message when it is due; returns by how much the latest left too late."""
        template = self._template()
        started = self._started
        worst_lag = 0.0
        number = 0
        while number < total:
            now = time.monotonic()
            due = min(total, int((now - started) * rate) + 1) if now >= started else 0
            if due > number:
                worst_lag = max(worst_lag, now - (started + number / rate))
                self._write(template, number, due)
                number = due
            await asyncio.sleep(_TICK_S)
        return worst_lag

    async def _ack(self) -> None:
        while True:
            await asyncio.sleep(_ACK_S)
            for desk in self._desks:
                if desk.cursor:
                    desk.ack()

    def on_receipt(self, number: int) -> None:
        """Note that message ``number`` was confirmed."""
        self.audit.confirmed += 1 - self.audit.receipts[number]
        self.audit.receipts[number] = 1
        if number >= self._warmed:
            self._receipts.append(int((time.monotonic() - self._started - number / self._rate) * 1e6))

    def on_desk(self, source_id: str, now: float) -> None:
        """Note that a desk was shown a message."""
        prefix, _, text = source_id.partition(":")
        if prefix != self._prefix:
            return
        number = int(text)
        if self.audit.at_desk(number) and number >= self._warmed:
            self._latest.append(int((now - self._started - number / self._rate) * 1e6))


def _open(method: str, token: str) -> bytes:
    return b'{"jsonrpc":"2.0","id":-1,"method":"%b","params":{"token":"%b"}}' % (method.encode(), token.encode())
