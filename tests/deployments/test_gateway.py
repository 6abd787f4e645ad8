"""The gateway with real sockets and the real store: what each side sees, and what bad input costs.

The gateway actor runs in this process, the router core behind it without Ray; the processes are in
`tests/system/test_load.py`.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from itertools import count
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from cluster.clients import RouterClient
from cluster.codec import decode_desk_report
from cluster.linking import Linker
from cluster.settings import Settings
from cluster.store import keys, valkey
from cluster.store.embedded import EmbeddedStore
from cluster.store.reading import Reading
from deployments.gateway import GatewayActor
from models.desk.state import DeskState
from models.domain.commands import Accept, Offer, Receipt, Receive, Resolve, Say
from models.domain.errors import Unavailable, documented_errors
from models.domain.identity import Identity
from models.domain.ids import contact_id, conversation_id
from models.security.tokens import AgentClaims, TokenSigner, VisitorClaims
from tests.fakes import LocalRouter

pytestmark = pytest.mark.anyio
SECRET = "k" * 40
CODES = {error.name: error.rpc_code for error in documented_errors()}
NOWHERE = conversation_id(1, 5, bytes(10))


async def until(condition, within_s=20.0):
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


class QuietDispatcher:
    """Takes every report; ``down`` is what a restarting one is."""

    def __init__(self):
        self.down = False
        self.calls = []

    async def call(self, method, *args):
        if self.down:
            raise Unavailable("dispatcher is down")
        self.calls.append((method, args))
        return True


class Client:
    """A client of one socket: calls and their answers, and what was pushed meanwhile."""

    def __init__(self, socket):
        self.socket = socket
        self.pushed = []
        self.answers = {}
        self.strays = []
        self._ids = count(1)
        self._task = asyncio.ensure_future(self._read())

    async def _read(self):
        with contextlib.suppress(ConnectionClosed):
            async for frame in self.socket:
                self._take(json.loads(frame))

    def _take(self, value):
        if isinstance(value, list) or value.get("id", "") is None:
            self.strays.append(value)
        elif "method" in value:
            self.on_push(value["method"], value["params"])
        else:
            self.on_result(value.get("result"))
            self.answers[value["id"]] = value

    def on_result(self, result):
        """Take a result in its place among the pushes."""

    def on_push(self, method, params):
        self.pushed.append((method, params))

    async def send(self, method, **params):
        name = next(self._ids)
        await self.socket.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": name}))
        return name

    async def answer(self, name, within_s=20.0):
        await until(lambda: name in self.answers or self._task.done(), within_s)
        assert name in self.answers, f"closed with {self.socket.close_code} {self.socket.close_reason}"
        return self.answers.pop(name)

    async def ask(self, method, **params):
        return await self.answer(await self.send(method, **params))

    async def call(self, method, **params):
        answer = await self.ask(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def refused(self, method, **params):
        """Return the name of the error in which a call ended; its code must be the documented one."""
        error = (await self.ask(method, **params))["error"]
        assert error["message"]
        name = error.get("data", {}).get("name")
        if name is None:
            return error["code"]
        assert error["code"] == CODES[name]
        return name

    async def raw(self, frame, **options):
        await self.socket.send(frame, **options)

    async def stray(self):
        await until(lambda: self.strays or self._task.done())
        assert self.strays, f"closed with {self.socket.close_code} {self.socket.close_reason}"
        return self.strays.pop(0)

    async def closed(self, within_s=20.0):
        async with asyncio.timeout(within_s):
            await self.socket.wait_closed()
        return self.socket.close_code

    async def still_there(self):
        assert (await self.call("rpc.discover"))["openrpc"]

    async def close(self):
        await self.socket.close()
        await self._task


class Visitor(Client):
    """Shows messages as a page does: by id, each once."""

    def __init__(self, socket, token):
        super().__init__(socket)
        self.token = token
        self.shown = []
        self.typed = 0
        self.cursor = None

    async def open(self, cursor=None):
        return await self.call("visit.open", token=self.token, **({"cursor": cursor} if cursor else {}))

    def on_result(self, result):
        if "contact" in (result or ()):
            self._show(result)

    def _show(self, opened):
        if opened["snapshot"]:
            self.shown = []
        self.shown += [message["text"] for message in opened["messages"]]
        self.cursor = opened["cursor"]

    def on_push(self, method, params):
        super().on_push(method, params)
        if method == "visit.snapshot":
            self._show(params)
            return
        for event in params["events"]:
            if event["type"] == "message":
                self.shown.append(event["message"]["text"])
                self.cursor = event["message"]["id"]
            elif event["type"] == "typing":
                self.typed += 1

    async def write(self, text, client_id=None, **more):
        return await self.call("message.send", client_id=client_id or text, text=text, **more)


class Desk(Client):
    """Shows what its replica says; a gap or a doubled entry fails the test."""

    def __init__(self, socket, token):
        super().__init__(socket)
        self.token = token
        self.state = DeskState(0, {})
        self.texts = []
        self.typed = 0

    async def open(self, cursor=None, **more):
        fields = {"cursor": cursor} if cursor is not None else {}
        return await self.call("desk.open", token=self.token, **fields, **more)

    def on_result(self, result):
        if (result or {}).get("snapshot"):
            self.state = DeskState.from_snapshot(json.dumps(result))

    def on_push(self, method, params):
        super().on_push(method, params)
        if method == "desk.snapshot":
            self.state = DeskState.from_snapshot(json.dumps(params))
        elif "cursor" in params:
            assert self.state.apply(params["cursor"], json.dumps(params["events"])), "an entry came twice"
            said = [event["message"] for event in params["events"] if event["type"] == "message"]
            self.texts += [message["text"] for message in said]
        else:
            self.typed += 1

    async def reached(self, cursor):
        await until(lambda: self.state.cursor >= cursor or self._task.done())


class Place:
    """A gateway, its store and its router."""

    def __init__(self, url, **sections):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.settings = Settings.model_validate(
            {
                "store": {"url": url},
                "accounts": {"acme": {}, "bolt": {}},
                "inboxes": {
                    "web": {"account": "acme", "channel": "web"},
                    "theirs": {"account": "bolt", "channel": "web"},
                },
                "router": {"count": 1},
                "security": {"secret_key": SECRET},
                **sections,
                "gateway": {"count": 1, "port": self.port} | sections.get("gateway", {}),
            }
        )
        self.redis = valkey.connect(self.settings.store)
        self.local = LocalRouter(self.redis)
        self.router = RouterClient(self.local.carry, shards=1, batch_bytes=80_000, queue_limit=1_000, deadline_s=10.0)
        self.dispatcher = QuietDispatcher()
        self.signer = TokenSigner(SECRET)
        self.clients = []
        self.gateway = None

    async def start(self):
        self.gateway = GatewayActor(self.settings, 0, router=self.router, dispatcher=self.dispatcher)
        async with asyncio.timeout(8):
            while not await self.gateway.ready():
                await asyncio.sleep(0.005)

    async def stop(self):
        for client in self.clients:
            await client.close()
        await self.gateway.drain()
        await self.redis.aclose()

    # -- clients ------------------------------------------------------------------------------------------

    def visitor_token(self, who="v1", account="acme", inbox="web", life_s=600, contact=""):
        claims = VisitorClaims(
            account=account,
            inbox=inbox,
            contact=contact or contact_id(account, "web", inbox, who),
            channel="web",
            external_id=who,
            expires_s=int(time.time() + life_s),
        )
        return self.signer.sign(claims)

    def agent_token(self, agent="ann", account="acme", role="agent", life_s=600.0):
        now = time.time()
        claims = AgentClaims(
            account=account, agent=agent, role=role, session_started_s=int(now), expires_s=int(now + life_s)
        )
        return self.signer.sign(claims)

    async def socket(self, path, **options):
        return await connect(f"ws://127.0.0.1:{self.port}{path}", ping_interval=None, max_size=None, **options)

    async def visitor(self, who="v1", *, opened=True, cursor=None, token=None, **options):
        client = Visitor(await self.socket("/visitor"), token or self.visitor_token(who, **options))
        self.clients.append(client)
        if opened:
            await client.open(cursor)
        return client

    async def desk(self, agent="ann", *, opened=True, cursor=None, token=None, state=None, socket=None, **options):
        client = Desk(socket or await self.socket("/desk"), token or self.agent_token(agent, **options))
        self.clients.append(client)
        if state is not None:
            client.state = state
        if opened:
            await client.open(cursor)
        return client

    # -- what others do -------------------------------------------------------------------------------------

    async def ask(self, command):
        return await self.router.ask(command)

    async def offer(self, conversation, agent="ann", account="acme", accepted=True):
        await self.ask(Offer(account=account, conversation=conversation, agent=agent, epoch=0, expires_at_ms=2**40))
        if accepted:
            await self.ask(Accept(account=account, conversation=conversation, by=agent, role="agent"))

    async def say(self, conversation, text, agent="ann", internal=False):
        return await self.ask(
            Say(
                account="acme",
                conversation=conversation,
                by=agent,
                role="agent",
                client_id=text,
                text=text,
                received_at_ms=1,
                internal=internal,
            )
        )

    async def write(self, who, text):
        reply = await self.router.receive(
            Receive(
                account="acme",
                contact=contact_id("acme", "web", "web", who),
                channel="web",
                inbox="web",
                external_id=who,
                source_id=text,
                text=text,
                received_at_ms=1,
            )
        )
        assert isinstance(reply, Receipt)
        return reply.conversation

    async def held(self, who="v1", agent="ann"):
        """A conversation on an agent's desk."""
        conversation = await self.write(who, "first words")
        await self.offer(conversation, agent)
        return conversation

    async def snapshot(self, agent="ann"):
        """What a fresh desk would show."""
        state = await Reading(self.redis).desk("acme", agent, None)
        held = [
            {"conversation": msgspec.Raw(record), "messages": [msgspec.Raw(message) for message in messages]}
            for record, messages in state.held
        ]
        return DeskState.from_snapshot(msgspec.json.encode({"cursor": state.cursor, "conversations": held}))


