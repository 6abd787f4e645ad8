"""The documents of the protocol say what the code does: every field, every error, every event."""

import json
import re

import msgspec
import pytest
from jsonschema import Draft202012Validator

from models.domain.commands import (
    Accept,
    AnyCommand,
    Decline,
    Delivered,
    Move,
    Offer,
    Receive,
    Release,
    Resolve,
    Say,
    Snooze,
    Tag,
    TakeOver,
    Transfer,
    Typing,
    Understood,
)
from models.domain.errors import documented_errors
from models.domain.ids import contact_id
from models.protocol.described import fields_of, references, schemas
from models.protocol.events import DESK_EVENTS, VISITOR_EVENTS
from models.protocol.markdown import UnknownTable, rewritten, tables
from models.protocol.methods import METHODS, methods_at
from models.protocol.openrpc import DOORS, openrpc_document
from models.timeline.bot_part import BotPart
from models.timeline.cache import LoadedContact
from models.timeline.shard import Shard
from tests.bots import SURE, PlainBot

# -- types


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_field_says_what_it_means(name):
    silent = [field.name for field in fields_of(schemas()[name]) if not field.meaning and field.name != "type"]
    assert not silent, f"{name} has fields without a description"
    assert schemas()[name]["description"], f"{name} says nothing about itself"


def test_every_instant_names_its_unit():
    for name, schema in schemas().items():
        for field in fields_of(schema):
            if field.name.endswith("_ms"):
                assert re.search("Unix time.*millisecond", field.meaning), f"{name}.{field.name}"


def test_every_method_says_what_it_does():
    assert all(method.summary for method in METHODS)


# -- OpenRPC


