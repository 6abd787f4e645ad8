"""The bot in a whole system with the shipped model: a visitor's question, a human who is asked for, a dead model."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from cluster.load.run.strikes import Population
from cluster.store import keys, valkey
from cluster.store.directory import Directory
from deployments.commands.own_system import OwnSystem
from models.domain.agent import User
from tests.gateway_client import WITHIN_S, Socket, said_by
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
ACCOUNT, AGENT, PASSWORD = "acme", "ann", "correct horse battery"
CONFIG = {
    "accounts": {ACCOUNT: {}},
    "inboxes": {"web": {"account": ACCOUNT, "channel": "web"}},
    "intent": {"enabled": True},
    "bot": {"enabled": True},
}


@pytest.fixture(scope="module")
def system() -> Iterator[OwnSystem]:
    with OwnSystem(CONFIG) as system:
        asyncio.run(hire(system))
        yield system


async def hire(system: OwnSystem) -> None:
    async with valkey.connect(system.settings.store) as redis:
        await Directory(redis).add(ACCOUNT, User(name=AGENT, capacity=50), PASSWORD)


@pytest.fixture
def visitor(system: OwnSystem) -> Iterator[Socket]:
    visit = httpx.post(f"{system.base}/v1/connect", json={"inbox": "web"}).raise_for_status().json()
    with connect(visit["gateway"]) as connection:
        socket = Socket(connection)
        socket.call("visit.open", token=visit["token"])
        yield socket


@pytest.fixture
def desk(system: OwnSystem) -> Iterator[Socket]:
    login = {"account": ACCOUNT, "name": AGENT, "password": PASSWORD}
    session = httpx.post(f"{system.base}/v1/login", json=login).raise_for_status().json()
    headers = {"Authorization": f"Bearer {session['token']}"}
    seat = httpx.post(f"{system.base}/v1/connect", headers=headers).raise_for_status().json()
    with connect(seat["gateway"]) as connection:
        socket = Socket(connection)
        socket.call("desk.open", token=session["token"], presence="online")
        yield socket


def offer_of(conversation: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["type"] == "offered" and event["conversation"]["id"] == conversation


def model_answers(system: OwnSystem) -> bool:
    """Tell whether the routers have found the model: the first questions after a start go to humans, in silence."""
    visit = httpx.post(f"{system.base}/v1/connect", json={"inbox": "web"}).raise_for_status().json()
    with connect(visit["gateway"]) as connection:
        socket = Socket(connection, within_s=3.0)
        socket.call("visit.open", token=visit["token"])
        socket.write("Where is my parcel?")
        try:
            socket.until(said_by("bot"))
        except TimeoutError:
            return False
        return True


@pytest.mark.parametrize("text", ["Where is my parcel?", "我的快递到哪里了"])
def test_a_common_question_is_answered_by_the_bot(system: OwnSystem, visitor: Socket, text: str) -> None:
    wait_until(lambda: model_answers(system), WITHIN_S, "the bot to answer")
    conversation = visitor.write(text)
    answer = visitor.until(said_by("bot"))["message"]
    assert (answer["conversation"], answer["reply_to"]) == (conversation, f"{conversation}-1")
    assert answer["text"]
    with system.store() as store:
        assert store.zscore(keys.bot(ACCOUNT), conversation)
        assert store.zscore(keys.waiting(ACCOUNT), conversation) is None


def test_who_asks_for_a_human_gets_one_who_knows_what_it_is_about(
    system: OwnSystem, visitor: Socket, desk: Socket
) -> None:
    wait_until(lambda: model_answers(system), WITHIN_S, "the bot to answer")
    visitor.write("Where is my parcel?")
    visitor.until(said_by("bot"))
    conversation = visitor.write("I want to talk to a human")
    offer = desk.until(offer_of(conversation))
    insight = offer["conversation"]["insight"]
    assert insight["seq"] == 3
    assert 0 < insight["confidence"] <= 1
    assert [message["author"] for message in offer["messages"]] == ["contact", "bot", "contact", "bot"]
    desk.call("message.send", conversation=conversation, client_id="1", text="Good day, this is Ann.")
    assert visitor.until(said_by("agent"))["message"]["text"] == "Good day, this is Ann."


def test_a_model_that_dies_leaves_nobody_without_an_answer(system: OwnSystem, visitor: Socket, desk: Socket) -> None:
    wait_until(lambda: model_answers(system), WITHIN_S, "the bot to answer")
    with system.store() as store:
        (found,) = wait_until(lambda: Population(store).of("intent:0"), WITHIN_S, "the model to report")
    psutil.Process(found.pid).kill()
    conversation = visitor.write("Where is my parcel?")

    def cared_for() -> bool:
        with system.store() as store:
            messages = store.lrange(keys.session(ACCOUNT, conversation), 0, -1)
            held = store.hexists(keys.held(ACCOUNT), conversation)
        return held or any(b'"author":"bot"' in message for message in messages)

    wait_until(cared_for, system.settings.bot.patience_ms / 1000 + 5.0, "an answer or an offer")
    wait_until(lambda: model_answers(system), 60.0, "the bot to come back with the model")
