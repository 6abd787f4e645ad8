"""What the bot can cause: an answer, a hand-over to humans, an end; and what agents are shown of a message.

A conversation is the bot's from its opening until somebody else has to do with it, and never again after
that. While the bot owes an answer, and while it waits for the contact to go on, the store's index says
until when; so whatever dies on the way of an answer, the conversation comes to a human at last.
"""

from typing import Any

import msgspec

from models.domain.bot import BotState, HandOver, Insight
from models.domain.commands import BotDue, Done, Refusal, Understood
from models.domain.conversation import ConversationRecord
from models.domain.errors import NotFound
from models.domain.ids import message_id
from models.domain.message import Message
from models.timeline.agent_side import Held, send
from models.timeline.bot_part import Question
from models.timeline.cache import Contact, Conversation
from models.timeline.turn import Turn, record_event, refuse

#: Its name as an author, and the inbox of what it says: a message answered twice would have the same source id.
BOT = "bot"
#: What a contact may say in a message that others followed, and must be heard all the same.
_HEARD_LATE = frozenset(("asked", "angry"))


def asked(turn: Turn, contact: Contact, conversation: Conversation) -> None:
    """Note, before its message is appended, that the contact wrote to the bot; humans go on if it has no time."""
    record = conversation.record
    fields: dict[str, Any] = {}
    if not record.owed_seq:
        fields = {"waiting_since_ms": turn.now_ms, "bot_due_ms": turn.now_ms + turn.bot.patience_ms}
    if turn.bot_takes_one():
        turn.replace(contact, conversation, owed_seq=conversation.seq + 1, **fields)
    else:
        turn.count("bot_handed_over_no_room")
        turn.replace(contact, conversation, **fields, state="waiting")
        turn.changes[contact.account].count("handed_over")


def passed_over(turn: Turn, contact: Contact, conversation: Conversation) -> None:
    """Let the conversation wait for a human, before a message is appended that the contact leaves for agents."""
    owed = conversation.record.owed_seq
    since_ms = conversation.record.waiting_since_ms if owed else turn.now_ms
    turn.count("bot_handed_over_left")
    turn.replace(contact, conversation, state="waiting", waiting_since_ms=since_ms)


def wonder(turn: Turn, contact: Contact, conversation: Conversation, text: str) -> None:
    """Have the contact's message, which was appended last, understood once it is stored."""
    record = conversation.record
    owed = record.state == "bot"
    if owed or text:
        turn.questions.append(Question(contact.account, record.id, conversation.seq, text, owed))


def understood(turn: Turn, command: Understood, found: Held | None) -> Done | Refusal:
    """Answer a message that the bot owes an answer to, or hand it over; show agents what it is about."""
    if found is None:
        return refuse(NotFound, "no such conversation")
    contact, conversation = found
    state = conversation.record.state
    if state == "bot":
        _heard(turn, command, contact, conversation)
    elif state in ("waiting", "offered"):
        _shown(turn, command, contact, conversation)
    return Done(conversation=conversation.record.id)


def _heard(turn: Turn, command: Understood, contact: Contact, conversation: Conversation) -> None:
    record = conversation.record
    answers = turn.bot.answers_of(contact.account)
    if answers is None or (BOT, message_id(record.id, command.seq)) in conversation.seen:
        return
    decision = answers.hear(command.text, command.understanding, record.bot or BotState())
    if command.seq != record.owed_seq and not (isinstance(decision, HandOver) and decision.reason in _HEARD_LATE):
        return  # a newer message is the one to answer, or it was answered already
    insight = _insight(turn, command, contact, record)
    if isinstance(decision, HandOver):
        _hand_over(turn, contact, conversation, decision, seq=command.seq, insight=insight)
        return
    _say(turn, contact, conversation, command.seq, decision.text)
    due_ms = turn.now_ms + turn.bot.idle_ms
    turn.replace(contact, conversation, owed_seq=0, bot_due_ms=due_ms, bot=decision.state, insight=insight)
    turn.count("bot_answered")
    turn.changes[contact.account].count("bot_answered")
    conversation.asked_ms = 0


def _hand_over(
    turn: Turn, contact: Contact, conversation: Conversation, decision: HandOver, *, seq: int, insight: Insight | None
) -> None:
    """Let the conversation wait for a human, since when the contact waits for an answer."""
    if decision.text:
        _say(turn, contact, conversation, seq, decision.text)
    skill = conversation.record.skill
    if turn.bot.route_by_skill and not skill:
        skill = decision.skill
    turn.replace(contact, conversation, state="waiting", skill=skill, insight=insight)
    turn.count(f"bot_handed_over_{decision.reason}")
    turn.changes[contact.account].count("handed_over")


def _say(turn: Turn, contact: Contact, conversation: Conversation, answered_seq: int, text: str) -> None:
    """Append what the bot says to a message, and send it on its way as an agent's answer."""
    record = conversation.record
    seq, thread = conversation.seq + 1, record.threads[-1]
    question = message_id(record.id, answered_seq)
    message = Message(
        id=message_id(record.id, seq),
        conversation=record.id,
        seq=seq,
        author="bot",
        author_id=BOT,
        text=text,
        channel=thread.channel,
        inbox=BOT,
        source_id=question,
        at_ms=turn.now_ms,
        received_at_ms=turn.now_ms,
        reply_to=question,
    )
    send(turn, contact, message, turn.append(contact, conversation, message), thread)
    turn.changes[contact.account].count("bot")


def _shown(turn: Turn, command: Understood, contact: Contact, conversation: Conversation) -> None:
    """Keep what was understood for the next offer; an agent who has the offer sees it change."""
    before = conversation.record
    insight = _insight(turn, command, contact, before)
    if insight is before.insight:
        return
    if before.state == "offered":
        record = turn.replace(contact, conversation, insight=insight)
        turn.changes[contact.account].tell_desk(record.agent, record_event("changed", "insight", record))
    else:
        # a new revision would have a dispatcher's offer that is under way refused
        turn.keep(contact, conversation, insight=insight)


def _insight(turn: Turn, command: Understood, contact: Contact, record: ConversationRecord) -> Insight | None:
    """Return what to show of a conversation: the newest message that was understood counts."""
    known = record.insight
    if not command.text.strip():
        return known  # a file without a word
    answers = turn.bot.answers_of(command.account)
    if answers is None or command.understanding is None or (known and known.seq >= command.seq):
        return known
    insight = answers.insight(command.text, command.understanding)
    if known is None:
        turn.changes_of(contact.account, contact.slot).count(f"intent:{insight.intent}")
    return msgspec.structs.replace(insight, seq=command.seq)


def bot_due(turn: Turn, command: BotDue, found: Held | None) -> Done | Refusal:
    """Hand over what the bot did not answer in time, and end what the contact did not go on with."""
    if found is None:
        return refuse(NotFound, "no such conversation")
    contact, conversation = found
    record = conversation.record
    if record.state != "bot" or record.bot_due_ms > turn.now_ms:
        return Done(conversation=record.id)
    if record.owed_seq:
        late = HandOver("late")
        _hand_over(turn, contact, conversation, late, seq=record.owed_seq, insight=record.insight)
    else:
        turn.append_system(contact, conversation, "conversation.resolved")
        turn.close(contact, conversation, state="resolved")
        turn.count("bot_resolved")
        turn.changes[contact.account].count("bot_resolved")
    return Done(conversation=record.id)
