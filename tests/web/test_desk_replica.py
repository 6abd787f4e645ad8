"""The desk's own replica beside the one that the models promise: the same log makes the same desk of both."""

import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page

from cluster.store import keys
from models.desk.state import DeskState
from models.domain.commands import Accept, Decline, Delivered, Reopen, Resolve, Say, Snooze, Tag, Transfer
from tests.waiting import wait_until
from tests.web.desk_page import DeskPage, profile
from tests.web.local import ACCOUNT, LocalSystem

#: Makes a replica of each prefix of a log; `entries` are its events, in order.
_REPLAY = """async (entries) => {
    const { Replica } = await import("/desk/replica.js");
    const replica = new Replica();
    replica.restart(0, []);
    const states = [];
    entries.forEach((events, index) => {
        replica.apply(index + 1, events);
        if (replica.apply(index + 1, events) !== null) throw new Error("an entry was applied twice");
        const held = [...replica.cases.values()].map((found) => [found.record, found.messages.slice(-5)]);
        states.push(held.sort((one, other) => (one[0].id < other[0].id ? -1 : 1)));
    });
    return states;
}"""
_SKIPPING = """async ([entries, left_out]) => {
    const { OutOfStep, Replica } = await import("/desk/replica.js");
    const replica = new Replica();
    replica.restart(0, []);
    const before = () => JSON.stringify([replica.cursor, [...replica.cases.values()]]);
    for (let index = 0; index < entries.length; index += 1) {
        if (index === left_out) continue;
        const state = before();
        try {
            replica.apply(index + 1, entries[index]);
        } catch (error) {
            return error instanceof OutOfStep && index === left_out + 1 && before() === state;
        }
    }
    return false;
}"""


@pytest.fixture(scope="module")
def log() -> Iterator[tuple[LocalSystem, list[Any]]]:
    """A desk's log after some hundred things happened, by chance, with a seed."""
    chance = random.Random(20)
    with LocalSystem() as local:
        alice = {"account": ACCOUNT, "by": "alice", "role": "agent"}
        with local.open_desk("alice"):
            ids = local.write_many([(f"r-{number}", "hello") for number in range(12)])
            wait_until(lambda: all(local.record(each)["agent"] == "alice" for each in ids), 20, "the offers")
            for step in range(250):
                who = chance.randrange(12)
                conversation = local.write(f"r-{who}", f"step {step}")
                act = chance.choice(["say", "say", "accept", "accept", "note", "delivered", "end", "tag", "write"])
                if act in ("say", "note"):
                    more = {"client_id": str(step), "text": act, "received_at_ms": 1, "internal": act == "note"}
                    local.try_to(Say(conversation=conversation, **alice, **more))
                elif act == "accept":
                    local.try_to(Accept(conversation=conversation, **alice))
                elif act == "tag":
                    local.try_to(Tag(conversation=conversation, **alice, add=(f"t{step % 5}",)))
                elif act == "delivered":
                    more = {"message": f"{conversation}-1", "state": "sent"}
                    local.try_to(Delivered(account=ACCOUNT, conversation=conversation, **more))
                elif act == "end":
                    kind = chance.choice([Decline, Resolve, Reopen, Snooze, Transfer])
                    more = {Snooze: {"until_ms": 2**45}, Transfer: {"to_skill": "orders"}}.get(kind, {})
                    local.try_to(kind(conversation=conversation, **alice, **more))
        with local.store() as store:
            entries = [json.loads(fields[b"e"]) for _, fields in store.xrange(keys.desk_log(ACCOUNT, "alice"))]
        yield local, entries


@pytest.fixture
def page(log: tuple[LocalSystem, list[Any]], chromium: Browser) -> Iterator[Page]:
    context = profile(chromium)
    yield DeskPage(context, log[0], name="").page
    context.close()


def test_the_page_makes_of_each_log_what_the_models_make_of_it(log, page):
    _, entries = log
    assert len(entries) > 200
    assert {event["type"] for entry in entries for event in entry} == {
        "offered", "message", "changed", "removed", "delivery"
    }  # fmt: skip
    assert {"accepted", "tags"} <= {event.get("change") for entry in entries for event in entry}
    state = DeskState(0, {})
    for cursor, (events, shown) in enumerate(zip(entries, page.evaluate(_REPLAY, entries), strict=True), 1):
        state.apply(cursor, json.dumps(events))
        held = [each.as_in_snapshot() for _, each in sorted(state.conversations.items())]
        expected = [[msgspec.to_builtins(each.conversation), msgspec.to_builtins(list(each.messages))] for each in held]
        assert shown == json.loads(json.dumps(expected)), cursor


@pytest.mark.parametrize("left_out", [0, 5, 77])
def test_an_entry_that_was_left_out_is_noticed_and_nothing_is_applied(log, page, left_out):
    assert page.evaluate(_SKIPPING, [log[1], left_out])