@pytest.fixture
async def places(store_url, redis):
    started = []

    async def start(**sections):
        place = Place(store_url, **sections)
        await place.start()
        started.append(place)
        return place

    yield start
    for place in started:
        await place.stop()


@pytest.fixture
async def place(places):
    return await places()


# -- from a visitor to a desk and back ------------------------------------------------------------------------


async def test_a_message_reaches_the_desk_and_the_answer_the_visitor(place):
    visitor, desk = await place.visitor(), await place.desk()
    receipt = await visitor.write("hello")
    assert (receipt["seq"], receipt["message"]) == (1, f"{receipt['conversation']}-1")
    await place.offer(receipt["conversation"], accepted=False)
    answer = await desk.call("message.send", conversation=receipt["conversation"], client_id="a", text="good day")
    assert answer["seq"] == 2
    await visitor.write("thanks")
    await desk.reached(3)
    held = desk.state.conversations[receipt["conversation"]]
    assert (held.conversation.state, [message.text for message in held.messages]) == (
        "assigned",
        ["hello", "good day", "thanks"],
    )
    await until(lambda: visitor.shown == ["good day"])
    assert desk.state == await place.snapshot()


async def test_a_repeated_message_gets_its_first_receipt_and_is_shown_once(place):
    visitor, desk = await place.visitor(), await place.desk()
    first = await visitor.write("hello", client_id="x")
    await place.offer(first["conversation"])
    again = await visitor.write("hello", client_id="x")
    assert again == {**first, "duplicate": True}
    answers = [
        await desk.call("message.send", conversation=first["conversation"], client_id="y", text="yes") for _ in "ab"
    ]
    assert answers[1] == {**answers[0], "duplicate": True}
    await visitor.write("bye")
    await desk.reached(4)
    assert desk.texts == ["yes", "bye"]
    await until(lambda: visitor.shown == ["yes"])


async def test_a_desk_that_was_cut_goes_on_from_its_cursor(place):
    desk = await place.desk()
    conversation = await place.held()
    for number in range(5):
        await place.write("v1", f"a{number}")
    await desk.reached(7)
    desk.socket.transport.abort()
    await desk.socket.wait_closed()
    for number in range(5):
        await place.write("v1", f"b{number}")
    again = await place.desk(opened=False, state=desk.state)
    opened = await again.open(cursor=desk.state.cursor)
    assert (opened["snapshot"], opened["cursor"]) == (False, 7)
    await place.write("v1", "live")
    await again.reached(13)
    assert again.texts == [f"b{number}" for number in range(5)] + ["live"]
    assert again.state == await place.snapshot()
    assert list(again.state.conversations) == [conversation]


