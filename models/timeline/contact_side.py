"""What a contact can cause: a message, and the joining of two of its identities."""

from typing import Any

import msgspec

from models.domain.bot import Insight
from models.domain.commands import (
    Adopt,
    Done,
    Export,
    Exported,
    Move,
    Moved,
    Parted,
    Rate,
    Receipt,
    Receive,
    Refusal,
    Typing,
)
from models.domain.conversation import HELD_STATES, ConversationRecord, Thread
from models.domain.errors import Conflict, Forbidden, NotFound
from models.domain.message import Message
from models.domain.tags import MOST_TAGS, retagged
from models.timeline import bot_side, joining
from models.timeline.agent_side import Held
from models.timeline.cache import Contact, Conversation
from models.timeline.turn import Turn, message_event, record_event, refuse

_message = msgspec.json.Decoder(Message)
#: Where an agent does not yet know what the contact wants.
_UNDERSTOOD_STATES = frozenset(("bot", "waiting", "offered"))


def receive(turn: Turn, command: Receive) -> Receipt | Moved | Parted | Refusal:
    """Number a contact's message and bring it to the desk that holds the conversation.

    Taken once by (inbox, source id), across the open conversation and the one before it.
    """
    contact = turn.contacts[command.contact]
    person = contact.record
    elsewhere = joining.elsewhere(person, command) if person.moved_to or person.joined else None
    if elsewhere is not None:
        return elsewhere
    if contact.account != command.account:
        return refuse(NotFound, "no such contact in this account")
    key = (command.inbox, command.source_id)
    conversation = contact.open
    hit = contact.seen(key)
    if hit is not None:
        turn.count("duplicates")
        return Receipt(conversation=hit[0].record.id, seq=hit[1], at_ms=hit[2], duplicate=True)
    if command.conversation and (conversation is None or conversation.record.id != command.conversation):
        return _refuse_other_conversation(contact, command.conversation)
    if conversation is None:
        conversation = _opened(turn, contact, command)
    else:
        _goes_on(turn, contact, conversation, command)
    record = conversation.record
    seq = conversation.seq + 1
    data = turn.append(
        contact,
        conversation,
        Message(
            id=f"{record.id}-{seq}",
            conversation=record.id,
            seq=seq,
            author="contact",
            text=command.text,
            channel=command.channel,
            inbox=command.inbox,
            source_id=command.source_id,
            at_ms=turn.now_ms,
            received_at_ms=command.received_at_ms,
            reply_to=command.reply_to,
            attachments=command.attachments,
        ),
    )
    conversation.asked_ms = conversation.asked_ms or turn.now_ms
    turn.changes[contact.account].count("contact")
    if command.channel != "web":
        # what was written elsewhere shows on the contact's open web page; web pages know what they sent themselves
        turn.changes[contact.account].tell_visitors(contact.id, message_event(data))
    if turn.bot.answers is not None and record.state in _UNDERSTOOD_STATES:
        bot_side.wonder(turn, contact, conversation, command.text)
    return turn.receipt(conversation)


def _opened(turn: Turn, contact: Contact, command: Receive) -> Conversation:
    """Open a conversation for a contact's message: the bot's, if it has room, or one that waits for a human."""
    thread = Thread(channel=command.channel, inbox=command.inbox, external_id=command.external_id)
    bots: dict[str, Any] = {}
    if not command.for_agents and turn.bot_takes_one():
        bots = {"state": "bot", "owed_seq": 1, "bot_due_ms": turn.now_ms + turn.bot.patience_ms}
    opened = turn.open(contact, skill=command.skill, preferred=contact.record.last_agent, threads=(thread,), **bots)
    changes = turn.changes[contact.account]
    changes.count("opened")
    if bots:
        changes.count("bot_opened")
    return opened


def _goes_on(turn: Turn, contact: Contact, conversation: Conversation, command: Receive) -> None:
    """Make an open conversation ready for the message that its contact wrote."""
    _follow_thread(turn, contact, conversation, command)
    if conversation.record.state == "snoozed":
        turn.replace(contact, conversation, state="waiting", waiting_since_ms=turn.now_ms, snoozed_until_ms=0)
    elif conversation.record.state == "bot" and command.for_agents:
        bot_side.passed_over(turn, contact, conversation)
    elif conversation.record.state == "bot":
        bot_side.asked(turn, contact, conversation)


