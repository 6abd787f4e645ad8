"""A conversation, its contact and its placement, as the store keeps them."""

from typing import Literal

import msgspec

from models.domain.bot import BotState, Insight

State = Literal["bot", "waiting", "offered", "assigned", "snoozed", "resolved", "merged"]
OPEN_STATES: frozenset[State] = frozenset(("bot", "waiting", "offered", "assigned", "snoozed"))
HELD_STATES: frozenset[State] = frozenset(("offered", "assigned"))
#: The open ones that humans must see to: what a dispatcher looks after. None of them ever becomes the bot's again.
HUMAN_STATES: frozenset[State] = OPEN_STATES - {"bot"}


class Thread(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a conversation on one channel: where an answer must go.

    Args:
        channel: kind of medium.
        inbox: the configured endpoint.
        external_id: the contact's id there (open id, visitor id).
    """

    channel: str
    inbox: str
    external_id: str


class ConversationRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One case of one contact; replaced as a whole whenever it changes, never per message.

    Args:
        id: the SessionID.
        contact: id of the contact.
        state: where it stands; ``bot`` answers first, ``offered`` and ``assigned`` occupy an agent's capacity.
        agent: who holds it, while offered or assigned.
        opened_at_ms: Unix time of its first message, in milliseconds.
        waiting_since_ms: Unix time in milliseconds since when the contact waits for an answer: of the bot, then of a
            human; kept when it is handed over, and when it goes back to the queue.
        offer_expires_ms: Unix time in milliseconds at which an unanswered offer returns to the queue; 0 when not
            offered.
        snoozed_until_ms: Unix time in milliseconds at which a snoozed conversation comes back; 0 when not snoozed.
        skill: the skill an agent must have; empty means any agent.
        preferred: the agent to be tried first.
        excluded: agents who declined or let an offer expire.
        threads: the channels it runs on; the last one is where the contact wrote last.
        revision: grows with every change, so that late placements are known as such.
        merged_into: the conversation that goes on in its place.
        owed_seq: number of the newest message that the bot must still answer; 0 when it owes nothing.
        bot_due_ms: Unix time in milliseconds at which the bot's time is up: for the answer that it owes, or for the
            contact to go on; 0 when the bot does not hold it.
        bot: what the bot remembers while it holds it.
        insight: what was understood of the contact's newest message before an agent took it; agents only.
        rating: how the contact found it once it was closed, from 1 (bad) to 5 (good); 0 when it did not say.
        rating_comment: in the contact's words.
        tags: words by which agents sort it, in the order in which they were added.
    """

    id: str
    contact: str
    state: State
    opened_at_ms: int
    waiting_since_ms: int
    agent: str = ""
    offer_expires_ms: int = 0
    snoozed_until_ms: int = 0
    skill: str = ""
    preferred: str = ""
    excluded: tuple[str, ...] = ()
    threads: tuple[Thread, ...] = ()
    revision: int = 0
    merged_into: str = ""
    owed_seq: int = 0
    bot_due_ms: int = 0
    bot: BotState | None = None
    insight: Insight | None = None
    rating: int = 0
    rating_comment: str = ""
    tags: tuple[str, ...] = ()


class Joined(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another contact that an agent joined with this one; kept when it is undone, so that it can be told.

    Args:
        contact: id of the other contact.
        by: the agent.
        at_ms: Unix time in milliseconds.
        identities: what came along, and goes back when it is undone.
        undone_by: the agent who undid it; empty: it holds.
        undone_ms: Unix time in milliseconds at which that was; 0: it holds.
    """

    contact: str
    by: str
    at_ms: int
    identities: tuple[Thread, ...] = ()
    undone_by: str = ""
    undone_ms: int = 0


class ContactRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person as one identity's home.

    Args:
        id: computed from the identity.
        open: the open conversation, if any.
        last: the conversation before it; its messages still count as seen.
        last_agent: who helped last.
        identities: every identity known to be this person.
        moved_to: the contact that goes on in its place, after a link.
        joined: the contacts that agents joined with this one, oldest first.
        parted_ms: when the newest join that was undone had been made, in Unix milliseconds; an older move is too late.
    """

    id: str
    open: str = ""
    last: str = ""
    last_agent: str = ""
    identities: tuple[Thread, ...] = ()
    moved_to: str = ""
    joined: tuple[Joined, ...] = ()
    parted_ms: int = 0


class Placement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """What a dispatcher must know of one conversation; the highest ``revision`` counts."""

    account: str
    conversation: str
    revision: int
    state: State
    agent: str = ""
    waiting_since_ms: int = 0
    offer_expires_ms: int = 0
    snoozed_until_ms: int = 0
    skill: str = ""
    preferred: str = ""
    excluded: tuple[str, ...] = ()


def placement_of(account: str, record: ConversationRecord) -> Placement:
    """Tell a dispatcher what changed about a conversation."""
    return Placement(
        account=account,
        conversation=record.id,
        revision=record.revision,
        state=record.state,
        agent=record.agent,
        waiting_since_ms=record.waiting_since_ms,
        offer_expires_ms=record.offer_expires_ms,
        snoozed_until_ms=record.snoozed_until_ms,
        skill=record.skill,
        preferred=record.preferred,
        excluded=record.excluded,
    )