async def test_a_desk_without_a_cursor_gets_a_snapshot(place):
    conversation = await place.held()
    for number in range(9):
        await place.write("v1", str(number))
    desk = await place.desk(opened=False)
    opened = await desk.open()
    assert opened["snapshot"]
    assert [message.text for message in desk.state.conversations[conversation].messages] == list("45678")
    await place.write("v1", "live")
    await desk.reached(opened["cursor"] + 1)
    assert desk.texts == ["live"]


async def test_a_desk_behind_a_trimmed_log_gets_a_snapshot(place):
    desk = await place.desk()
    await place.held()
    await desk.reached(2)
    await desk.close()
    for number in range(5):
        await place.write("v1", str(number))
    await place.redis.xtrim(keys.desk_log("acme", "ann"), maxlen=2, approximate=False)
    again = await place.desk(opened=False)
    assert (await again.open(cursor=2))["snapshot"]
    assert again.state == await place.snapshot()


async def test_two_desks_of_one_agent_show_the_same(place):
    one, other = await place.desk(), await place.desk()
    conversation = await place.held()
    await one.call("message.send", conversation=conversation, client_id="a", text="from one")
    await other.call("message.send", conversation=conversation, client_id="a2", text="from the other")
    await one.reached(4)
    await other.reached(4)
    assert one.state == other.state == await place.snapshot()
    assert one.texts == other.texts == ["from one", "from the other"]


async def test_an_ack_is_kept(place):
    desk = await place.desk()
    await place.held()
    await desk.reached(2)
    assert await desk.call("desk.ack", cursor=2) == {"ok": True}
    await place.gateway.acks.flush()
    assert await place.redis.hget(keys.desk_acked("acme"), "ann") == b"2"


async def test_typing_is_shown_to_the_other_side_and_moves_no_cursor(place):
    visitor, desk = await place.visitor(), await place.desk()
    conversation = await place.held()
    await desk.reached(2)
    await visitor.call("typing", conversation=conversation)
    await desk.call("typing", conversation=conversation)
    await until(lambda: desk.typed == visitor.typed == 1)
    assert desk.state.cursor == 2


async def test_notes_never_reach_a_visitor(place):
    visitor, desk = await place.visitor(), await place.desk()
    conversation = await place.held()
    await desk.call("conversation.note", conversation=conversation, client_id="n", text="a note")
    await desk.call("message.send", conversation=conversation, client_id="a", text="an answer")
    await until(lambda: "an answer" in visitor.shown)
    assert "a note" in desk.texts
    assert "a note" not in visitor.shown
    page = await visitor.call("history.page", conversation=conversation)
    again = await place.visitor()
    resumed = await place.visitor(cursor=f"{conversation}-1")
    for texts in ([message["text"] for message in page["messages"]], again.shown):
        assert texts == ["first words", "an answer"]
    assert resumed.shown == ["an answer"]
    page = await desk.call("history.page", conversation=conversation)
    assert [message["text"] for message in page["messages"]] == ["first words", "a note", "an answer"]


async def test_history_comes_in_pages_without_gaps(place):
    visitor = await place.visitor()
    for number in range(7):
        conversation = (await visitor.write(str(number)))["conversation"]
    texts, before = [], None
    for _ in range(3):
        page = await visitor.call("history.page", conversation=conversation, limit=3, before=before)
        texts = [message["text"] for message in page["messages"]] + texts
        if not page["more"]:
            break
        before = page["messages"][0]["seq"]
    assert texts == list("0123456")


async def test_a_visitor_that_was_cut_sees_each_answer_once(place):
    visitor = await place.visitor()
    conversation = await place.held()
    await place.say(conversation, "one")
    await until(lambda: visitor.shown == ["one"])
    visitor.socket.transport.abort()
    await place.say(conversation, "two")
    again = await place.visitor(cursor=visitor.cursor)
    await place.say(conversation, "three")
    await until(lambda: "three" in again.shown)
    assert again.shown == ["two", "three"]


async def test_a_visitors_own_messages_are_not_pushed_to_it(place):
    visitor = await place.visitor()
    for number in range(5):
        await visitor.write(str(number))
    conversation = (await visitor.write("last"))["conversation"]
    await place.offer(conversation)
    for session in tuple(place.gateway._sessions):
        session.expect_gap()
        await session.resume()
    await place.say(conversation, "answer")
    await until(lambda: "answer" in visitor.shown)
    pushed = [event for method, params in visitor.pushed if method == "event" for event in params["events"]]
    assert [event["message"]["text"] for event in pushed] == ["answer"]


async def test_a_visitor_linked_into_an_older_conversation_sees_what_is_said_there(place):
    older = await place.held("user")
    visitor = await place.visitor("guest")
    await visitor.write("I am new here")
    await place.say(older, "before")
    source = Identity(account="acme", channel="web", inbox="web", external_id="guest")
    await Linker(place.router).link(source, contact_id("acme", "web", "web", "user"))
    await until(lambda: "visit.snapshot" in dict(visitor.pushed))
    await place.say(older, "welcome back")
    await until(lambda: "welcome back" in visitor.shown)
    assert visitor.shown == ["first words", "before", "I am new here", "welcome back"]
    assert (await visitor.write("thanks"))["conversation"] == older


async def test_an_opening_that_failed_can_be_tried_again(place):
    desk, visitor = await place.desk(opened=False), await place.visitor(opened=False)
    conversation = await place.held()
    place.dispatcher.down = True
    assert await desk.refused("desk.open", token=desk.token, presence="online") == "unavailable"
    place.dispatcher.down = False
    assert await desk.refused("desk.open", token=desk.token, cursor=99) == "cursor_ahead"
    assert await visitor.refused("visit.open", token=visitor.token, cursor=f"{conversation}-9") == "cursor_ahead"
    await desk.open()
    await visitor.open()
    await place.say(conversation, "live")
    await until(lambda: desk.texts == ["live"] and visitor.shown[-1:] == ["live"])


