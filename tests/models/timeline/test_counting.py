"""What a router counts of an account's hour, and since when a contact waits; and the taking over of a conversation."""

import pytest

from models.domain.commands import (
    Accept,
    BotDue,
    Delivered,
    Done,
    Rate,
    Refusal,
    Reopen,
    Resolve,
    Snooze,
    TakeOver,
    Understood,
)
from tests.bots import SURE, UNSURE


def counted(desk, *names: str) -> dict[str, int]:
    return {name: desk.keys.counts[name] for name in names}


def take_over(desk, conversation, by="sue", role="supervisor"):
    return desk.by(TakeOver, conversation, by, role)


# -- counts --------------------------------------------------------------------------------------------


def test_messages_are_counted_by_who_said_them_and_repetitions_are_not(desk):
    conversation = desk.assigned()
    desk.write("again", source_id="x")
    desk.write("again", source_id="x")
    desk.say(conversation, client_id="a")
    desk.say(conversation, client_id="a")
    desk.say(conversation, internal=True)
    assert counted(desk, "contact", "agent", "note", "opened") == {"contact": 2, "agent": 1, "note": 1, "opened": 1}
    assert desk.router.counts["duplicates"] == 2


def test_what_the_bot_did_is_counted(desk):
    desk.bot_room = 10
    asked, unsure, left = desk.opened("v1"), desk.opened("v2"), desk.opened("v3")
    for name, understanding in ((asked, SURE), (unsure, UNSURE), (left, SURE)):
        desk.ask(Understood(account=desk.account, conversation=name, seq=1, text="hello", understanding=understanding))
    desk.now_ms += 1_800_000
    desk.ask(BotDue(account=desk.account, conversation=left))
    assert counted(desk, "opened", "bot_opened", "bot", "bot_answered", "handed_over", "bot_resolved") == {
        "opened": 3,
        "bot_opened": 3,
        "bot": 2,
        "bot_answered": 2,
        "handed_over": 1,
        "bot_resolved": 1,
    }
    assert desk.keys.counts["intent:delivery"] == 3


def test_a_conversation_has_one_intent_however_much_is_understood_of_it(desk):
    conversation = desk.opened()
    desk.write("more")
    for seq in (1, 2):
        desk.ask(Understood(account=desk.account, conversation=conversation, seq=seq, text="hello", understanding=SURE))
    assert desk.keys.counts["intent:delivery"] == 1


def test_ends_ratings_and_failures_are_counted(desk):
    conversation = desk.resolved()
    contact = desk.record(conversation).contact
    for score in (2, 2, 5):
        desk.ask(Rate(account=desk.account, conversation=conversation, contact=contact, score=score))
    desk.ask(Delivered(account=desk.account, conversation=conversation, message=f"{conversation}-1", state="failed"))
    desk.by(Reopen, conversation)
    assert counted(desk, "resolved", "reopened", "rated", "stars", "undelivered") == {
        "resolved": 1,
        "reopened": 1,
        "rated": 1,
        "stars": 5,
        "undelivered": 1,
    }


# -- waits ---------------------------------------------------------------------------------------------


def test_a_wait_goes_from_the_first_question_to_the_answer_of_a_human(desk):
    conversation = desk.assigned()
    asked_ms = desk.now_ms - 2
    desk.now_ms += 5_000
    desk.write("are you there?")
    desk.say(conversation, internal=True)
    assert desk.keys.waits_ms == []
    desk.say(conversation)
    assert desk.keys.waits_ms == [desk.now_ms - asked_ms]
    desk.say(conversation)
    assert len(desk.keys.waits_ms) == 1
    desk.write("thanks, and another thing")
    desk.now_ms += 700
    desk.say(conversation)
    assert desk.keys.waits_ms[1] == 701


@pytest.mark.parametrize("answered", [False, True])
def test_a_wait_is_known_after_a_restart(desk, answered):
    conversation = desk.assigned()
    asked_ms = desk.now_ms - 2
    if answered:
        desk.say(conversation)
        desk.keys.waits_ms.clear()
        desk.write("and then?")
        asked_ms = desk.now_ms
    desk.say(conversation, internal=True)
    desk.now_ms += 40_000
    desk.restart()
    desk.say(conversation)
    assert desk.keys.waits_ms == [desk.now_ms - asked_ms]


def test_the_bots_answer_ends_a_wait_and_its_hand_over_does_not(desk):
    desk.bot_room = 10
    conversation = desk.opened()
    desk.ask(Understood(account=desk.account, conversation=conversation, seq=1, text="hello", understanding=SURE))
    desk.now_ms += 60_000
    desk.write("asked for a human")
    asked_ms = desk.now_ms
    desk.ask(
        Understood(account=desk.account, conversation=conversation, seq=3, text="asked for a human", understanding=SURE)
    )
    desk.offer(conversation)
    desk.by(Accept, conversation)
    desk.say(conversation)
    assert desk.keys.waits_ms == [desk.now_ms - asked_ms]


# -- taking over ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["bot", "waiting", "offered", "assigned", "snoozed"])
def test_a_supervisor_takes_over_whatever_is_open(desk, state):
    desk.bot_room = 10 if state == "bot" else 0
    conversation = desk.opened() if state in ("bot", "waiting", "offered") else desk.assigned()
    if state == "offered":
        desk.offer(conversation)
    elif state == "snoozed":
        desk.by(Snooze, conversation, until_ms=desk.now_ms + 60_000)
    assert desk.record(conversation).state == state
    assert isinstance(take_over(desk, conversation), Done)
    record = desk.record(conversation)
    assert (record.state, record.agent, record.offer_expires_ms, record.bot_due_ms) == ("assigned", "sue", 0, 0)
    assert desk.keys.held == {conversation: "sue"}
    assert (desk.keys.waiting, desk.keys.snoozed, desk.keys.bot) == ({}, {}, {})
    assert conversation in desk.shown("sue").conversations
    assert conversation not in desk.shown("ann").conversations
    if state in ("offered", "assigned"):
        assert desk.told("ann")[-1] == ("removed", "taken_over")
    assert desk.keys.counts["taken_over"] == 1


def test_a_note_says_who_took_over_and_the_contact_does_not_see_it(desk):
    conversation = desk.assigned()
    shown = len(desk.keys.shown)
    take_over(desk, conversation)
    assert desk.texts(conversation)[-1] == "conversation.taken_over"
    line = desk.shown("sue").conversations[conversation].messages[-1]
    assert (line.author, line.author_id, line.internal) == ("system", "sue", True)
    assert len(desk.keys.shown) == shown


def test_taking_over_twice_is_once_and_an_own_offer_is_accepted(desk):
    conversation = desk.opened()
    desk.offer(conversation, agent="sue")
    take_over(desk, conversation)
    take_over(desk, conversation)
    assert desk.record(conversation).state == "assigned"
    assert desk.texts(conversation) == ["hello"]
    assert desk.keys.counts["taken_over"] == 0


def test_agents_take_nothing_over_and_nobody_takes_what_is_closed(desk):
    conversation = desk.assigned()
    refused = take_over(desk, conversation, by="bob", role="agent")
    assert isinstance(refused, Refusal)
    assert refused.name == "forbidden"
    desk.by(Resolve, conversation)
    refused = take_over(desk, conversation)
    assert isinstance(refused, Refusal)
    assert refused.name == "conflict"
