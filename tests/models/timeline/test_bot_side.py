"""The bot's part in a conversation: when it answers, when humans take over, and what agents are shown."""

import msgspec
import pytest

from models.domain.bot import BotState, Insight
from models.domain.commands import (
    Accept,
    Adopt,
    BotDue,
    Delivered,
    Done,
    Export,
    Move,
    Offer,
    Receipt,
    Receive,
    Refusal,
    Resolve,
    Snooze,
    Transfer,
    Understood,
)
from models.domain.ids import conversation_id
from models.domain.message import Message
from models.timeline.bot_part import BotPart
from tests.bots import SURE, UNSURE, PlainBot
from tests.models.timeline.conftest import Desk
from tests.models.timeline.routers import RouterModel

PATIENCE_MS, IDLE_MS = 1_500, 1_800_000
SUPERVISOR = {"by": "sue", "role": "supervisor"}


@pytest.fixture
def bots(desk):
    """A desk whose bot takes every message."""
    desk.bot_room = 100
    return desk


def understood(desk: Desk, conversation: str, seq: int = 1, understanding=SURE, text: str = "hello"):
    return desk.ask(
        Understood(account=desk.account, conversation=conversation, seq=seq, text=text, understanding=understanding)
    )


def due(desk: Desk, conversation: str, later_ms: int = 0):
    desk.now_ms += later_ms
    return desk.ask(BotDue(account=desk.account, conversation=conversation))


def messages(desk: Desk, conversation: str) -> list[Message]:
    return [msgspec.json.decode(data, type=Message) for data in desk.keys.sessions[conversation]]


def said(desk: Desk, conversation: str) -> list[tuple[str, str]]:
    return [(message.author, message.text) for message in messages(desk, conversation)]


# -- whose a conversation is -----------------------------------------------------------------------------


def test_a_first_message_opens_a_conversation_of_the_bot_if_it_has_room(bots):
    conversation = bots.opened()
    record = bots.record(conversation)
    assert (record.state, record.owed_seq, record.bot_due_ms) == ("bot", 1, bots.now_ms + PATIENCE_MS)
    assert bots.keys.bot == {conversation: bots.now_ms + PATIENCE_MS}
    assert bots.keys.waiting == {}


def test_without_room_it_waits_for_a_human_at_once(desk):
    conversation = desk.opened()
    assert desk.record(conversation).state == "waiting"
    assert desk.keys.bot == {}


def test_room_is_counted_within_a_turn(bots):
    commands = [
        Receive(
            account="acme",
            contact=bots.contact(who),
            channel="web",
            inbox="web",
            external_id=who,
            source_id="1",
            text="hi",
            received_at_ms=1,
        )
        for who in ("v1", "v2")
    ]
    bots.router.turn(commands, bots.now_ms, bot_room=1)
    assert sorted(record.state for record in bots.keys.conversations.values()) == ["bot", "waiting"]


def test_a_message_for_the_bot_is_asked_about_once(bots):
    first = bots.write("where is it?", source_id="x")
    bots.write("where is it?", source_id="x")
    (question,) = bots.router.questions
    assert (question.conversation, question.seq, question.text, question.owed) == (
        first.conversation,
        1,
        "where is it?",
        True,
    )


def test_a_dispatcher_hears_of_it_only_when_humans_have_to_do_with_it(bots):
    outcome = bots.router.core.apply([], 1)
    assert outcome.placements == []
    conversation = bots.opened()
    told = placements(bots, Understood, conversation, seq=1, text="hello", understanding=SURE)
    assert told == []
    bots.write("asked for somebody")
    (placement,) = placements(bots, Understood, conversation, seq=3, text="asked for somebody", understanding=SURE)
    assert (placement.conversation, placement.state) == (conversation, "waiting")


def test_a_dispatcher_never_hears_of_what_the_bot_ended(bots):
    conversation = bots.opened()
    understood(bots, conversation)
    bots.now_ms += IDLE_MS
    assert placements(bots, BotDue, conversation) == []
    assert bots.record(conversation).state == "resolved"


def placements(desk: Desk, kind: type, conversation: str, **fields):
    """Take one command through core and store; returns what a dispatcher hears."""
    desk.now_ms += 1
    command = kind(account=desk.account, conversation=conversation, **fields)
    outcome = desk.router.core.apply([command], desk.now_ms, desk.bot_room)
    for account, changes in outcome.changes.items():
        desk.store.append(account, desk.router.epoch, changes)
    return outcome.placements


# -- answers -----------------------------------------------------------------------------------------------