async def test_a_failed_opening_leaves_nothing_of_its_visitor_behind(place):
    visitor = await place.visitor("v1", opened=False)
    await place.write("v1", "mine")
    assert await visitor.refused("visit.open", token=visitor.token, cursor=f"{NOWHERE}-1") == "cursor_ahead"
    visitor.token = place.visitor_token("w1", account="bolt", inbox="theirs")
    await visitor.open()
    receipt = await visitor.write("from bolt")
    assert await place.redis.exists(keys.conversation("bolt", receipt["conversation"]))
    record = json.loads(await place.redis.get(keys.conversation("bolt", receipt["conversation"])))
    assert record["contact"] == contact_id("bolt", "web", "theirs", "w1")
    assert visitor.shown == []


async def test_a_desk_that_reads_slowly_gets_everything_in_order(place):
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    narrow.connect(("127.0.0.1", place.port))
    slow = await connect(
        f"ws://127.0.0.1:{place.port}/desk", sock=narrow, ping_interval=None, max_size=None, max_queue=1
    )
    await slow.send(
        json.dumps({"jsonrpc": "2.0", "id": 0, "method": "desk.open", "params": {"token": place.agent_token()}})
    )
    await slow.recv()
    (session,) = place.gateway._sessions
    await place.held()
    texts = [f"{number:04} " + "x" * 18_000 for number in range(320)]
    for start in range(0, len(texts), 20):
        await asyncio.gather(*(place.write("v1", text) for text in texts[start : start + 20]))
    await until(lambda: session.paused)
    assert slow.transport is not None
    desk = Desk(slow, "")
    place.clients.append(desk)
    await until(lambda: len(desk.texts) == len(texts), within_s=20)
    assert desk.texts == texts
    assert not session.paused
    await place.write("v1", "live again")
    await until(lambda: desk.texts[-1] == "live again")


async def test_more_events_than_are_kept_back_while_a_desk_opens_are_all_shown(place, monkeypatch):
    monkeypatch.setattr("deployments.sockets.session._MOST_KEPT_BACK", 3)
    await place.held()
    presence_of = place.gateway.presence_of

    async def slowly(claims, wanted):
        for number in range(10):
            await place.write("v1", str(number))
        await until(lambda: not place.router.waiting)
        await asyncio.sleep(0.05)
        return await presence_of(claims, wanted)

    monkeypatch.setattr(place.gateway, "presence_of", slowly)
    desk = await place.desk()
    await until(lambda: desk.texts == list("0123456789"))
    assert desk.state == await place.snapshot()


# -- the store dies under live sockets ------------------------------------------------------------------------


@pytest.fixture
async def own_store():
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    server = EmbeddedStore(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


async def test_a_store_that_is_killed_under_live_sockets_loses_and_doubles_nothing(own_store):
    place = Place(own_store.url)
    await place.start()
    visitor, desk = await place.visitor(), await place.desk()
    conversation = await place.held()
    sent, answers = [], []

    async def write(number):
        text = f"w{number:03}"
        sent.append(text)
        await visitor.write(text)

    async def answer(number):
        text = f"a{number:03}"
        answers.append(text)
        await desk.call("message.send", conversation=conversation, client_id=text, text=text)

    for start in (0, 20, 40):
        work = [asyncio.ensure_future(each(number)) for number in range(start, start + 20) for each in (write, answer)]
        await asyncio.sleep(0.005)
        if start < 40:
            async with Redis.from_url(own_store.url) as client:
                pid = (await client.info("server"))["process_id"]
            os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.05)
            await asyncio.to_thread(own_store.ensure_alive)
        await asyncio.gather(*work)
    await until(lambda: len(desk.texts) >= 120 and len(visitor.shown) >= 60)
    assert [text for text in desk.texts if text in set(sent)] == sent
    assert sorted(desk.texts) == sorted(sent + answers)
    assert visitor.shown == answers
    assert desk.state == await place.snapshot()
    await place.stop()


async def test_what_came_while_the_subscription_was_broken_is_shown(place, monkeypatch):
    visitor, desk = await place.visitor(), await place.desk()
    conversation = await place.held()
    await place.say(conversation, "before")
    await until(lambda: visitor.shown == ["before"])
    failures = [ConnectionError("loading")] * 3
    for method in ("visit", "desk"):
        read = getattr(Reading, method)

        async def loading(self, *args, read=read):
            if failures:
                raise failures.pop()
            return await read(self, *args)

        monkeypatch.setattr(Reading, method, loading)
    # the connection of the subscription alone is cut, and an answer comes before it is back
    await place.redis.client_kill_filter(_type="pubsub")
    await place.say(conversation, "meanwhile")
    await until(lambda: visitor.shown == ["before", "meanwhile"] and desk.texts == ["before", "meanwhile"])
    assert failures == []
    await place.say(conversation, "after")
    await until(lambda: visitor.shown[-1] == "after" and desk.texts[-1] == "after")


async def test_what_comes_live_does_not_overtake_what_was_missed(place, monkeypatch):
    monkeypatch.setattr("deployments.sockets.hub._RESUMES_AT_ONCE", 1)
    visitors = {who: await place.visitor(who) for who in ("v1", "v2")}
    conversations = {who: await place.held(who) for who in visitors}
    for who, conversation in conversations.items():
        await place.say(conversation, f"first for {who}")
        await until(lambda who=who: visitors[who].shown)
    read, reading, may_read = Reading.visit, asyncio.Event(), asyncio.Event()

    async def slowly(self, *args):
        reading.set()
        await may_read.wait()
        return await read(self, *args)

    monkeypatch.setattr(Reading, "visit", slowly)
    await place.redis.client_kill_filter(_type="pubsub")
    for who, conversation in conversations.items():
        await place.say(conversation, f"missed by {who}")
    # one socket reads its gap, the other waits for its turn, and both are fed again
    await reading.wait()
    for who, conversation in conversations.items():
        await place.say(conversation, f"live for {who}")
    may_read.set()
    for who, visitor in visitors.items():
        await until(lambda who=who, visitor=visitor: f"live for {who}" in visitor.shown)
        assert visitor.shown == [f"first for {who}", f"missed by {who}", f"live for {who}"]


