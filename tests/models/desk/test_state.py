"""A replica follows its log: overlaps change nothing, gaps are refused, and stale plus events equals fresh."""

import msgspec
import pytest

from models.desk.state import DeskState, OutOfStep
from models.domain.commands import Accept, Decline, Delivered, Resolve, Tag
from tests.models.timeline.conftest import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def a_days_work(desk: Desk) -> None:
    """Every kind of event that a router writes to ann's log."""
    first, second = desk.assigned("v1"), desk.opened("v2", "wechat")
    desk.offer(second)
    for number in range(7):
        desk.write(str(number), who="v1")
    desk.say(first)
    desk.say(first, internal=True)
    desk.write("by phone", contact=desk.contact("v1"), channel="wechat")
    desk.by(Decline, second)
    desk.by(Tag, first, add=("vip",))
    third = desk.assigned("v3", "wechat")
    answer = desk.say(third)
    desk.ask(Delivered(account="acme", conversation=third, message=f"{third}-{answer.seq}", state="sent"))
    desk.by(Resolve, first)
    desk.offer(desk.opened("v1"))


def replicas(desk: Desk) -> list[DeskState]:
    """A replica at each cursor of ann's log."""
    replica, found = DeskState(0, {}), []
    for cursor, events in desk.store.replay("acme", "ann", 0):
        found.append(replica.copy())
        assert replica.apply(cursor, events)
    return [*found, replica]


def test_events_applied_to_stale_state_equal_a_fresh_snapshot(desk):
    a_days_work(desk)
    fresh = desk.shown("ann")
    assert {kind for kind, _ in desk.told("ann")} == {"offered", "changed", "removed", "message", "delivery"}
    stale = replicas(desk)
    assert len(stale) == fresh.cursor + 1
    for replica in stale:
        for cursor, events in desk.store.replay("acme", "ann", replica.cursor):
            replica.apply(cursor, events)
        assert replica == fresh


def test_a_snapshot_taken_half_way_goes_on_with_events(desk):
    conversation = desk.assigned()
    for number in range(9):
        desk.write(str(number))
    half_way = desk.shown("ann")
    assert [message.text for message in half_way.conversations[conversation].messages] == list("45678")
    desk.write("later")
    for cursor, events in desk.store.replay("acme", "ann", half_way.cursor):
        half_way.apply(cursor, events)
    assert half_way == desk.shown("ann")


def test_an_entry_applied_before_changes_nothing(desk):
    a_days_work(desk)
    replica = replicas(desk)[-1]
    before = replica.copy()
    for cursor, events in desk.store.replay("acme", "ann", 0):
        assert not replica.apply(cursor, events)
    assert replica == before


def test_a_gap_is_refused_and_changes_nothing(desk):
    a_days_work(desk)
    entries = desk.store.replay("acme", "ann", 0)
    replica = DeskState(0, {})
    with pytest.raises(OutOfStep):
        replica.apply(*entries[1])
    assert replica == DeskState(0, {})


def test_half_an_entry_is_never_applied(desk):
    conversation = desk.assigned()
    replica = replicas(desk)[-1]
    before = replica.copy()
    good, bad = b'{"type":"removed","conversation":%b}' % msgspec.json.encode(desk.record(conversation)), b'{"type":1}'
    with pytest.raises(msgspec.ValidationError):
        replica.apply(replica.cursor + 1, b"[" + good + b"," + bad + b"]")
    assert replica == before


@pytest.mark.parametrize("kind", ["changed", "removed", "message"])
def test_an_event_about_what_the_desk_does_not_hold_is_refused(desk, kind):
    desk.assigned()
    conversation = desk.opened("v2")
    replica = replicas(desk)[-1]
    fields = {"conversation": desk.record(conversation), "message": msgspec.Raw(desk.keys.sessions[conversation][0])}
    with pytest.raises(OutOfStep):
        replica.apply(replica.cursor + 1, msgspec.json.encode([{"type": kind, **fields}]))


def test_a_message_out_of_its_order_is_refused(desk):
    conversation = desk.assigned()
    replica = replicas(desk)[-1]
    again = b'[{"type":"message","message":%b}]' % desk.keys.sessions[conversation][0]
    with pytest.raises(OutOfStep):
        replica.apply(replica.cursor + 1, again)


def test_a_kind_of_event_from_a_newer_version_is_passed_over(desk):
    replica = DeskState(4, {})
    assert replica.apply(5, b'[{"type":"weather","sun":true}]')
    assert replica == DeskState(5, {})


def test_what_became_of_an_answer_is_told_once(desk):
    a_days_work(desk)
    replica = replicas(desk)[-1]
    assert list(replica.deliveries.values()) == ["sent"]
    assert desk.shown("ann").deliveries == {}


def test_a_tag_shows_on_the_desk_that_holds_the_conversation(desk):
    conversation = desk.assigned()
    desk.by(Tag, conversation, add=("vip", "refund"))
    desk.by(Tag, conversation, remove=("VIP",))
    assert desk.told("ann")[-2:] == [("changed", "tags"), ("changed", "tags")]
    assert replicas(desk)[-1].conversations[conversation].conversation.tags == ("refund",)
    assert replicas(desk)[-1] == desk.shown("ann")


def test_an_accepted_offer_shows_as_assigned(desk):
    conversation = desk.opened()
    desk.offer(conversation)
    desk.by(Accept, conversation)
    states = [
        replica.conversations[conversation].conversation.state
        for replica in replicas(desk)
        if conversation in replica.conversations
    ]
    assert states == ["offered", "assigned"]