def test_a_sure_question_is_answered_and_shown(bots):
    conversation = bots.opened()
    assert understood(bots, conversation) == Done(conversation=conversation)
    question, answer = messages(bots, conversation)
    assert (answer.author, answer.author_id, answer.text) == ("bot", "bot", "answer to: hello")
    assert answer.reply_to == question.id
    assert len(bots.keys.shown[bots.contact()]) == 1
    record = bots.record(conversation)
    assert (record.state, record.owed_seq, record.bot_due_ms) == ("bot", 0, bots.now_ms + IDLE_MS)
    assert record.bot == BotState(answered="delivery", misses=1)
    assert bots.keys.bot == {conversation: bots.now_ms + IDLE_MS}


def test_an_answer_goes_out_through_the_contacts_channel(bots):
    conversation = bots.opened(channel="wechat")
    understood(bots, conversation)
    (out,) = bots.keys.outbox
    assert (out.channel, out.external_id, out.text) == ("wechat", "v1", "answer to: hello")
    assert out.message == f"{conversation}-2"


@pytest.mark.parametrize("restart", [False, True])
def test_what_was_understood_twice_is_answered_once(bots, restart):
    conversation = bots.opened()
    understood(bots, conversation)
    before = bots.record(conversation)
    if restart:
        bots.restart()
    understood(bots, conversation)
    assert len(bots.texts(conversation)) == 2
    assert bots.record(conversation) == before


def test_what_the_bot_remembers_is_there_at_the_next_message(bots):
    conversation = bots.opened()
    understood(bots, conversation)
    bots.restart()
    bots.write("and now?")
    understood(bots, conversation, seq=3, text="and now?")
    assert bots.record(conversation).bot.misses == 2


def test_only_the_newest_message_is_answered(bots):
    conversation = bots.opened()
    bots.write("I mean this")
    understood(bots, conversation, seq=1)
    assert said(bots, conversation) == [("contact", "hello"), ("contact", "I mean this")]
    understood(bots, conversation, seq=2, text="I mean this")
    assert said(bots, conversation)[2:] == [("bot", "answer to: I mean this")]
    understood(bots, conversation, seq=1)
    assert len(bots.texts(conversation)) == 3


def test_patience_is_counted_from_the_first_message_without_an_answer(bots):
    conversation = bots.opened()
    wrote_at = bots.now_ms
    bots.now_ms += 1_000
    bots.write("hurry")
    assert bots.keys.bot == {conversation: wrote_at + PATIENCE_MS}
    understood(bots, conversation, seq=2)
    bots.now_ms += 5_000
    bots.write("and?")
    assert bots.keys.bot == {conversation: bots.now_ms + PATIENCE_MS}
    assert bots.record(conversation).waiting_since_ms == bots.now_ms


# -- what is left for agents -------------------------------------------------------------------------------


def test_what_is_left_for_agents_waits_for_one_and_the_bot_is_silent(bots):
    conversation = bots.write("call me tomorrow", for_agents=True).conversation
    assert bots.record(conversation).state == "waiting"
    assert bots.keys.waiting == {conversation: bots.now_ms}
    assert [question.owed for question in bots.router.questions] == [False], "agents are shown what it is about"
    understood(bots, conversation, understanding=SURE)
    assert bots.texts(conversation) == ["call me tomorrow"]
    assert bots.record(conversation).insight is not None


def test_what_is_left_for_agents_ends_the_bots_part(bots):
    conversation = bots.opened()
    understood(bots, conversation)
    bots.now_ms += 60_000
    bots.write("call me tomorrow", for_agents=True)
    record = bots.record(conversation)
    assert (record.state, record.waiting_since_ms, record.bot) == ("waiting", bots.now_ms, None)
    assert bots.keys.bot == {}
    assert bots.router.counts["bot_handed_over_left"] == 1


def test_what_is_left_for_agents_waits_since_the_bot_owes_an_answer(bots):
    conversation = bots.opened()
    asked_at = bots.now_ms
    bots.now_ms += 300
    bots.write("call me tomorrow", for_agents=True)
    assert bots.keys.waiting == {conversation: asked_at}
    understood(bots, conversation)
    assert len(bots.texts(conversation)) == 2, "an answer that comes now is none"