# -- bad input ----------------------------------------------------------------------------------------------------


BAD_FRAMES = [
    (b"{", -32700),
    (b"", -32700),
    (b"hello", -32700),
    (b'"text"', -32600),
    (b"17", -32600),
    (b"{}", -32600),
    (b'{"jsonrpc":"1.0","method":"x"}', -32600),
    (b'{"jsonrpc":"2.0","method":7}', -32600),
    (b'{"jsonrpc":"2.0","method":"x","id":1.5}', -32600),
    (b'{"jsonrpc":"2.0","method":"x","id":' + b"9" * 5_000 + b"}", -32600),
    (b"[]", -32600),
    (b"[" + b",".join([b"{}"] * 101) + b"]", -32600),
    (b"[" * 60_000, -32700),
    (b'{"jsonrpc":"2.0","method":"x","params":' + b"[" * 60_000, -32700),
    (b'"\\ud800"', -32700),
]


@pytest.mark.parametrize("path", ["/desk", "/visitor"])
async def test_what_is_no_call_is_answered_so_and_the_socket_stays(place, path):
    client = Client(await place.socket(path))
    place.clients.append(client)
    for frame, code in BAD_FRAMES:
        await client.raw(frame, text=True)
        answer = await client.stray()
        assert answer is not None, frame[:60]
        assert (answer["error"]["code"], answer["id"]) == (code, None), frame[:60]
    await client.still_there()


async def test_an_unknown_method_or_wrong_parameter_is_answered_with_its_code(place):
    desk = await place.desk()
    visitor = await place.visitor()
    assert await desk.refused("message.explode") == -32601
    assert await visitor.refused("conversation.resolve", conversation=NOWHERE) == -32601
    wrong = [
        ("message.send", {"conversation": NOWHERE, "client_id": "x", "text": 7}),
        ("message.send", {"conversation": NOWHERE, "client_id": "x"}),
        ("message.send", {"conversation": NOWHERE, "client_id": "", "text": "x"}),
        ("message.send", {"conversation": NOWHERE, "client_id": "x" * 200, "text": "x"}),
        ("message.send", {"conversation": NOWHERE, "client_id": "x", "text": "x", "colour": "red"}),
        ("desk.ack", {"cursor": -1}),
        ("desk.ack", {"cursor": "2"}),
        ("desk.ack", {"cursor": True}),
        ("history.page", {"conversation": NOWHERE, "limit": 100_000}),
        ("presence.set", {"status": "asleep"}),
    ]
    for method, params in wrong:
        assert await desk.refused(method, **params) == -32602, (method, params)
    await desk.raw('{"jsonrpc":"2.0","method":"desk.ack","params":[1],"id":"positional"}')
    assert (await desk.answer("positional"))["error"]["code"] == -32602
    await desk.still_there()


async def test_a_number_that_fits_nowhere_is_refused_and_costs_no_other_socket(place):
    desk, visitor = await place.desk(), await place.visitor()
    conversation = await place.held()
    writing = [asyncio.ensure_future(visitor.write(f"m{number}")) for number in range(20)]
    assert await desk.refused("conversation.snooze", conversation=conversation, until_ms=2**80) == "bad_request"
    await asyncio.gather(*writing)
    assert await desk.refused("desk.ack", cursor=2**80) == "cursor_ahead"
    other = await place.desk(opened=False)
    assert await other.refused("desk.open", token=other.token, cursor=2**80) == "cursor_ahead"


async def test_a_frame_over_the_limit_closes_its_socket_only(place):
    big, other = await place.visitor("v1"), await place.visitor("v2")
    with contextlib.suppress(ConnectionClosed):
        await big.raw('{"jsonrpc":"2.0","method":"message.send","params":{"text":"' + "x" * 10_000_000)
    assert await big.closed() == 1009
    await other.write("still here")


async def test_fragments_are_joined_up_to_the_limit_of_one_frame(place):
    visitor = await place.visitor()
    call = json.dumps(
        {"jsonrpc": "2.0", "id": "f", "method": "message.send", "params": {"client_id": "f", "text": "grüße"}},
        ensure_ascii=False,
    )
    await visitor.raw([call[:20], call[20:60], call[60:]])
    assert (await visitor.answer("f"))["result"]["seq"] == 1
    with contextlib.suppress(ConnectionClosed):
        await visitor.raw("x" * 1_000 for _ in range(200))
    assert await visitor.closed() == 1009


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xfe",
        b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        b'{"jsonrpc":"2.0","id":1,"method":"message.send","params":{"client_id":"x","text":"\xff"}}',
        b'[{"jsonrpc":"2.0","id":1,"method":"message.send","params":{"client_id":"x","text":"\xff"}}]',
    ],
)
async def test_invalid_utf8_closes_its_socket_only(place, frame):
    bad, other = await place.visitor("v1"), await place.visitor("v2")
    await bad.raw(frame, text=True)
    assert await bad.closed() == 1007
    await other.write("still here")


async def test_a_binary_frame_closes_its_socket_only(place):
    bad, other = await place.visitor("v1"), await place.visitor("v2")
    await bad.raw(b'{"jsonrpc":"2.0","method":"rpc.discover","id":1}')
    assert await bad.closed() == 1003
    await other.write("still here")


async def test_a_text_over_the_limit_is_refused_and_the_socket_stays(places):
    place = await places(limits={"text_bytes": 100})
    visitor, desk = await place.visitor(), await place.desk()
    conversation = await place.held()
    assert await visitor.refused("message.send", client_id="x", text="ü" * 51) == "too_large"
    assert await desk.refused("message.send", conversation=conversation, client_id="x", text="x" * 101) == "too_large"
    assert (await visitor.write("ü" * 50))["seq"] == 2


