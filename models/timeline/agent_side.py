"""What an agent can cause: an answer, a note, and every change of who holds a conversation."""

from typing import Protocol

import msgspec

from models.channels.budget import OWN_CHANNELS, give_back, over_budget
from models.domain.commands import (
    Accept,
    Decline,
    Delivered,
    Done,
    Receipt,
    Refusal,
    Reopen,
    Resolve,
    Role,
    Say,
    Snooze,
    Tag,
    TakeOver,
    Transfer,
    Typing,
)
from models.domain.conversation import HELD_STATES, OPEN_STATES, Thread
from models.domain.errors import BadRequest, Conflict, Forbidden, NotFound
from models.domain.message import Message
from models.domain.outgoing import Outgoing
from models.domain.tags import MOST_TAGS, TAG_CHARS, retagged
from models.timeline.cache import Contact, Conversation
from models.timeline.turn import Turn, message_event, offered_event, record_event, refuse, refuse_state

_encode = msgspec.json.Encoder().encode
#: Channels on which an answer may bring files; no vendor's channel has learned to send them yet.
FILE_CHANNELS = OWN_CHANNELS


class ByAgent(Protocol):
    """A command that an agent gave about one conversation."""

    @property
    def account(self) -> str:
        """Return the tenant."""
        ...

    @property
    def conversation(self) -> str:
        """Return the conversation."""
        ...

    @property
    def by(self) -> str:
        """Return the agent."""
        ...

    @property
    def role(self) -> Role | None:
        """Return the role of the agent's token."""
        ...


Held = tuple[Contact, Conversation]


def _checked(turn: Turn, command: ByAgent, found: Held | None, *, states: frozenset[str]) -> Refusal | None:
    """Refuse what is foreign, closed, or another agent's; supervisors and admins may touch every open one."""
    if found is None:
        return refuse(NotFound, "no such conversation")
    record = found[1].record
    if record.state not in OPEN_STATES:
        return refuse_state(record)
    if command.role == "agent" and record.agent != command.by:
        return refuse(Forbidden, "this conversation is not yours")
    if record.state not in states:
        return refuse_state(record)
    return None


def say(turn: Turn, command: Say, found: Held | None) -> Receipt | Refusal:
    """Append an agent's answer or note, and send an answer on its way; taken once by the desk's client id."""
    source = (f"desk:{command.by}", command.client_id)
    if found is not None:
        hit = found[1].seen.get(source)
        if hit is not None:
            turn.count("duplicates")
            return Receipt(conversation=found[1].record.id, seq=hit[0], at_ms=hit[1], duplicate=True)
    refusal = _checked(turn, command, found, states=OPEN_STATES)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    contact, conversation = found
    thread = _thread_for(turn, command, conversation)
    if isinstance(thread, Refusal):
        return thread
    if conversation.record.state == "offered" and conversation.record.agent == command.by:
        _take(turn, contact, conversation)
    elif conversation.record.state == "bot":
        # whoever is answered by a human, or talked about among them, is theirs
        turn.replace(contact, conversation, state="waiting")
    seq = conversation.seq + 1
    message = Message(
        id=f"{conversation.record.id}-{seq}",
        conversation=conversation.record.id,
        seq=seq,
        author="agent",
        author_id=command.by,
        text=command.text,
        channel=thread.channel,
        inbox=source[0],
        source_id=command.client_id,
        at_ms=turn.now_ms,
        received_at_ms=command.received_at_ms,
        internal=command.internal,
        reply_to=command.reply_to,
        attachments=command.attachments,
    )
    data = turn.append(contact, conversation, message)
    if not command.internal:
        send(turn, contact, message, data, thread)
    _count_said(turn, contact, conversation, internal=command.internal)
    return turn.receipt(conversation)


def _thread_for(turn: Turn, command: Say, conversation: Conversation) -> Thread | Refusal:
    """Return where an answer goes; refused where its vendor would not take it."""
    thread = conversation.thread_on(command.channel)
    if thread is None:
        return refuse(BadRequest, f"this conversation has no thread on channel {command.channel[:64]!r}")
    if command.attachments and not command.internal and thread.channel not in FILE_CHANNELS:
        return refuse(BadRequest, f"files cannot be sent on channel {thread.channel}")
    budget = turn.budgets.get(thread.inbox)
    if budget is None or command.internal:
        return thread
    spent = conversation.spent.get(thread.channel)
    words = over_budget(budget, spent, thread.channel, command.text, turn.now_ms)
    return refuse(Conflict, words) if words else thread


def _count_said(turn: Turn, contact: Contact, conversation: Conversation, *, internal: bool) -> None:
    """Count what an agent said, and how long the contact had waited for it."""
    changes = turn.changes[contact.account]
    changes.count("note" if internal else "agent")
    if conversation.asked_ms and not internal:
        changes.waits_ms.append(turn.now_ms - conversation.asked_ms)
        conversation.asked_ms = 0


