"""raydesk as a target: where to connect, who one is, and links by its own sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import msgspec
from picows import WSError, WSListener
from picows import ws_connect as _ws_connect  # pyright: ignore[reportUnknownVariableType]

from cluster.load.orders import AgentLogin, CannotGenerate, Orders
from cluster.load.scenario.people import People
from cluster.load.targets.frames import Page, Texts, page_of, record_of
from cluster.load.targets.http import HttpAnswer, HttpDoor
from cluster.load.targets.links import DeskLink, SocketLink, VisitLink
from cluster.load.targets.said import CursorLost, Record, Refusal
from cluster.load.targets.target import HearsAgent, HearsVisitor

#: Messages of one page of history.
PAGE = 200
_JSON = {"Content-Type": "application/json"}
#: For the handshake, and again for the session.
_OPEN_S = 15.0
#: Read buffers: most visitors hear little, and there are many of them.
_VISITOR_BUFFER, _DESK_BUFFER = 2_048, 65_536
#: A log-in costs the system a slow hash by design; more at once only wait longer.
_LOGINS_AT_ONCE = 4

#: picows leaves the types of what it hands on to the loop unsaid.
ws_connect: Callable[..., Awaitable[Any]] = _ws_connect  # pyright: ignore[reportUnknownVariableType]
encode = msgspec.json.Encoder().encode


class _Seat(msgspec.Struct):
    gateway: str
    token: str | None = None
    visitor_id: str = ""


class _Token(msgspec.Struct):
    token: str


_seat = msgspec.json.Decoder(_Seat).decode
_token = msgspec.json.Decoder(_Token).decode


class Raydesk:
    """One generator's way into a raydesk system; a `cluster.load.targets.target.Target`.

    Args:
        orders: of the generator.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._people = People(orders.scenario)
        self._linked = dict(self._people.linked())
        self._texts = Texts()
        self.door = HttpDoor(orders.base)
        #: visitor -> its own token, by which it stays the same person.
        self._visitors: dict[int, str] = {}
        self._agents = {login.name: login.token for login in orders.agents if login.token}
        self._logins = asyncio.Semaphore(_LOGINS_AT_ONCE)
        self._addresses = count()
        self._links: set[SocketLink] = set()

    async def start(self) -> None:
        """Look whether the system is there.

        Raises:
            CannotGenerate: it is not.
        """
        await self.door.start()
        try:
            answer = await self.door.call("GET", "/readyz")
        except ConnectionError as error:
            raise CannotGenerate(f"{self._orders.base}: found nobody ({error}); needed: a raydesk that runs") from error
        if answer.status != 200:
            raise CannotGenerate(f"{self._orders.base}: /readyz answers {answer.status} {answer.code}; needed: 200")

    # -- links

    async def visitor(self, writer: int, hears: HearsVisitor, cursor: str | None) -> None:
        """Open a visitor's socket; see `cluster.load.targets.target.Target`."""
        seat = await self._seat_of_visitor(writer)
        link = VisitLink(hears, self._texts, self._gone)
        await self._open(link, seat.gateway, _VISITOR_BUFFER, "visit.open", {"token": seat.token, "cursor": cursor})

    async def agent(self, login: AgentLogin, hears: HearsAgent, cursor: int | None) -> None:
        """Open a desk; see `cluster.load.targets.target.Target`."""
        token = self._agents.get(login.name) or await self._log_in(login)
        bearer = {"Authorization": f"Bearer {token}"}
        answer = await self.door.call("POST", "/v1/connect", headers=bearer)
        if answer.status == 401:
            # its life is over: the next attempt logs in anew
            self._agents.pop(login.name, None)
            raise ConnectionError(f"agent {login.name}: the token has expired")
        seat = _seat(_good(answer, "POST /v1/connect"))
        link = DeskLink(hears, self._texts, self._gone)
        presence = "online" if cursor is None else None
        opening = {"token": token, "cursor": cursor, "presence": presence}
        try:
            await self._open(link, seat.gateway, _DESK_BUFFER, "desk.open", opening)
        except PermissionError:
            self._agents.pop(login.name, None)
            raise

    async def _open(self, link: SocketLink, url: str, buffer: int, method: str, params: dict[str, Any]) -> None:
        """Open a socket and its session.

        Raises:
            OSError, TimeoutError: see `Target`.
        """

        def listener() -> WSListener:
            return link

        try:
            await ws_connect(
                listener,
                url,
                read_buffer_init_size=buffer,
                websocket_handshake_timeout=_OPEN_S,
                use_aiofastnet=False,
                **self._source(),
            )
        except WSError as error:
            raise ConnectionError(f"{url}: {error}") from error
        self._links.add(link)
        try:
            async with asyncio.timeout(_OPEN_S):
                refusal = await link.open(method, params)
        except BaseException as error:
            if isinstance(error, TimeoutError) and link.live:
                return  # it opened in the very moment in which the time was up, and its client knows
            link.drop()
            raise
        if refusal is not None:
            link.drop()
            raise _error_of(refusal)

    def _gone(self, link: SocketLink) -> None:
        self._links.discard(link)

    def _source(self) -> dict[str, Any]:
        """Choose the address that the next socket comes from: each has ports of its own."""
        if not self._orders.addresses:
            return {}
        number = self._orders.generator * self._orders.addresses + next(self._addresses) % self._orders.addresses
        # from 127.1.0.1 on; 250 of each last byte, so that none is a network's or a broadcast address
        return {"local_addr": (f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}", 0)}

    # -- who one is

    async def _seat_of_visitor(self, writer: int) -> _Seat:
        token = self._visitors.get(writer)
        body = {"inbox": self._orders.inboxes["web"]} | ({"token": token} if token else {})
        answer = await self.door.call("POST", "/v1/connect", encode(body), _JSON)
        seat = _seat(_good(answer, "POST /v1/connect"))
        if token is None:
            if writer in self._linked:
                await self._link(writer, seat.visitor_id)
            # only now, so that a link that failed is made at the next attempt
            self._visitors[writer] = seat.token or ""
        return seat

    async def _link(self, visitor: int, visitor_id: str) -> None:
        """Have a visitor and its other identity be one person: both are of one user."""
        other = self._linked[visitor]
        inbox = self._orders.inboxes[self._people.channel_of(other)]
        user = f"{self._orders.run}-user-{visitor}"
        web = (self._orders.inboxes["web"], visitor_id)
        for name, external_id in (web, (inbox, external_id_of(self._orders, other))):
            body = {"inbox": name, "external_id": external_id, "user_id": user}
            answer = await self.door.call("POST", "/v1/identities", encode(body), self._keyed)
            _good(answer, "POST /v1/identities")

    async def _log_in(self, login: AgentLogin) -> str:
        body = {"account": self._orders.account, "name": login.name, "password": login.password}
        async with self._logins:
            answer = await self.door.call("POST", "/v1/login", encode(body), _JSON)
        token = _token(_good(answer, "POST /v1/login")).token
        self._agents[login.name] = token
        return token

    @property
    def _keyed(self) -> dict[str, str]:
        return _JSON | {"Authorization": f"Bearer {self._orders.key}"}

    # -- reading back

    async def history(self, conversation: str, before: int | None) -> Page:
        """Return the page of a conversation's messages before a number, newest first.

        Raises:
            ConnectionError: no answer, or none at the moment.
            CannotGenerate: it is refused.
        """
        query = f"?limit={PAGE}" + (f"&before={before}" if before else "")
        path = f"/v1/conversations/{conversation}/messages{query}"
        answer = await self.door.call("GET", path, headers=self._keyed)
        return page_of(_good(answer, "GET /v1/conversations/.../messages"))

    async def record(self, conversation: str) -> Record:
        """Return where a conversation stands.

        Raises:
            ConnectionError: no answer, or none at the moment.
            CannotGenerate: it is refused.
        """
        answer = await self.door.call("GET", f"/v1/conversations/{conversation}", headers=self._keyed)
        return record_of(_good(answer, "GET /v1/conversations/..."))

    async def aclose(self) -> None:
        """Break every socket and close the door; safe twice."""
        for link in list(self._links):
            link.drop()
        await self.door.aclose()


def external_id_of(orders: Orders, writer: int) -> str:
    """Return the id of a contact on a channel other than the web."""
    return f"{orders.run}-contact-{writer}"


def _good(answer: HttpAnswer, what: str) -> bytes:
    """Return the body of an answer that says yes.

    Raises:
        ConnectionError: it says "not now".
        CannotGenerate: it says no.
    """
    if answer.status == 200:
        return answer.body
    told = f"{what}: {answer.status} {answer.code}: {answer.body[:300].decode(errors='replace')}"
    if answer.again:
        raise ConnectionError(told)
    raise CannotGenerate(told)


def _error_of(refusal: Refusal) -> Exception:
    """Return what a session that was not opened means for its client."""
    told = f"{refusal.name}: {refusal.detail}"
    if refusal.again:
        return ConnectionError(told)
    if refusal.name in ("cursor_ahead", "not_found"):
        return CursorLost(told)
    if refusal.name == "unauthorized":
        return PermissionError(told)
    return CannotGenerate(told)