async def test_a_batch_is_answered_as_a_batch(place):
    visitor = await place.visitor()
    calls = [
        {"jsonrpc": "2.0", "id": 1, "method": "message.send", "params": {"client_id": "1", "text": "one"}},
        {"jsonrpc": "2.0", "method": "message.send", "params": {"client_id": "2", "text": "two"}},
        {"jsonrpc": "2.0", "id": "x", "method": "no.such"},
        {"id": 5},
        {"jsonrpc": "2.0", "id": None, "method": "message.send", "params": {"client_id": "3", "text": "three"}},
    ]
    await visitor.raw(" " + json.dumps(calls))
    answers = await visitor.stray()
    outcome = {answer["id"]: answer.get("result", answer.get("error")) for answer in answers if answer["id"]}
    assert len(answers) == 4
    assert outcome[1]["seq"] == 1
    assert (outcome["x"]["code"], outcome[5]["code"]) == (-32601, -32600)
    await visitor.raw(json.dumps([calls[1], calls[1]]))
    assert (await visitor.write("four"))["seq"] == 4


# -- who may what -------------------------------------------------------------------------------------------------


async def test_nothing_works_before_the_session_is_opened(place):
    desk, visitor = await place.desk(opened=False), await place.visitor(opened=False)
    assert await desk.refused("conversation.resolve", conversation=NOWHERE) == "unauthorized"
    assert await desk.refused("desk.ack", cursor=0) == "unauthorized"
    assert await visitor.refused("message.send", client_id="x", text="x") == "unauthorized"
    assert await visitor.refused("history.page", conversation=NOWHERE) == "unauthorized"


async def test_a_token_that_is_not_valid_here_opens_nothing(place):
    desk, visitor = await place.desk(opened=False), await place.visitor(opened=False)
    forged = TokenSigner("f" * 40)
    place_signer, place.signer = place.signer, forged
    forgeries = (place.agent_token(), place.visitor_token())
    place.signer = place_signer
    expired = (place.agent_token(life_s=-1), place.visitor_token(life_s=-1))
    swapped = (place.visitor_token(), place.agent_token())
    head, body, signature = place.agent_token().split(".")
    tampered = f"{head}.{body[:-2]}AA.{signature}"
    for for_desk, for_visitor in (forgeries, expired, swapped, ("x", "x"), (tampered, "a.b.c"), ("é", "\0")):
        assert await desk.refused("desk.open", token=for_desk) == "unauthorized"
        assert await visitor.refused("visit.open", token=for_visitor) == "unauthorized"
    assert await desk.refused("desk.open") == -32602
    assert await visitor.refused("visit.open", token=place.visitor_token(inbox="gone")) == "unauthorized"
    assert await visitor.refused("visit.open", token=place.visitor_token(account="bolt")) == "unauthorized"
    await desk.open()
    assert await desk.refused("desk.open", token=desk.token) == "unauthorized"


async def test_a_forged_cursor_is_refused(place):
    conversation = await place.held()
    foreign = await place.write("v2", "not yours")
    desk, visitor = await place.desk(opened=False), await place.visitor(opened=False)
    assert await desk.refused("desk.open", token=desk.token, cursor=3) == "cursor_ahead"
    for cursor in (f"{conversation}-2", f"{foreign}-1", f"{NOWHERE}-1"):
        assert await visitor.refused("visit.open", token=visitor.token, cursor=cursor) == "cursor_ahead"
    for cursor in ("x", conversation, f"{conversation}-", f"{conversation}-x", f"{conversation}--1", "-1"):
        assert await visitor.refused("visit.open", token=visitor.token, cursor=cursor) == "bad_request"
    await desk.open()
    await visitor.open()
    assert await desk.refused("desk.ack", cursor=3) == "cursor_ahead"
    assert await visitor.refused("visit.ack", cursor=f"{conversation}-2") == "not_found"


async def test_a_cursor_ahead_of_the_conversation_before_is_refused(place):
    conversation = await place.held()
    await place.ask(Resolve(account="acme", conversation=conversation, by="ann", role="agent"))
    await place.write("v1", "a new case")
    visitor = await place.visitor(opened=False)
    assert await visitor.refused("visit.open", token=visitor.token, cursor=f"{conversation}-99") == "cursor_ahead"
    opened = await visitor.open(f"{conversation}-1")
    assert [message["text"] for message in opened["messages"]] == ["conversation.resolved", "a new case"]


async def test_a_visitor_learns_its_place_in_the_queue_and_rates_what_was_closed(place):
    visitor, desk = await place.visitor(), await place.desk()
    assert await visitor.call("visit.place") == {
        "conversation": None, "state": None, "agent": "", "ahead": None, "estimate_s": None, "rating": 0,
        "seen_seq": 0, "closed": False, "opens_at_ms": None,
    }  # fmt: skip
    before = await place.visitor("v0")
    await before.write("first")
    conversation = (await visitor.write("hello"))["conversation"]
    waiting = await visitor.call("visit.place")
    assert (waiting["conversation"], waiting["state"], waiting["ahead"]) == (conversation, "waiting", 1)
    assert (await before.call("visit.place"))["ahead"] == 0
    assert await visitor.refused("conversation.rate", conversation=conversation, score=5) == "conflict"
    await place.offer(conversation)
    assigned = await visitor.call("visit.place")
    assert (assigned["state"], assigned["agent"], assigned["ahead"]) == ("assigned", "ann", None)
    await desk.call("conversation.resolve", conversation=conversation)
    for wrong in (0, 6, "5", 4.5):
        assert await visitor.refused("conversation.rate", conversation=conversation, score=wrong) == -32602
    for foreign in (NOWHERE, "x"):
        assert await visitor.refused("conversation.rate", conversation=foreign, score=5) == "not_found"
    assert await before.refused("conversation.rate", conversation=conversation, score=1) == "not_found"
    await visitor.call("conversation.rate", conversation=conversation, score=4, comment="quick")
    rated = await visitor.call("visit.place")
    assert (rated["state"], rated["rating"]) == ("resolved", 4)