def send(turn: Turn, contact: Contact, message: Message, data: bytes, thread: Thread) -> None:
    """Show an answer of an agent or the bot on the contact's open sockets; a vendor's channel gets it by the outbox."""
    changes = turn.changes[contact.account]
    changes.tell_visitors(contact.id, message_event(data))
    if thread.channel not in OWN_CHANNELS:
        changes.outgoing.append(
            Outgoing(
                account=contact.account,
                conversation=message.conversation,
                message=message.id,
                channel=thread.channel,
                inbox=thread.inbox,
                external_id=thread.external_id,
                text=message.text,
                at_ms=turn.now_ms,
            )
        )


def _take(turn: Turn, contact: Contact, conversation: Conversation) -> None:
    record = turn.replace(contact, conversation, state="assigned", offer_expires_ms=0, excluded=())
    if contact.record.last_agent != record.agent:
        turn.replace_contact(contact, last_agent=record.agent)
    turn.changes[contact.account].tell_desk(record.agent, record_event("changed", "accepted", record))


def accept(turn: Turn, command: Accept, found: Held | None) -> Done | Refusal:
    """Take an offered conversation; taking it twice is once."""
    refusal = _checked(turn, command, found, states=HELD_STATES)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    contact, conversation = found
    if conversation.record.agent != command.by:
        return refuse(Forbidden, "this conversation was not offered to you")
    if conversation.record.state == "offered":
        _take(turn, contact, conversation)
    return Done(conversation=conversation.record.id)


def decline(turn: Turn, command: Decline, found: Held | None) -> Done | Refusal:
    """Give a conversation back to the waiting line, in its old place, for somebody else."""
    refusal = _checked(turn, command, found, states=HELD_STATES)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    contact, conversation = found
    record = conversation.record
    turn.leave_desk(
        contact, conversation, "declined", state="waiting", preferred="", excluded=_with(record.excluded, record.agent)
    )
    return Done(conversation=record.id)


def transfer(turn: Turn, command: Transfer, found: Held | None) -> Done | Refusal:
    """Hand a conversation to a colleague or a skill group, through the waiting line, so capacity holds."""
    refusal = _checked(turn, command, found, states=OPEN_STATES)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    if bool(command.to_agent) == bool(command.to_skill):
        return refuse(BadRequest, "transfer needs either to_agent or to_skill")
    contact, conversation = found
    record = conversation.record
    if command.to_agent and command.to_agent == record.agent:
        return refuse(Conflict, "this agent holds the conversation already")
    excluded = tuple(agent for agent in _with(record.excluded, record.agent) if agent != command.to_agent)
    skill = command.to_skill or record.skill
    if record.state in HELD_STATES:
        turn.leave_desk(
            contact,
            conversation,
            "transferred",
            state="waiting",
            preferred=command.to_agent,
            skill=skill,
            excluded=excluded,
        )
    else:
        turn.replace(
            contact,
            conversation,
            state="waiting",
            preferred=command.to_agent,
            skill=skill,
            excluded=excluded,
            snoozed_until_ms=0,
        )
    return Done(conversation=record.id)


def _with(excluded: tuple[str, ...], agent: str) -> tuple[str, ...]:
    return excluded if not agent or agent in excluded else (*excluded, agent)


def resolve(turn: Turn, command: Resolve, found: Held | None) -> Done | Refusal:
    """Close a case and tell both sides; closing it twice is once."""
    if found is not None and found[1].record.state == "resolved":
        return Done(conversation=found[1].record.id)
    refusal = _checked(turn, command, found, states=OPEN_STATES)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    contact, conversation = found
    before = conversation.record
    turn.append_system(contact, conversation, "conversation.resolved")
    turn.close(contact, conversation, state="resolved", snoozed_until_ms=0)
    turn.changes[contact.account].count("resolved")
    if before.state in HELD_STATES:
        event = record_event("removed", "resolved", conversation.record)
        turn.changes[contact.account].tell_desk(before.agent, event)
    return Done(conversation=before.id)


def reopen(turn: Turn, command: Reopen, found: Held | None) -> Done | Refusal:
    """Let a resolved conversation wait again, for the agent who asks first; doing so twice is once.

    Only the contact's newest conversation can go on: a contact has one open conversation at most.
    """
    if found is None:
        return refuse(NotFound, "no such conversation")
    contact, conversation = found
    record = conversation.record
    if record.state in OPEN_STATES and record.preferred == command.by:
        return Done(conversation=record.id)
    if record.state != "resolved":
        return refuse_state(record)
    if command.role == "agent" and contact.record.last_agent != command.by:
        return refuse(Forbidden, "this conversation was not yours")
    if contact.record.moved_to or contact.open is not None or contact.last is not conversation:
        return refuse(Conflict, "this contact has a newer conversation")
    turn.append_system(contact, conversation, "conversation.reopened")
    turn.reopen(contact, conversation, preferred=command.by)
    turn.changes[contact.account].count("reopened")
    return Done(conversation=record.id)