def _refuse_other_conversation(contact: Contact, wanted: str) -> Refusal:
    if wanted in contact.conversations:
        return refuse(Conflict, "this conversation is resolved; write without naming it to open another")
    return refuse(NotFound, "this contact has no such conversation")


def _follow_thread(turn: Turn, contact: Contact, conversation: Conversation, command: Receive) -> None:
    """Make the thread of this message the last one, so that answers go where the contact wrote last."""
    threads = conversation.record.threads
    last = threads[-1]
    if last.inbox == command.inbox and last.external_id == command.external_id and last.channel == command.channel:
        return
    thread = Thread(channel=command.channel, inbox=command.inbox, external_id=command.external_id)
    others = tuple(each for each in threads if each != thread)
    record = turn.replace(contact, conversation, threads=(*others, thread))
    if thread not in contact.record.identities:
        turn.replace_contact(contact, identities=(*contact.record.identities, thread))
    if record.state in HELD_STATES:
        turn.changes[contact.account].tell_desk(record.agent, record_event("changed", "thread", record))


def visitor_typing(turn: Turn, command: Typing) -> Done | Refusal:
    """Show the agent that the contact types; nothing is stored."""
    contact = turn.contacts[command.contact]
    conversation = contact.open
    if conversation is None or conversation.record.id != command.conversation:
        return refuse(Forbidden, "this contact has no such open conversation")
    record = conversation.record
    if record.state in HELD_STATES:
        event = b'{"type":"typing","conversation":"%b","author":"contact"}' % record.id.encode()
        changes = turn.changes_of(contact.account, contact.slot)
        changes.desk_live.setdefault(record.agent, []).append(event)
    return Done(conversation=record.id)


def rate(turn: Turn, command: Rate, found: Held | None) -> Done | Refusal:
    """Keep what the contact thinks of a case that is closed; the newest word counts."""
    if found is None or found[0].id != command.contact:
        return refuse(NotFound, "this contact has no such conversation")
    contact, conversation = found
    record = conversation.record
    if record.state != "resolved":
        return refuse(Conflict, "only a conversation that is closed can be rated")
    if (record.rating, record.rating_comment) != (command.score, command.comment):
        changes = turn.changes_of(contact.account, contact.slot)
        changes.count("stars", command.score - record.rating)
        if not record.rating:
            changes.count("rated")
        turn.keep(contact, conversation, rating=command.score, rating_comment=command.comment)
    return Done(conversation=record.id)


def export(turn: Turn, command: Export) -> Exported | Refusal:
    """Name the open conversation that a link must carry over; its messages are read from the store."""
    contact = turn.contacts[command.contact]
    if contact.account != command.account:
        return refuse(NotFound, "no such contact in this account")
    record = contact.open.record if contact.open else None
    return Exported(
        record=record,
        length=contact.open.seq if contact.open else 0,
        moved_to=contact.record.moved_to,
        identities=contact.record.identities,
        joined=contact.record.joined,
    )


def adopt(turn: Turn, command: Adopt) -> Done | Moved | Refusal:
    """Take over another contact's open conversation: its messages keep their words, authors and times.

    Each message is taken once, so a link that broke half way can be repeated.
    """
    contact = turn.contacts[command.contact]
    if contact.record.moved_to:
        return Moved(contact=contact.record.moved_to)
    if contact.account != command.account:
        return refuse(NotFound, "no such contact in this account")
    joining.take_over(turn, contact, command)
    noted_ms = turn.now_ms if command.by else 0
    carried = [message for message in map(_carried, command.messages) if not contact.seen(_key(message))]
    if command.record is None or not carried:
        return Done(conversation=contact.record.open, at_ms=noted_ms)
    source = command.record
    conversation = contact.open
    if conversation is None:
        conversation = _opened_like(turn, contact, source)
    else:
        _join(turn, contact, conversation, source)
    for message in carried:
        seq = conversation.seq + 1
        turn.append(
            contact,
            conversation,
            msgspec.structs.replace(
                message, id=f"{conversation.record.id}-{seq}", conversation=conversation.record.id, seq=seq
            ),
        )
    if not conversation.asked_ms and conversation.record.state == "waiting":
        conversation.asked_ms = conversation.record.waiting_since_ms
    return Done(conversation=conversation.record.id, at_ms=noted_ms)