async def test_a_message_for_a_resolved_or_foreign_conversation_is_refused(place):
    visitor, desk = await place.visitor(), await place.desk()
    conversation = await place.held()
    foreign = await place.held("v2", agent="bob")
    assert await visitor.refused("message.send", client_id="x", text="x", conversation=foreign) == "not_found"
    assert await visitor.refused("message.send", client_id="x", text="x", conversation=NOWHERE) == "not_found"
    assert await visitor.refused("history.page", conversation=foreign) == "not_found"
    assert await visitor.refused("typing", conversation=foreign) == "forbidden"
    for method, params in (
        ("message.send", {"client_id": "x", "text": "x"}),
        ("conversation.note", {"client_id": "x", "text": "x"}),
        ("conversation.accept", {}),
        ("conversation.resolve", {}),
        ("conversation.transfer", {"to_agent": "ann"}),
        ("conversation.snooze", {"until_ms": 2**45}),
        ("typing", {}),
    ):
        assert await desk.refused(method, conversation=foreign, **params) == "forbidden", method
        assert await desk.refused(method, conversation=NOWHERE, **params) == "not_found", method
        assert await desk.refused(method, conversation="x", **params) == "not_found", method
    await desk.call("conversation.resolve", conversation=conversation)
    assert await visitor.refused("message.send", client_id="x", text="x", conversation=conversation) == "conflict"
    assert await desk.refused("message.send", conversation=conversation, client_id="x", text="x") == "conflict"


async def test_an_agent_of_another_account_finds_nothing(place):
    conversation = await place.held()
    stranger = await place.desk("ann", account="bolt", role="admin")
    assert stranger.state.conversations == {}
    for method, params in (
        ("message.send", {"client_id": "x", "text": "x"}),
        ("conversation.accept", {}),
        ("conversation.resolve", {}),
        ("conversation.transfer", {"to_agent": "ann"}),
        ("history.page", {}),
        ("typing", {}),
    ):
        assert await stranger.refused(method, conversation=conversation, **params) == "not_found", method
    await place.say(conversation, "secret")
    await stranger.still_there()
    assert [method for method, _ in stranger.pushed] == []


async def test_a_visitor_cannot_read_another_accounts_conversation(place):
    conversation = await place.held()
    stranger = await place.visitor("v1", account="bolt", inbox="theirs")
    assert stranger.shown == []
    assert await stranger.refused("history.page", conversation=conversation) == "not_found"
    assert await stranger.refused("message.send", client_id="x", text="x", conversation=conversation) == "not_found"


# -- limits and lifetimes -----------------------------------------------------------------------------------------


async def test_calls_over_the_rate_are_refused_and_do_nothing(places):
    place = await places(limits={"socket_rate": 1, "socket_burst": 5})
    visitor = await place.visitor()
    names = [await visitor.send("message.send", client_id=str(n), text=str(n)) for n in range(8)]
    answers = [await visitor.answer(name) for name in names]
    refused = [answer["error"] for answer in answers if "error" in answer]
    assert len(refused) == 4
    assert {error["data"]["name"] for error in refused} == {"rate_limited"}
    assert all(error["data"]["retry_after_s"] > 0 for error in refused)
    conversation = answers[0]["result"]["conversation"]
    assert await place.redis.llen(keys.session("acme", conversation)) == 4
    other = await place.visitor("v2")
    await other.write("not my rate")


async def test_a_socket_that_does_not_listen_to_refusals_is_closed(places):
    place = await places(limits={"socket_rate": 1, "socket_burst": 2})
    visitor = await place.visitor()
    with contextlib.suppress(ConnectionClosed):
        for _ in range(500):
            await visitor.raw("{")
    assert await visitor.closed() == 1008


async def test_an_address_has_so_many_sockets_and_no_more(places):
    place = await places(limits={"sockets_per_address": 2})
    one, _two = await place.visitor("v1"), await place.visitor("v2")
    third = Client(await place.socket("/visitor"))
    place.clients.append(third)
    assert await third.closed() == 1008
    await one.close()
    await until(lambda: len(place.gateway._sessions) == 1)
    await place.visitor("v3")


async def test_an_unknown_path_is_no_socket(place):
    with pytest.raises(Exception, match=r"HTTP 4\d\d|did not receive|connection closed|HTTP 404"):
        await place.socket("/admin")


async def test_a_socket_that_never_opens_its_session_is_closed(places):
    place = await places(gateway={"open_timeout_s": 0.5})
    busy, idle = await place.visitor("v2"), await place.visitor(opened=False)
    assert await idle.closed() == 4408
    await busy.write("still here")


async def test_a_socket_ends_with_its_token(place):
    visitor = await place.visitor(life_s=3)
    assert await visitor.closed() == 4401


async def test_a_desk_goes_on_with_a_renewed_token(place):
    expiring, renewed = await place.desk("ann", life_s=3), await place.desk("bob", life_s=3)
    assert await renewed.refused("session.renew", token=place.agent_token("ann")) == "unauthorized"
    assert await renewed.refused("session.renew", token=place.agent_token("bob", account="bolt")) == "unauthorized"
    assert await renewed.refused("session.renew", token=place.agent_token("bob", life_s=-1)) == "unauthorized"
    assert await renewed.refused("session.renew", token=place.visitor_token()) == "unauthorized"
    await renewed.call("session.renew", token=place.agent_token("bob", life_s=6_000))
    assert await expiring.closed() == 4401
    await asyncio.sleep(1)
    await renewed.still_there()


async def raw_socket(place):
    """Open a visitor's socket whose client is ours to the last byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(
        b"GET /visitor HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def masked(opcode, payload=b""):
    """Return a client's frame of up to 125 bytes, masked with zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


async def test_a_client_that_has_fallen_silent_is_pinged_and_then_dropped(places):
    place = await places(gateway={"visitor_ping_idle_s": 0.4})
    silent, _ = await raw_socket(place)
    began_at = time.monotonic()
    async with asyncio.timeout(10):
        assert await silent.readexactly(2) == b"\x89\x00"
        pinged_at = time.monotonic()
        head = await silent.readexactly(2)
        close = await silent.readexactly(head[1])
        assert (head[0], int.from_bytes(close[:2], "big")) == (0x88, 1001)
        assert not await silent.read()
    assert pinged_at - began_at >= 0.2
    assert time.monotonic() - pinged_at >= 0.35
    await until(lambda: not place.gateway._sessions)


async def test_a_client_that_only_answers_pings_or_only_sends_some_stays(places):
    place = await places(gateway={"visitor_ping_idle_s": 0.4})
    answering, pinging = await place.visitor("v1"), await raw_socket(place)
    reader, writer = pinging
    for _ in range(15):
        writer.write(masked(9, b"hi"))
        async with asyncio.timeout(10):
            assert await reader.readexactly(4) == b"\x8a\x02hi", "a ping of its own came, though it is not silent"
        await asyncio.sleep(0.1)
    await answering.write("still here")
    assert len(place.gateway._sessions) == 2
    writer.close()


