"""What a router can be asked, and what it answers.

Commands of one shard travel as one MessagePack array, answers come back as one array in the same
order. A router is the only writer of its conversations: messages, assignments and links all pass
through here, so their order in the store is the order in which they happened.
"""

from typing import Literal

import msgspec

from models.domain.conversation import ConversationRecord, Joined, Thread
from models.domain.message import Attachment
from models.intent.understanding import Understanding

Role = Literal["agent", "supervisor", "admin"]
ReleaseReason = Literal["offer_expired", "agent_away", "snooze_over"]


class Command(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=True, gc=False):
    """Anything a router can be asked; ``account`` is the tenant it happens in."""

    account: str


class Receive(Command, frozen=True, kw_only=True, array_like=True, tag=1, gc=False):
    """A contact wrote.

    Args:
        contact: id computed from the identity, or where a *moved* answer pointed to.
        channel, inbox, external_id: the identity that wrote.
        source_id: the sender's id of the message; the same (inbox, source_id) is taken once.
        text: what was said.
        received_at_ms: Unix time at which we took it, in milliseconds.
        skill: what an agent must know; used when the message opens a conversation.
        conversation: the conversation it is meant for; empty means the open one.
        for_agents: whether it is left for agents, so that the conversation waits for one.
    """

    contact: str
    channel: str
    inbox: str
    external_id: str
    source_id: str
    text: str
    received_at_ms: int
    skill: str = ""
    conversation: str = ""
    reply_to: str = ""
    attachments: tuple[Attachment, ...] = ()
    for_agents: bool = False


class Say(Command, frozen=True, kw_only=True, array_like=True, tag=2, gc=False):
    """An agent answers, or leaves a note that only agents see (``internal``).

    Args:
        by, role: the agent and the role of its token.
        client_id: the desk's own id of the message; taken once.
        channel: the thread to answer on; empty means where the contact wrote last.
        attachments: files that were sent in before.
    """

    conversation: str
    by: str
    role: Role
    client_id: str
    text: str
    received_at_ms: int
    internal: bool = False
    channel: str = ""
    reply_to: str = ""
    attachments: tuple[Attachment, ...] = ()


class Offer(Command, frozen=True, kw_only=True, array_like=True, tag=3, gc=False):
    """A dispatcher offers a waiting conversation to an agent.

    Args:
        epoch: the dispatcher's.
        expires_at_ms: Unix time at which an unanswered offer returns to the queue.
        revision: the revision of the conversation that it was decided on; refused with *conflict* when the
            conversation changed since, so that a late offer can neither fill a desk nor miss the skill. 0: any.
    """

    conversation: str
    agent: str
    epoch: int
    expires_at_ms: int
    revision: int = 0


class Release(Command, frozen=True, kw_only=True, array_like=True, tag=4, gc=False):
    """A dispatcher takes a conversation back from ``agent`` and lets it wait again, in its old place."""

    conversation: str
    agent: str
    epoch: int
    reason: ReleaseReason


class Accept(Command, frozen=True, kw_only=True, array_like=True, tag=5, gc=False):
    """An agent takes what it was offered; answering takes it too."""

    conversation: str
    by: str
    role: Role


class Decline(Command, frozen=True, kw_only=True, array_like=True, tag=6, gc=False):
    """An agent gives an offer back; it goes to somebody else."""

    conversation: str
    by: str
    role: Role


class Transfer(Command, frozen=True, kw_only=True, array_like=True, tag=7, gc=False):
    """An agent hands a conversation to a colleague (``to_agent``) or to a skill group (``to_skill``)."""

    conversation: str
    by: str
    role: Role
    to_agent: str = ""
    to_skill: str = ""


class Resolve(Command, frozen=True, kw_only=True, array_like=True, tag=8, gc=False):
    """An agent closes a case; the contact's next message opens another."""

    conversation: str
    by: str
    role: Role


class Snooze(Command, frozen=True, kw_only=True, array_like=True, tag=9, gc=False):
    """An agent lays a conversation aside until ``until_ms`` (Unix time) or until the contact writes."""

    conversation: str
    by: str
    role: Role
    until_ms: int


class Typing(Command, frozen=True, kw_only=True, array_like=True, tag=10, gc=False):
    """Somebody types; shown to the other side, never stored.

    ``by`` and ``role`` are set for an agent, ``contact`` for a visitor.
    """

    conversation: str
    by: str = ""
    role: Role | None = None
    contact: str = ""


class Fence(Command, frozen=True, kw_only=True, array_like=True, tag=11, gc=False):
    """A new dispatcher announces its ``epoch``; older dispatchers are refused from then on."""

    epoch: int
    slot: int


class Delivered(Command, frozen=True, kw_only=True, array_like=True, tag=12, gc=False):
    """An outbox tells what became of an answer: ``sent``, or ``failed`` with the vendor's words."""

    conversation: str
    message: str
    state: Literal["sent", "failed"]
    detail: str = ""


class Export(Command, frozen=True, kw_only=True, array_like=True, tag=13, gc=False):
    """First step of a link: read the open conversation of ``contact``; changes nothing."""

    contact: str


class Adopt(Command, frozen=True, kw_only=True, array_like=True, tag=14, gc=False):
    """Second step of a link: take over the messages of another contact's open conversation.

    Taken once per message, so the step may be repeated.

    Args:
        contact: who goes on.
        source: the contact whose identity was linked.
        channel, inbox, external_id: that identity.
        record: its open conversation, if it has one.
        messages: the JSON of its messages, oldest first.
        by: the agent who joins the two; empty when their identity was vouched for.
        identities: more of its identities, which come along.
    """

    contact: str
    source: str
    channel: str
    inbox: str
    external_id: str
    record: ConversationRecord | None = None
    messages: tuple[str, ...] = ()
    by: str = ""
    identities: tuple[Thread, ...] = ()