def _opened_like(turn: Turn, contact: Contact, source: ConversationRecord) -> Conversation:
    """Open the conversation in which another one goes on: with the bot if it is there and owes nothing."""
    bots: dict[str, Any] = {}
    if _settled_by_bot(source):
        bots = {"state": "bot", "bot": source.bot, "bot_due_ms": turn.now_ms + turn.bot.idle_ms}
    return turn.open(
        contact,
        skill=source.skill,
        preferred=source.agent or source.preferred,
        threads=source.threads,
        waiting_since_ms=source.waiting_since_ms,
        insight=_carried_insight(source),
        tags=source.tags,
        **bots,
    )


def _settled_by_bot(source: ConversationRecord) -> bool:
    """Tell whether nobody waits for an answer to what another conversation carries over.

    An answer that the bot owes there would come to nothing: humans give it.
    """
    return source.state == "bot" and not source.owed_seq


def _carried_insight(source: ConversationRecord) -> Insight | None:
    """Return what was understood, of a message that will have another number here."""
    return msgspec.structs.replace(source.insight, seq=0) if source.insight else None


def _join(turn: Turn, contact: Contact, conversation: Conversation, source: ConversationRecord) -> None:
    """Make an open conversation ready for the messages of another one."""
    ours = conversation.record.threads
    theirs = tuple(each for each in source.threads if each not in ours)
    tags = retagged(conversation.record.tags, add=source.tags)[:MOST_TAGS]
    record = turn.replace(contact, conversation, threads=theirs + ours, tags=tags)
    if record.state in HELD_STATES:
        turn.changes[contact.account].tell_desk(record.agent, record_event("changed", "thread", record))
    elif record.state == "bot" and not _settled_by_bot(source):
        # where humans have to do with one of the two, they have with both
        since_ms = source.waiting_since_ms
        turn.replace(
            contact,
            conversation,
            state="waiting",
            waiting_since_ms=min(since_ms, record.waiting_since_ms) if record.owed_seq else since_ms,
            skill=record.skill or source.skill,
            preferred=source.agent or source.preferred or record.preferred,
            insight=record.insight or _carried_insight(source),
        )
    elif record.state == "snoozed" != source.state and not _settled_by_bot(source):
        # somebody waits for an answer to what is carried over
        turn.replace(
            contact, conversation, state="waiting", waiting_since_ms=source.waiting_since_ms, snoozed_until_ms=0
        )


def _carried(data: str) -> Message:
    """Decode a message of the other conversation; one without a source id gets its old id as such."""
    message = _message.decode(data)
    return message if message.source_id else msgspec.structs.replace(message, inbox="merged", source_id=message.id)


def _key(message: Message) -> tuple[str, str]:
    return message.inbox, message.source_id


def move(turn: Turn, command: Move) -> Done | Refusal:
    """Let a contact answer *moved* from now on, unless more was written since its messages were exported."""
    contact = turn.contacts[command.contact]
    if contact.account != command.account or command.into == contact.id:
        return refuse(NotFound, "no such contact in this account")
    if contact.record.moved_to:
        if contact.record.moved_to == command.into:
            return Done()
        return refuse(Conflict, "this identity already belongs to another contact")
    if command.joined_ms and command.joined_ms <= contact.record.parted_ms:
        return refuse(Conflict, "this join was undone meanwhile")
    conversation = contact.open
    if (conversation.record.id if conversation else "") != command.conversation or (
        conversation is not None and conversation.seq != command.length
    ):
        return refuse(Conflict, "more was written meanwhile; export again")
    if conversation is not None:
        held = conversation.record.state in HELD_STATES
        agent = conversation.record.agent
        turn.close(contact, conversation, state="merged", merged_into=command.into_conversation, snoozed_until_ms=0)
        if held:
            event = record_event("removed", "merged", conversation.record)
            turn.changes[contact.account].tell_desk(agent, event)
    turn.replace_contact(contact, moved_to=command.into)
    changes = turn.changes[contact.account]
    changes.tell_visitors(contact.id, b'{"type":"moved","contact":"%b"}' % command.into.encode())
    return Done()