@pytest.mark.parametrize("door", DOORS)
def test_an_openrpc_document_is_whole(door):
    document = json.loads(msgspec.json.encode(openrpc_document(door)))
    assert re.fullmatch(r"1\.\d+\.\d+", document["openrpc"])
    assert document["info"].keys() >= {"title", "version"}
    names = [method["name"] for method in document["methods"]]
    assert names == list(methods_at(door))
    assert len(set(names)) == len(names)
    for method in document["methods"]:
        assert method["summary"]
        assert method["paramStructure"] == "by-name"
        required = [param["required"] for param in method["params"]]
        assert required == sorted(required, reverse=True), "required parameters come first"
        for param in method["params"]:
            assert param["description"], (method["name"], param["name"])
            Draft202012Validator.check_schema(param["schema"])
        assert method["result"]["name"]
        Draft202012Validator.check_schema(method["result"]["schema"])
        errors = [error["$ref"].rpartition("/")[2] for error in method["errors"]]
        assert len(set(errors)) == len(errors)
        assert set(errors) <= set(document["components"]["errors"]), method["name"]
    components = document["components"]
    for schema in components["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert set(references(document)) <= set(components["schemas"])
    for error in components["errors"].values():
        assert isinstance(error["code"], int)
        assert error["message"]


def test_the_parameters_in_the_document_are_those_that_are_taken():
    for door in DOORS:
        for described in openrpc_document(door)["methods"]:
            method = methods_at(door)[described["name"]]
            fields = {field.encode_name: field.required for field in msgspec.structs.fields(method.params)}
            assert {param["name"]: param["required"] for param in described["params"]} == fields


# -- docs/protocol.md


def test_every_method_error_and_event_stands_in_the_tables():
    text = "\n".join(make() for make in tables().values())
    for method in METHODS:
        assert f"`{method.name}`" in text
    for error in documented_errors():
        assert f"| `{error.name}` | {error.rpc_code} | {error.http_status} |" in text
    for kind in (*DESK_EVENTS, *VISITOR_EVENTS):
        assert f"#### Event `{kind.__struct_config__.tag}`" in text


def test_tables_are_filled_in_once_and_the_rest_is_left_alone():
    text = "before\n<!-- made: errors -->\nold\n<!-- end -->\nafter\n"
    once = rewritten(text)
    assert "old" not in once
    assert "`conflict`" in once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert rewritten(once) == once


def test_a_marker_without_a_table_is_named():
    with pytest.raises(UnknownTable, match="weather"):
        rewritten("<!-- made: weather -->\n<!-- end -->")


# -- events, as a router writes them

ACCOUNT = "demo"
CONTACT = contact_id(ACCOUNT, "web", "web", "v1")
NOW_MS = 1_800_000_000_000


class Story:
    """One contact's conversation with one agent, and all that was told about it."""

    def __init__(self):
        self.shard = Shard(entropy=lambda count: bytes(count), bot=BotPart(answers=PlainBot()))
        self.shard.learn([LoadedContact(ACCOUNT, CONTACT)])
        self.desk = []
        self.visitor = []
        self.now_ms = NOW_MS
        self.conversation = ""
        self.seq = 0

    def tell(self, command: AnyCommand) -> None:
        self.now_ms += 1
        outcome = self.shard.apply([command], self.now_ms)
        assert type(outcome.replies[0]).__name__ != "Refusal", (command, outcome.replies[0])
        for changes in outcome.changes.values():
            for events in (*changes.desk.values(), *changes.desk_live.values()):
                self.desk += [json.loads(event) for event in events]
            for events in changes.visitors.values():
                self.visitor += [json.loads(event) for event in events]

    def receive(self, channel="web", source_id=""):
        self.seq += 1
        self.tell(
            Receive(
                account=ACCOUNT,
                contact=CONTACT,
                channel=channel,
                inbox=channel,
                external_id="v1",
                source_id=source_id or str(self.seq),
                text="hello",
                received_at_ms=self.now_ms,
            )
        )
        contact = self.shard._contacts[CONTACT]
        self.conversation = contact.open.record.id

    def offer(self):
        self.tell(
            Offer(account=ACCOUNT, conversation=self.conversation, agent="ann", epoch=1, expires_at_ms=self.now_ms + 9)
        )

    def by_ann(self, kind, **fields):
        self.tell(kind(account=ACCOUNT, conversation=self.conversation, by="ann", role="agent", **fields))


def told():
    story = Story()
    about = {"account": ACCOUNT, "epoch": 1, "agent": "ann"}
    story.receive()
    story.offer()
    story.tell(Understood(account=ACCOUNT, conversation=story.conversation, seq=1, text="hello", understanding=SURE))
    story.by_ann(Accept)
    story.receive("wechat")
    story.by_ann(Say, client_id="1", text="hi", received_at_ms=NOW_MS)
    story.by_ann(Tag, add=("vip",))
    for state in ("sent", "failed"):
        story.tell(
            Delivered(account=ACCOUNT, conversation=story.conversation, message=story.conversation + "-3", state=state)
        )
    story.by_ann(Typing)
    story.tell(Typing(account=ACCOUNT, conversation=story.conversation, contact=CONTACT))
    story.by_ann(Decline)
    for reason in ("offer_expired", "agent_away"):
        story.offer()
        story.tell(Release(conversation=story.conversation, reason=reason, **about))
    story.offer()
    story.by_ann(Transfer, to_skill="billing")
    story.offer()
    story.by_ann(Snooze, until_ms=story.now_ms + 60_000)
    story.receive()
    story.offer()
    story.by_ann(Resolve)
    story.receive()
    story.offer()
    story.tell(TakeOver(account=ACCOUNT, conversation=story.conversation, by="sue", role="supervisor"))
    into = contact_id(ACCOUNT, "user", "", "7")
    story.tell(Move(account=ACCOUNT, contact=CONTACT, into=into, conversation=story.conversation, length=2))
    return story


@pytest.mark.parametrize("socket", ["desk", "visitor"])
def test_every_event_that_a_router_writes_has_the_form_described(socket):
    kinds = DESK_EVENTS if socket == "desk" else VISITOR_EVENTS
    by_tag = {kind.__struct_config__.tag: kind for kind in kinds}
    events = getattr(told(), socket)
    if socket == "visitor":
        # answered by the gateway itself, which follows the contact; no client gets it
        assert {"type": "moved"}.items() <= events[-1].items()
        events = events[:-1]
    # what a contact has seen is told by its gateway, see tests/web/test_desk_about.py
    assert {event["type"] for event in events} == set(by_tag) - {"seen"}
    for event in events:
        kind = by_tag[event["type"]]
        msgspec.json.decode(json.dumps(event), type=kind)
        names = {field.name for field in msgspec.structs.fields(kind)} | {"type"}
        assert set(event) <= names, event


def test_every_change_described_is_one_that_a_router_writes():
    written = {(event["type"], event["change"]) for event in told().desk if "change" in event}
    described = {
        (kind.__struct_config__.tag, change)
        for kind in DESK_EVENTS
        if "change" in kind.__struct_fields__
        for change in schemas()[kind.__name__]["properties"]["change"]["enum"]
    }
    assert written == described
