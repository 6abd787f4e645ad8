"""What desks ask about their account and contacts, what contacts have seen, and re-opening: the real parts, no Ray."""

import json
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest
from websockets.sync.client import connect

from models.domain.ids import contact_id
from tests.waiting import wait_until
from tests.web.local import ACCOUNT, PASSWORD, LocalSystem

NOBODY = contact_id(ACCOUNT, "web", "demo-web", "nobody")


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    with LocalSystem() as local:
        yield local


class Desk:
    """One open desk of an agent."""

    def __init__(self, local: LocalSystem, name: str) -> None:
        self.local = local
        login = {"account": ACCOUNT, "name": name, "password": PASSWORD}
        self.token = httpx.post(f"{local.base}/v1/login", json=login).raise_for_status().json()["token"]
        self.headers = {"Authorization": f"Bearer {self.token}"}
        gateway = httpx.post(f"{local.base}/v1/connect", headers=self.headers).raise_for_status().json()["gateway"]
        self.socket = connect(gateway, legacy=True)
        self.pushed: list[dict] = []
        self.opened = self.call("desk.open", token=self.token, presence="online")

    def ask(self, method: str, **params: object) -> dict:
        self.socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        while "id" not in (frame := json.loads(self.socket.recv(timeout=20))):
            self.pushed += frame["params"]["events"]
        return frame

    def call(self, method: str, **params: object) -> dict:
        answer = self.ask(method, **params)
        assert "error" not in answer, answer
        return answer["result"]

    def refused(self, method: str, **params: object) -> str:
        error = self.ask(method, **params)["error"]
        return error.get("data", {}).get("name") or error["code"]

    def event(self, kind: str, conversation: str) -> dict:
        """Return the next event of a kind about a conversation, and drop what came before it."""
        while True:
            while self.pushed:
                event = self.pushed.pop(0)
                about = event["conversation"] if isinstance(event.get("conversation"), str) else ""
                if event["type"] == kind and (about or event.get("conversation", {}).get("id")) == conversation:
                    return event
            frame = json.loads(self.socket.recv(timeout=20))
            self.pushed += frame["params"]["events"]

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def alice(local: LocalSystem) -> Iterator[Desk]:
    desk = Desk(local, "alice")
    yield desk
    again = Desk(local, "alice")
    for held in again.opened.get("conversations", ()):
        again.call("conversation.resolve", conversation=held["conversation"]["id"])
    again.close()
    desk.close()


def test_an_account_tells_colleagues_skills_intents_and_how_soon_to_answer(local, alice):
    about = alice.call("account.about")
    assert [(each["name"], each["role"], each["here"]) for each in about["agents"]] == [
        ("alice", "agent", True),
        ("bob", "agent", False),
        ("carol", "supervisor", False),
    ]
    assert about["skills"] == ["orders", "returns"]
    assert {"name": "order_status", "en": "Order status", "zh": "订单与物流查询"} in about["intents"]
    assert about["answer_within_s"] == 120
    bob = Desk(local, "bob")
    bob.call("presence.set", status="away", reason="Lunch")
    colleague = next(each for each in alice.call("account.about")["agents"] if each["name"] == "bob")
    assert (colleague["here"], colleague["status"], colleague["reason"]) == (True, "away", "Lunch")
    bob.close()
    wait_until(lambda: not alice.call("account.about")["agents"][1]["here"], 20, "bob to be gone")


def test_supervisors_keep_canned_answers_and_agents_read_them(local, alice):
    carol = Desk(local, "carol")
    assert alice.refused("canned.put", name="hi", text="Hello!") == "forbidden"
    carol.call("canned.put", name="hi", text="Hello!")
    carol.call("canned.put", name="bye", text="Goodbye!")
    carol.call("canned.put", name="hi", text="Good morning!")
    expected = [{"name": "bye", "text": "Goodbye!"}, {"name": "hi", "text": "Good morning!"}]
    assert alice.call("account.about")["canned"] == expected
    for wrong in ("", "/hi", "two words", "x" * 33):
        assert carol.refused("canned.put", name=wrong, text="?") == -32602
    assert alice.refused("canned.remove", name="hi") == "forbidden"
    carol.call("canned.remove", name="hi")
    carol.call("canned.remove", name="bye")
    assert carol.refused("canned.remove", name="bye") == "not_found"
    assert alice.call("account.about")["canned"] == []
    carol.close()