# -- hand-over ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "understanding", "reason", "words"),
    [
        ("hello", UNSURE, "unsure", []),
        ("hello", None, "late", []),
        ("asked", SURE, "asked", ["a human for: asked"]),
        ("angry", None, "angry", ["a human for: angry"]),
    ],
)
def test_what_the_bot_cannot_answer_waits_for_a_human_since_the_contact_wrote(bots, text, understanding, reason, words):
    conversation = bots.opened()
    wrote_at = bots.now_ms
    bots.now_ms += 700
    understood(bots, conversation, text=text, understanding=understanding)
    record = bots.record(conversation)
    assert (record.state, record.waiting_since_ms) == ("waiting", wrote_at)
    assert (record.owed_seq, record.bot_due_ms, record.bot) == (0, 0, None)
    assert bots.keys.waiting == {conversation: wrote_at}
    assert bots.keys.bot == {}
    assert bots.texts(conversation)[1:] == words
    assert bots.router.counts == {f"bot_handed_over_{reason}": 1}


def test_what_is_asked_for_in_an_older_message_counts(bots):
    conversation = bots.opened()
    bots.write("are you there?")
    understood(bots, conversation, seq=1, text="asked for a human")
    assert bots.record(conversation).state == "waiting"


def test_what_is_asked_for_counts_although_a_newer_message_was_answered_first(bots):
    conversation = bots.opened()
    bots.write("are you there?")
    understood(bots, conversation, seq=2)
    understood(bots, conversation, seq=1, text="angry")
    assert bots.record(conversation).state == "waiting"


def test_an_older_message_that_was_not_understood_leaves_the_newer_one_its_time(bots):
    conversation = bots.opened()
    bots.write("are you there?")
    understood(bots, conversation, seq=1, understanding=None)
    assert bots.record(conversation).state == "bot"


@pytest.mark.parametrize(
    ("by_skill", "own", "expected"), [(True, "", "delivery"), (True, "vip", "vip"), (False, "", "")]
)
def test_a_hand_over_asks_for_the_intents_skill_only_if_that_is_wanted(desk, by_skill, own, expected):
    desk.router = RouterModel(desk.store, bot=BotPart(answers=PlainBot(), route_by_skill=by_skill))
    desk.bot_room = 1
    conversation = desk.write(skill=own).conversation
    understood(desk, conversation, understanding=UNSURE)
    assert desk.record(conversation).skill == expected


def test_a_conversation_handed_over_is_offered_with_what_was_understood(bots):
    conversation = bots.opened()
    understood(bots, conversation, understanding=UNSURE)
    bots.offer(conversation)
    expected = Insight(intent="delivery", confidence=0.3, suggestions=("suggested for: hello",), seq=1)
    (shown,) = bots.shown("ann").conversations.values()
    assert shown.conversation.insight == expected


def test_a_message_that_finds_no_room_is_handed_over_at_once(bots):
    conversation = bots.opened()
    wrote_at = bots.now_ms
    bots.bot_room = 0
    bots.write("more")
    record = bots.record(conversation)
    assert (record.state, record.waiting_since_ms) == ("waiting", wrote_at)


def test_a_message_that_finds_no_room_after_an_answer_waits_since_now(bots):
    conversation = bots.opened()
    understood(bots, conversation)
    bots.bot_room = 0
    bots.now_ms += 60_000
    bots.write("more")
    assert bots.keys.waiting == {conversation: bots.now_ms}


def test_an_answer_that_the_vendor_refused_is_none(bots):
    conversation = bots.opened(channel="wechat")
    understood(bots, conversation)
    fields = {"account": "acme", "conversation": conversation, "message": f"{conversation}-2"}
    bots.ask(Delivered(**fields, state="sent"))
    assert bots.record(conversation).state == "bot"
    bots.ask(Delivered(**fields, state="failed"))
    assert bots.record(conversation).state == "waiting"


# -- time ---------------------------------------------------------------------------------------------------


def test_what_was_not_answered_in_time_is_handed_over(bots):
    conversation = bots.opened()
    wrote_at = bots.now_ms
    due(bots, conversation, PATIENCE_MS - 2)
    assert bots.record(conversation).state == "bot"
    due(bots, conversation)
    assert bots.keys.waiting == {conversation: wrote_at}
    assert bots.keys.bot == {}
    understood(bots, conversation)
    assert len(bots.texts(conversation)) == 1


def test_what_is_due_is_handed_over_by_a_router_without_a_bot(bots):
    conversation = bots.opened()
    bots.router = RouterModel(bots.store, bot=BotPart())
    due(bots, conversation, PATIENCE_MS)
    assert bots.record(conversation).state == "waiting"


def test_a_conversation_that_nobody_goes_on_with_is_resolved_by_the_bot(bots):
    conversation = bots.opened()
    understood(bots, conversation)
    due(bots, conversation, IDLE_MS - 2)
    assert bots.record(conversation).state == "bot"
    due(bots, conversation)
    assert bots.record(conversation).state == "resolved"
    assert said(bots, conversation)[-1] == ("system", "conversation.resolved")
    assert bots.keys.bot == {}
    assert bots.opened() != conversation