async def test_agents_who_open_at_once_share_a_call_and_each_gets_its_own_presence(place):
    names = [f"agent{number}" for number in range(40)]
    desks = await asyncio.gather(*(place.desk(name, opened=False) for name in names))
    opened = await asyncio.gather(
        *(desk.open(presence=("away", "online", None)[number % 3]) for number, desk in enumerate(desks))
    )
    assert [each["presence"] for each in opened[:4]] == ["away", "online", "online", "away"]
    told = [args for method, args in place.dispatcher.calls if method == "set_presences"]
    chosen = [each for account, some in told for each in some if account == "acme"]
    assert sorted(chosen) == sorted((name, ("away", "online")[n % 3], "") for n, name in enumerate(names) if n % 3 < 2)
    assert len(told) < len(chosen)
    await place.redis.hset(keys.presence("acme"), "agent2", '{"status":"away"}')
    again = await place.desk("agent2", opened=False)
    assert (await again.open())["presence"] == "away"


def reports_of(place):
    return [decode_desk_report(args[0]) for method, args in place.dispatcher.calls if method == "report_desks"]


async def test_the_dispatcher_is_told_of_desks_that_come_and_go_and_only_of_those(place):
    await until(lambda: reports_of(place))
    one, other = await place.desk(), await place.desk()
    await until(lambda: any(report.opened == [("acme", "ann")] for report in reports_of(place)))
    told = len(reports_of(place))
    await one.close()
    await place.desk("bob")
    await other.close()
    await until(lambda: any(report.closed == [("acme", "ann")] for report in reports_of(place)[told:]))
    # reports that tell nothing but that the gateway lives may stand between
    news = [(report.opened, report.closed) for report in reports_of(place)[told:] if report.opened or report.closed]
    assert news in ([([("acme", "bob")], []), ([], [("acme", "ann")])], [([("acme", "bob")], [("acme", "ann")])])
    assert [report.continues for report in reports_of(place)] == [None, *(r.number for r in reports_of(place)[:-1])]


async def test_a_dispatcher_that_was_away_is_told_all_desks_at_once(place):
    await place.desk("ann")
    await until(lambda: any(report.opened for report in reports_of(place)))
    place.dispatcher.down = True
    await place.desk("bob")
    await asyncio.sleep(0.2)
    told = len(reports_of(place))
    place.dispatcher.down = False
    await until(lambda: len(reports_of(place)) > told)
    report = reports_of(place)[told]
    assert (report.continues, sorted(report.opened)) == (None, [("acme", "ann"), ("acme", "bob")])


async def test_a_desk_whose_socket_goes_while_it_opens_is_not_counted(place, monkeypatch):
    socket = await place.socket("/desk")
    reached = asyncio.Event()

    async def presence_of(claims, wanted):
        (session,) = place.gateway._sessions
        socket.transport.abort()
        with contextlib.suppress(asyncio.CancelledError):  # as wait_for does that has its result already
            while session.transport is not None:
                await asyncio.sleep(0)
            await asyncio.sleep(1)
        reached.set()
        return "online"

    monkeypatch.setattr(place.gateway, "presence_of", presence_of)
    await Client(socket).send("desk.open", token=place.agent_token())
    async with asyncio.timeout(5):
        await reached.wait()
    await asyncio.sleep(0)
    assert len(place.gateway._desks) == 0


async def test_a_client_that_asks_and_does_not_read_is_not_buffered_for(places):
    place = await places(limits={"socket_rate": 10_000, "socket_burst": 10_000})
    conversation = await place.held()
    await asyncio.gather(*(place.write("v1", f"{number} " + "x" * 18_000) for number in range(100)))
    deaf = await connect(f"ws://127.0.0.1:{place.port}/visitor", ping_interval=None, max_size=None, max_queue=1)
    call = {"jsonrpc": "2.0", "id": 0, "method": "visit.open", "params": {"token": place.visitor_token()}}
    await deaf.send(json.dumps(call))
    await deaf.recv()
    (session,) = place.gateway._sessions
    page = {"method": "history.page", "params": {"conversation": conversation, "limit": 100}}
    for number in range(100):
        await deaf.send(json.dumps(call | page | {"id": number}))
    await until(lambda: session.paused)
    await asyncio.sleep(0.2)
    assert session.transport.underlying_transport.get_write_buffer_size() < 10_000_000
    answers = [json.loads(await deaf.recv())["id"] for _ in range(100)]
    assert answers == list(range(100))
    await deaf.close()


async def test_a_batch_has_so_many_bytes_of_history_and_no_more(place):
    conversation = await place.held()
    await asyncio.gather(*(place.write("v1", f"{number} " + "x" * 18_000) for number in range(25)))
    desk = await place.desk()
    call = {"jsonrpc": "2.0", "method": "history.page", "params": {"conversation": conversation, "limit": 25}}
    await desk.raw(json.dumps([call | {"id": number} for number in range(20)]))
    answers = await desk.stray()
    refused = [answer["error"]["data"]["name"] for answer in answers if "error" in answer]
    assert len(answers) == 20
    assert set(refused) == {"too_large"}
    assert len(refused) == 18


async def test_a_gateway_that_drains_sends_its_sockets_elsewhere(store_url, redis):
    place = Place(store_url)
    await place.start()
    visitor = await place.visitor()
    await visitor.write("hello")
    await place.gateway.drain()
    assert await visitor.closed() == 1012
    with pytest.raises(OSError):
        await place.socket("/visitor")
    await place.redis.aclose()


async def test_while_the_router_is_late_a_message_is_refused_with_its_id_and_all_else_is_heard(place, monkeypatch):
    visitor = await place.visitor()
    receipt = await visitor.call("message.send", client_id="a", text="before")
    monkeypatch.setattr(place.router, "late", lambda shard: True)
    assert await visitor.refused("message.send", client_id="b", text="too much") == "unavailable"
    assert await visitor.refused("message.send", client_id="b", text="too much") == "unavailable"
    await visitor.call("visit.ack", cursor=receipt["message"])
    monkeypatch.undo()
    assert (await visitor.call("message.send", client_id="b", text="now"))["seq"] == receipt["seq"] + 1