class Move(Command, frozen=True, kw_only=True, array_like=True, tag=15, gc=False):
    """Third step of a link: from now on ``contact`` answers *moved* to ``into``.

    Refused with *conflict* when ``length`` messages are no longer all there are, so that the link
    starts again and nothing written in between is lost. So is that of a join, made at ``joined_ms``, that was
    undone meanwhile.
    """

    contact: str
    into: str
    conversation: str = ""
    into_conversation: str = ""
    length: int = 0
    joined_ms: int = 0


class Understood(Command, frozen=True, kw_only=True, array_like=True, tag=16, gc=False):
    """A router tells itself what was understood of a contact's message.

    Args:
        seq, text: the message.
        understanding: None when the model was late or failed.
    """

    conversation: str
    seq: int
    text: str
    understanding: Understanding | None = None


class BotDue(Command, frozen=True, kw_only=True, array_like=True, tag=17, gc=False):
    """A router tells itself that the bot's time for a conversation is up: for its answer, or for the contact's."""

    conversation: str


class Rate(Command, frozen=True, kw_only=True, array_like=True, tag=18, gc=False):
    """A contact says how it went, once the case is closed; rated again, the newest word counts.

    Args:
        contact: whose conversation it must be.
        score: from 1, bad, to 5, good.
        comment: in the contact's words; may be empty.
    """

    conversation: str
    contact: str
    score: int
    comment: str = ""


class Reopen(Command, frozen=True, kw_only=True, array_like=True, tag=19, gc=False):
    """An agent lets a resolved conversation wait again, for itself first."""

    conversation: str
    by: str
    role: Role


class Tag(Command, frozen=True, kw_only=True, array_like=True, tag=24, gc=False):
    """An agent sorts a conversation by short words: some are added, others taken away; doing so twice is once."""

    conversation: str
    by: str
    role: Role
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class Return(Command, frozen=True, kw_only=True, array_like=True, tag=25, gc=False):
    """First step of undoing a join: ``contact`` answers for itself again.

    Args:
        contact: who was joined.
        left: with whom.
        by: the agent who undoes it.
        at_ms: which join is meant.
        conversation: the open conversation of ``left``: if the contact's own went into it, that goes on now.
    """

    contact: str
    left: str
    by: str
    at_ms: int
    conversation: str = ""


class Part(Command, frozen=True, kw_only=True, array_like=True, tag=26, gc=False):
    """Second step of undoing a join: ``contact`` gives up the identities that came from ``source``.

    ``at_ms`` tells which join is meant: one that was made anew since stays.
    """

    contact: str
    source: str
    by: str
    at_ms: int


class TakeOver(Command, frozen=True, kw_only=True, array_like=True, tag=27, gc=False):
    """A supervisor takes an open conversation, whoever has it; a note in it says so."""

    conversation: str
    by: str
    role: Role


AnyCommand = (
    Receive
    | Say
    | Offer
    | Release
    | Accept
    | Decline
    | Transfer
    | Resolve
    | Snooze
    | Typing
    | Fence
    | Delivered
    | Export
    | Adopt
    | Move
    | Understood
    | BotDue
    | Reopen
    | Rate
    | Tag
    | Return
    | Part
    | TakeOver
)


class Reply(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=True, gc=False):
    """Anything a router answers."""


class Receipt(Reply, frozen=True, kw_only=True, array_like=True, tag=1, gc=False):
    """The message is stored and survives the death of any process.

    Args:
        conversation, seq: together the message's id.
        at_ms: Unix time at which it was numbered.
        duplicate: it had been taken before; ``seq`` is that of the first time.
    """

    conversation: str
    seq: int
    at_ms: int
    duplicate: bool = False


class Done(Reply, frozen=True, kw_only=True, array_like=True, tag=2, gc=False):
    """It happened, or had happened already; ``at_ms`` is when an agent's join was noted."""

    conversation: str = ""
    at_ms: int = 0


class Moved(Reply, frozen=True, kw_only=True, array_like=True, tag=3, gc=False):
    """This contact goes on as ``contact``: ask there, and remember it."""

    contact: str


class Refusal(Reply, frozen=True, kw_only=True, array_like=True, tag=4, gc=False):
    """It did not happen. ``name`` is one of ``models.domain.errors``."""

    name: str
    detail: str


class Exported(Reply, frozen=True, kw_only=True, array_like=True, tag=5, gc=False):
    """The open conversation of a contact, for a link.

    Args:
        record: the conversation, None when none is open.
        messages: JSON of its newest messages (at most 2,048), oldest first; the router reads them from the store.
        moved_to: where the contact went already.
        length: how many messages the conversation has: the ``length`` of the ``Move``.
        identities: those of the contact.
        joined: whom agents joined with it.
    """

    record: ConversationRecord | None = None
    messages: tuple[str, ...] = ()
    moved_to: str = ""
    length: int = 0
    identities: tuple[Thread, ...] = ()
    joined: tuple[Joined, ...] = ()


class Parted(Reply, frozen=True, kw_only=True, array_like=True, tag=6, gc=False):
    """The identity that wrote is ``contact`` again, since a join was undone: ask there, and forget where it was."""

    contact: str


AnyReply = Receipt | Done | Moved | Refusal | Exported | Parted