def snooze(turn: Turn, command: Snooze, found: Held | None) -> Done | Refusal:
    """Lay a conversation aside; it comes back to the same agent if possible."""
    refusal = _checked(turn, command, found, states=HELD_STATES)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    if command.until_ms <= turn.now_ms:
        return refuse(BadRequest, "until_ms must lie in the future")
    contact, conversation = found
    turn.leave_desk(
        contact,
        conversation,
        "snoozed",
        state="snoozed",
        snoozed_until_ms=command.until_ms,
        preferred=conversation.record.agent,
    )
    return Done(conversation=conversation.record.id)


def tag(turn: Turn, command: Tag, found: Held | None) -> Done | Refusal:
    """Add tags to a conversation and take others away; one that is resolved is tagged by who helped last."""
    refusal = _checked_for_tags(turn, command, found)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    contact, conversation = found
    before = conversation.record
    tags = retagged(before.tags, add=command.add, remove=command.remove)
    if len(tags) > MOST_TAGS or any(len(each) > TAG_CHARS for each in tags):
        return refuse(BadRequest, f"a conversation has at most {MOST_TAGS} tags of {TAG_CHARS} characters each")
    if tags == before.tags:
        return Done(conversation=before.id)
    changes = turn.changes_of(contact.account, contact.slot)
    changes.tags |= dict.fromkeys((each for each in tags if each not in before.tags), turn.now_ms)
    if before.state in HELD_STATES:
        record = turn.replace(contact, conversation, tags=tags)
        changes.tell_desk(record.agent, record_event("changed", "tags", record))
    else:
        turn.keep(contact, conversation, tags=tags)
    return Done(conversation=before.id)


def _checked_for_tags(turn: Turn, command: Tag, found: Held | None) -> Refusal | None:
    if found is None or found[1].record.state != "resolved":
        return _checked(turn, command, found, states=OPEN_STATES)
    if command.role == "agent" and found[0].record.last_agent != command.by:
        return refuse(Forbidden, "this conversation was not yours")
    return None


def take_over(turn: Turn, command: TakeOver, found: Held | None) -> Done | Refusal:
    """Bring an open conversation to a supervisor's desk, beyond any capacity; doing so twice is once.

    Whoever had it sees it go, and a note that only agents see says who took it, so that it can be traced.
    """
    if command.role == "agent":
        return refuse(Forbidden, "only supervisors take conversations over")
    refusal = _checked(turn, command, found, states=OPEN_STATES)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    contact, conversation = found
    before = conversation.record
    if before.agent == command.by and before.state in HELD_STATES:
        if before.state == "offered":
            _take(turn, contact, conversation)
        return Done(conversation=before.id)
    turn.append_line(contact, conversation, "conversation.taken_over", by=command.by)
    record = turn.replace(
        contact,
        conversation,
        state="assigned",
        agent=command.by,
        offer_expires_ms=0,
        snoozed_until_ms=0,
        excluded=(),
    )
    turn.replace_contact(contact, last_agent=command.by)
    changes = turn.changes[contact.account]
    if before.state in HELD_STATES:
        changes.tell_desk(before.agent, record_event("removed", "taken_over", record))
    changes.tell_desk(command.by, offered_event(conversation))
    changes.count("taken_over")
    return Done(conversation=record.id)


def agent_typing(turn: Turn, command: Typing, found: Held | None) -> Done | Refusal:
    """Show the contact that the agent types; nothing is stored."""
    refusal = _checked(turn, command, found, states=HELD_STATES)
    if refusal is not None or found is None:
        return refusal or refuse(NotFound, "no such conversation")
    contact, conversation = found
    event = b'{"type":"typing","conversation":"%b","author":"agent"}' % conversation.record.id.encode()
    turn.changes_of(contact.account, contact.slot).tell_visitors(contact.id, event)
    return Done(conversation=conversation.record.id)


def delivered(turn: Turn, command: Delivered, found: Held | None) -> Done | Refusal:
    """Tell the desk what became of an answer that went out through a vendor; if it was the bot's, humans go on."""
    if found is None:
        return refuse(NotFound, "no such conversation")
    contact, conversation = found
    if command.state == "failed":
        give_back(conversation.spent, int(command.message.rpartition("-")[2]))
        turn.changes_of(contact.account, contact.slot).count("undelivered")
    if conversation.record.state in HELD_STATES:
        event = _encode(
            {"type": "delivery", "message": command.message, "state": command.state, "detail": command.detail}
        )
        turn.changes_of(contact.account, contact.slot).tell_desk(conversation.record.agent, event)
    elif conversation.record.state == "bot" and command.state == "failed":
        turn.replace(contact, conversation, state="waiting")
        turn.count("bot_handed_over_undelivered")
        turn.changes[contact.account].count("handed_over")
    return Done(conversation=conversation.record.id)