def test_being_due_means_nothing_to_other_conversations(desk):
    conversation = desk.assigned()
    before = desk.record(conversation)
    assert due(desk, conversation, IDLE_MS) == Done(conversation=conversation)
    assert desk.record(conversation) == before


@pytest.mark.parametrize("kind", [Understood, BotDue])
def test_what_does_not_exist_is_refused(desk, kind):
    more = {"seq": 1, "text": ""} if kind is Understood else {}
    reply = desk.ask(kind(account="acme", conversation=conversation_id(1, 5, bytes(10)), **more))
    assert isinstance(reply, Refusal)
    assert reply.name == "not_found"


# -- humans --------------------------------------------------------------------------------------------------


def test_agents_and_dispatchers_cannot_touch_what_the_bot_holds(bots):
    conversation = bots.opened()
    offered = bots.ask(Offer(account="acme", conversation=conversation, agent="ann", epoch=0, expires_at_ms=9_000))
    assert (offered.name, offered.detail) == ("conflict", "this conversation is with the bot")
    assert bots.say(conversation).name == "forbidden"
    assert bots.by(Accept, conversation, **SUPERVISOR).name == "conflict"
    assert bots.by(Snooze, conversation, until_ms=9_999, **SUPERVISOR).name == "conflict"
    assert bots.record(conversation).state == "bot"


@pytest.mark.parametrize("internal", [False, True])
def test_a_supervisors_word_ends_the_bots_part(bots, internal):
    conversation = bots.opened()
    wrote_at = bots.now_ms
    assert isinstance(bots.say(conversation, internal=internal, **SUPERVISOR), Receipt)
    record = bots.record(conversation)
    assert (record.state, record.waiting_since_ms, record.owed_seq) == ("waiting", wrote_at, 0)
    understood(bots, conversation)
    assert len(bots.texts(conversation)) == 2


def test_a_supervisor_hands_it_to_an_agent(bots):
    conversation = bots.opened()
    understood(bots, conversation)
    bots.by(Transfer, conversation, to_agent="bob", **SUPERVISOR)
    record = bots.record(conversation)
    assert (record.state, record.preferred, record.bot) == ("waiting", "bob", None)
    assert bots.keys.bot == {}


def test_a_supervisor_closes_it(bots):
    conversation = bots.opened()
    bots.by(Resolve, conversation, **SUPERVISOR)
    assert bots.record(conversation).state == "resolved"
    assert bots.keys.bot == {}


def test_it_never_becomes_the_bots_again(bots):
    conversation = bots.opened()
    understood(bots, conversation, understanding=UNSURE)
    bots.offer(conversation)
    bots.by(Accept, conversation)
    bots.by(Snooze, conversation, until_ms=bots.now_ms + 60_000)
    bots.write("again")
    assert bots.record(conversation).state == "waiting"


# -- insight -------------------------------------------------------------------------------------------------


def test_a_waiting_conversation_keeps_what_was_understood_and_its_revision(desk):
    conversation = desk.opened()
    before = desk.record(conversation)
    understood(desk, conversation)
    after = desk.record(conversation)
    assert (after.insight.intent, after.insight.seq) == ("delivery", 1)
    # so an offer that is under way is not refused
    assert after.revision == before.revision
    assert isinstance(desk.offer(conversation, revision=before.revision), Done)
    assert desk.shown("ann").conversations[conversation].conversation.insight == after.insight


def test_the_newest_message_that_was_understood_counts(desk):
    conversation = desk.opened()
    desk.write("and this")
    understood(desk, conversation, seq=2, text="and this")
    understood(desk, conversation, seq=1)
    assert desk.record(conversation).insight.suggestions == ("suggested for: and this",)


def test_an_agent_with_an_offer_sees_what_was_understood_since(desk):
    conversation = desk.opened()
    desk.offer(conversation)
    understood(desk, conversation)
    understood(desk, conversation)
    assert desk.told("ann") == [("offered", ""), ("changed", "insight")]
    assert desk.shown("ann").conversations[conversation].conversation.insight.seq == 1


def test_an_agent_at_work_is_left_alone(desk):
    conversation = desk.assigned()
    before = desk.record(conversation)
    understood(desk, conversation)
    assert desk.record(conversation) == before


def test_what_was_not_understood_shows_nothing(desk):
    conversation = desk.opened()
    understood(desk, conversation, understanding=None)
    assert desk.record(conversation).insight is None