def test_a_contact_is_known_with_its_conversations_and_numbers(local, alice):
    first = local.write("about-1", "Where is my order 2024118899231?")
    alice.event("offered", first)
    alice.call("conversation.resolve", conversation=first)
    second = local.write("about-1", "The parcel is SF1234567890123, call +1 415 555 2671")
    contact = alice.event("offered", second)["conversation"]["contact"]
    about = alice.call("contact.about", contact=contact)
    assert [each["id"] for each in about["conversations"]] == [second, first]
    assert [each["state"] for each in about["conversations"]] == ["offered", "resolved"]
    assert about["identities"] == [{"channel": "web", "inbox": "demo-web", "external_id": "about-1"}]
    assert about["found"]["tracking_number"] == ["SF1234567890123"]
    assert about["found"]["phone"] == ["+1 415 555 2671"]
    assert about["seen"] == ""
    assert alice.refused("contact.about", contact=NOBODY) == "not_found"
    assert alice.refused("contact.about", contact="x") == "not_found"


def test_the_desk_hears_what_the_contact_has_seen(local, alice):
    shown = httpx.post(f"{local.base}/v1/connect", json={"inbox": "demo-web"}).raise_for_status().json()
    with connect(shown["gateway"]) as visitor:

        def call(method: str, **params: object) -> dict:
            visitor.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            while "id" not in (frame := json.loads(visitor.recv(timeout=20))):
                pass
            return frame["result"]

        call("visit.open", token=shown["token"])
        conversation = call("message.send", client_id="m1", text="hello")["conversation"]
        alice.event("offered", conversation)
        answer = alice.call("message.send", conversation=conversation, client_id="a1", text="Good morning")
        while json.loads(visitor.recv(timeout=20)).get("params", {}).get("events", [{}])[0].get("type") != "message":
            pass
        call("visit.ack", cursor=answer["message"])
        assert alice.event("seen", conversation)["seq"] == answer["seq"]
        about = alice.call("contact.about", contact=shown["contact"])
        assert about["seen"] == answer["message"]


def test_a_reopened_conversation_is_offered_again_to_who_resolved_it(local, alice):
    conversation = local.write("again-1", "hello")
    alice.event("offered", conversation)
    alice.call("conversation.accept", conversation=conversation)
    alice.call("conversation.resolve", conversation=conversation)
    alice.event("removed", conversation)
    alice.call("conversation.reopen", conversation=conversation)
    offered = alice.event("offered", conversation)
    assert offered["conversation"]["agent"] == "alice"
    assert offered["messages"][-1]["text"] == "conversation.reopened"


def test_a_desk_is_told_the_time(local, alice):
    date = parsedate_to_datetime(httpx.get(f"{local.base}/healthz").headers["date"])
    assert abs(alice.opened["now_ms"] / 1000 - date.timestamp()) < 10


def test_a_visitor_whose_contact_is_parted_again_sees_only_its_own(local, alice):
    shown = httpx.post(f"{local.base}/v1/connect", json={"inbox": "demo-web"}).raise_for_status().json()
    pushed: list[dict] = []
    with connect(shown["gateway"]) as visitor:

        def call(method: str, **params: object) -> dict:
            visitor.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            while "id" not in (frame := json.loads(visitor.recv(timeout=20))):
                pushed.append(frame)
            return frame["result"]

        def snapshot() -> dict:
            while True:
                frame = pushed.pop(0) if pushed else json.loads(visitor.recv(timeout=20))
                if frame["method"] == "visit.snapshot":
                    return frame["params"]

        call("visit.open", token=shown["token"])
        own = call("message.send", client_id="p1", text="mine")["conversation"]
        other = local.write("part-1", "of somebody else")
        contact = alice.event("offered", other)["conversation"]["contact"]
        pair = {"contact": contact, "other": shown["contact"]}
        assert alice.refused("contact.join", contact=contact, other=contact) == "bad_request"
        assert alice.refused("contact.join", contact=contact, other=NOBODY) == "not_found"
        bob = Desk(local, "bob")
        assert bob.refused("contact.join", **pair) == "forbidden"
        alice.call("conversation.accept", conversation=other)
        alice.call("contact.join", **pair)
        assert [each["text"] for each in snapshot()["messages"]] == ["of somebody else", "mine"]
        assert call("message.send", client_id="p2", text="while joined")["conversation"] == other
        assert [each["by"] for each in alice.call("contact.about", contact=contact)["joined"]] == ["alice"]
        assert bob.refused("contact.part", **pair) == "forbidden"
        bob.close()
        alice.call("contact.part", **pair)
        again = snapshot()
        assert (again["contact"], again["conversation"]) == (shown["contact"], own)
        assert [each["text"] for each in again["messages"]] == ["mine", "conversation.reopened"]
        assert call("message.send", client_id="p3", text="on my own")["conversation"] == own
        alice.call("message.send", conversation=other, client_id="a9", text="only for the other")
        assert not [frame for frame in pushed if "only for the other" in json.dumps(frame)]
