"""What a dispatcher can cause: an offer, a conversation taken back, and the end of older dispatchers."""

from models.domain.commands import Done, Fence, Offer, Refusal, Release
from models.domain.conversation import HELD_STATES
from models.domain.errors import Conflict, NotFound, StaleEpoch
from models.timeline.agent_side import Held
from models.timeline.turn import Turn, offered_event, refuse, refuse_state


def fence(turn: Turn, command: Fence) -> Done | Refusal:
    """Refuse dispatchers older than ``epoch`` from now on."""
    return _stale(turn, command.account, command.epoch) or Done()


def _stale(turn: Turn, account: str, epoch: int) -> Refusal | None:
    newest = turn.dispatcher_epochs.get(account, 0)
    if epoch < newest:
        return refuse(StaleEpoch, f"stale dispatcher: epoch {epoch} was superseded by {newest}")
    turn.dispatcher_epochs[account] = epoch
    return None


def offer(turn: Turn, command: Offer, found: Held | None) -> Done | Refusal:
    """Put a waiting conversation on an agent's desk, with its context; it awaits acceptance."""
    stale = _stale(turn, command.account, command.epoch)
    if stale is not None:
        return stale
    if found is None:
        return refuse(NotFound, "no such conversation")
    contact, conversation = found
    record = conversation.record
    if record.state == "offered" and record.agent == command.agent:
        return Done(conversation=record.id)
    if record.state != "waiting":
        return refuse_state(record)
    if command.revision not in (0, record.revision):
        return refuse(Conflict, "this conversation changed since the offer was decided")
    turn.replace(contact, conversation, state="offered", agent=command.agent, offer_expires_ms=command.expires_at_ms)
    turn.changes[contact.account].tell_desk(command.agent, offered_event(conversation))
    return Done(conversation=record.id)


def release(turn: Turn, command: Release, found: Held | None) -> Done | Refusal:
    """Let a conversation wait again in its old place; a snoozed one comes back the same way."""
    stale = _stale(turn, command.account, command.epoch)
    if stale is not None:
        return stale
    if found is None:
        return refuse(NotFound, "no such conversation")
    contact, conversation = found
    record = conversation.record
    if command.reason == "snooze_over":
        if record.state != "snoozed":
            return refuse_state(record)
        turn.replace(contact, conversation, state="waiting", waiting_since_ms=turn.now_ms, snoozed_until_ms=0)
        return Done(conversation=record.id)
    if record.agent != command.agent or record.state not in HELD_STATES:
        return refuse(Conflict, f"this conversation is {record.state}, not held by {command.agent}")
    if command.reason == "offer_expired" and record.state != "offered":
        return refuse(Conflict, "the offer was accepted")
    excluded = record.excluded
    if command.reason == "offer_expired" and record.agent not in excluded:
        excluded = (*excluded, record.agent)
    turn.leave_desk(contact, conversation, command.reason, state="waiting", preferred="", excluded=excluded)
    return Done(conversation=record.id)