def test_messages_are_understood_until_an_agent_took_the_conversation(desk):
    conversation = desk.opened()
    desk.write("")
    desk.offer(conversation)
    desk.write("offered")
    desk.by(Accept, conversation)
    desk.write("assigned")
    assert [(question.text, question.owed) for question in desk.router.questions] == [
        ("hello", False),
        ("offered", False),
    ]


# -- links ---------------------------------------------------------------------------------------------------


def link(desk: Desk, source: str, into: str):
    """Take an identity's open conversation to another contact; returns where it goes on."""
    exported = desk.ask(Export(account="acme", contact=desk.contact(source)))
    adopted = desk.ask(
        Adopt(
            account="acme",
            contact=desk.contact(into),
            source=desk.contact(source),
            channel="web",
            inbox="web",
            external_id=source,
            record=exported.record,
            messages=exported.messages,
        )
    )
    done = desk.ask(
        Move(
            account="acme",
            contact=desk.contact(source),
            into=desk.contact(into),
            conversation=exported.record.id,
            into_conversation=adopted.conversation,
            length=exported.length,
        )
    )
    assert done == Done()
    assert exported.record.id not in desk.keys.bot
    return desk.record(adopted.conversation)


def in_state(desk: Desk, who: str, state: str) -> str:
    """Open a conversation of ``who`` that stands in ``state``; ``owed`` and ``answered`` are the bot's."""
    desk.bot_room = 100 if state in ("owed", "answered") else 0
    conversation = desk.opened(who)
    if state == "answered":
        understood(desk, conversation)
    if state in ("offered", "assigned", "snoozed"):
        desk.offer(conversation)
    if state in ("assigned", "snoozed"):
        desk.by(Accept, conversation)
    if state == "snoozed":
        desk.by(Snooze, conversation, until_ms=desk.now_ms + 60_000)
    return conversation


@pytest.mark.parametrize(
    ("source", "target", "goes_on"),
    [
        ("answered", "", "bot"),
        ("owed", "", "waiting"),
        ("assigned", "", "waiting"),
        ("answered", "answered", "bot"),
        ("answered", "owed", "bot"),
        ("owed", "answered", "waiting"),
        ("owed", "owed", "waiting"),
        ("waiting", "answered", "waiting"),
        ("offered", "owed", "waiting"),
        ("assigned", "answered", "waiting"),
        ("snoozed", "answered", "waiting"),
        ("answered", "waiting", "waiting"),
        ("owed", "waiting", "waiting"),
        ("answered", "offered", "offered"),
        ("owed", "assigned", "assigned"),
        ("answered", "snoozed", "snoozed"),
        ("owed", "snoozed", "waiting"),
        ("waiting", "snoozed", "waiting"),
    ],
)
def test_where_humans_have_to_do_with_one_of_two_linked_conversations_they_have_with_both(
    desk, source, target, goes_on
):
    if target:
        in_state(desk, "target", target)
    in_state(desk, "source", source)
    record = link(desk, "source", "target")
    assert record.state == goes_on
    assert desk.keys.bot == ({record.id: record.bot_due_ms} if goes_on == "bot" else {})
    if source == "assigned" and goes_on == "waiting":
        assert record.preferred == "ann"


def test_the_bot_goes_on_where_it_was_after_a_link(bots):
    understood(bots, bots.opened("source"))
    record = link(bots, "source", "target")
    assert said(bots, record.id) == [("contact", "hello"), ("bot", "answer to: hello")]
    assert record.bot == BotState(answered="delivery", misses=1)
    bots.write("and now?", who="target")
    understood(bots, record.id, seq=3, text="and now?")
    assert bots.texts(record.id)[-1] == "answer to: and now?"


def test_answers_of_two_bots_conversations_are_all_carried_over(bots):
    understood(bots, bots.opened("target"))
    understood(bots, bots.opened("source"))
    record = link(bots, "source", "target")
    assert [author for author, _ in said(bots, record.id)] == ["contact", "bot", "contact", "bot"]


def test_an_answer_under_way_finds_its_message_after_a_link(bots):
    conversation = bots.opened("target")
    understood(bots, bots.opened("source"))
    assert link(bots, "source", "target").id == conversation
    understood(bots, conversation, seq=1)
    assert said(bots, conversation)[-1] == ("bot", "answer to: hello")
    assert bots.record(conversation).owed_seq == 0


def test_what_was_understood_for_a_conversation_that_moved_changes_nothing(bots):
    source = bots.opened("source")
    link(bots, "source", "target")
    before = bots.record(source)
    understood(bots, source)
    assert bots.record(source) == before
