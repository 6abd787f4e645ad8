"""The floor: the same clients over a bare pub/sub relay of Valkey or Redis, for ``raydesk load --target valkey-relay``.

Each client is one connection; a visitor publishes to its agent's channel, and an agent to its visitor's. Nothing is
stored, routed, assigned or repeated, and a receipt only says that the relay took a message and how many heard it. So
what it costs is what any system must cost that brings messages from one socket to another through a broker; what a
system is slower than that, its promises cost.

Who writes is always served by the same agent, and numbers stand for places in a conversation: those of the writer, as
a relay gives none. What is published while its reader is not there is lost, and the audit says so.
"""

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from cluster.load.orders import AgentLogin, CannotGenerate, Orders
from cluster.load.targets.said import Held, Receipt, Record, Refusal, Said, Written
from cluster.load.targets.target import HearsAgent, HearsVisitor
from cluster.load.targets.valkey_connection import OPENED_WITHIN_S, Connection, Told

_PING = b"*1\r\n$4\r\nPING\r\n"
_encode = msgspec.msgpack.Encoder().encode


class ValkeyRelay:
    """A relay as one generator sees it; keeps `cluster.load.targets.target.Target`.

    Args:
        orders: whose ``base`` is ``redis://host:port`` or ``unix:///path``.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._places = {login.name: number for number, login in enumerate(orders.agents)}
        self._answers: dict[str, int] = {}
        self._open: set[Connection] = set()

    async def start(self) -> None:
        """Find out whether the relay is there."""
        try:
            connection = await self._connected(lambda _: None, lambda: None)
        except (OSError, TimeoutError) as error:
            raise CannotGenerate(f"{self._orders.base}: no relay answers: {error}") from None
        connection.drop()

    async def visitor(self, writer: int, hears: HearsVisitor, cursor: str | None) -> None:
        """Open a visitor's connection; what came while it was away is gone."""
        connection = await self._connected(lambda said: hears.on_said(said), hears.on_lost)
        if writer >= 0:
            await connection.subscribe(f"visitor:{writer}")
        agent = writer % len(self._orders.agents)
        connection.handed_out = True
        hears.on_open(_VisitorLink(connection, hears, writer, f"agent:{agent}"), cursor or "")

    async def agent(self, login: AgentLogin, hears: HearsAgent, cursor: int | None) -> None:
        """Open an agent's connection; a contact who writes for the first time is offered, and taken."""
        link: list[_AgentLink] = []
        connection = await self._connected(lambda said: link[0].on_said(said), hears.on_lost)
        link.append(_AgentLink(connection, hears, self._answers, cursor or 0))
        connection.handed_out = True
        hears.on_open(link[0])
        await connection.subscribe(f"agent:{self._places[login.name]}")

    async def aclose(self) -> None:
        """Drop all connections; safe twice."""
        for connection in list(self._open):
            connection.drop()

    async def _connected(self, on_said: Callable[[Said], None], on_lost: Callable[[], None]) -> "Connection":
        loop = asyncio.get_running_loop()
        url = urlsplit(self._orders.base)
        connection = Connection(on_said, on_lost, self._open)
        async with asyncio.timeout(OPENED_WITHIN_S):
            if url.scheme == "unix":
                await loop.create_unix_connection(lambda: connection, url.path)
            else:
                await loop.create_connection(lambda: connection, url.hostname or "127.0.0.1", url.port or 6379)
            # the third protocol, in which one connection may both publish and listen
            await connection.asked(b"HELLO", b"3")
        return connection


class _VisitorLink:
    def __init__(self, connection: Connection, hears: HearsVisitor, writer: int, channel: str) -> None:
        self._connection = connection
        self._hears = hears
        self._conversation = f"v{writer}"
        self._head = _head(channel)

    def send(self, messages: Sequence[Written]) -> None:
        frames: list[bytes] = []
        told: list[Told] = []
        for written in messages:
            said = Said(
                conversation=self._conversation, seq=written.number + 1, source_id=written.id, text=written.text
            )
            frames.append(_published(self._head, said))
            told.append(self._receipt_of(written.number))
        self._connection.call(b"".join(frames), told)

    def _receipt_of(self, number: int) -> Told:
        def told(found: object) -> None:
            if isinstance(found, ConnectionError):
                return
            if isinstance(found, Exception):
                self._hears.on_refused(number, Refusal("relay", detail=str(found)))
            else:
                self._hears.on_receipt(number, Receipt(self._conversation, number + 1))

        return told

    def ack(self, cursor: str) -> None:
        """A relay keeps nothing that could be confirmed."""

    def ping(self) -> None:
        self._connection.call(_PING, [None])

    def drop(self) -> None:
        self._connection.drop()


class _AgentLink:
    def __init__(self, connection: Connection, hears: HearsAgent, answers: dict[str, int], cursor: int) -> None:
        self._connection = connection
        self._hears = hears
        self._answers = answers
        self._cursor = cursor
        self._seen: set[str] = set()

    def on_said(self, said: Said) -> None:
        self._cursor += 1
        self._hears.on_entry(self._cursor)
        if said.conversation not in self._seen:
            self._seen.add(said.conversation)
            self._hears.on_offered(Held(Record(said.conversation, 1, "assigned")))
        self._hears.on_said(said)

    def answer(self, conversation: str, written: Written) -> None:
        visitor = conversation[1:]
        # an answer that is said again keeps its place: it is named by its id
        seq = self._answers.setdefault(written.id, 0)
        if not seq:
            seq = self._answers[written.id] = self._answers.get(f"of {visitor}", 0) + 1
            self._answers[f"of {visitor}"] = seq
        stands = f"a{visitor}"
        said = Said(conversation=stands, seq=seq, author="agent", source_id=written.id, text=written.text)

        def told(found: object) -> None:
            if isinstance(found, ConnectionError):
                return
            if isinstance(found, Exception):
                self._hears.on_refused(written.number, Refusal("relay", detail=str(found)))
            else:
                self._hears.on_receipt(written.number, Receipt(stands, seq))

        self._connection.call(_published(_head(f"visitor:{visitor}"), said), [told])

    def accept(self, conversation: str) -> None:
        """What comes is taken already."""

    def decline(self, conversation: str) -> None:
        """Nobody else would get it."""

    def typing(self, conversation: str) -> None:
        """A relay knows no such thing."""

    def transfer(self, conversation: str, to_agent: str) -> None:
        """Nobody else would get it."""

    def resolve(self, conversation: str) -> None:
        """A relay knows no such thing."""

    def presence(self, *, online: bool) -> None:
        """A relay knows no such thing."""

    def read_back(self, conversation: str, before: int, limit: int) -> None:
        """Nothing is kept; an empty page says so."""
        self._hears.on_page(conversation, before, ())

    def ack(self, cursor: int) -> None:
        """A relay keeps nothing that could be confirmed."""

    def ping(self) -> None:
        self._connection.call(_PING, [None])

    def drop(self) -> None:
        self._connection.drop()


def _head(channel: str) -> bytes:
    name = channel.encode()
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n" % (len(name), name)


def _published(head: bytes, said: Said) -> bytes:
    body = _encode(said)
    return b"%b$%d\r\n%b\r\n" % (head, len(body), body)
