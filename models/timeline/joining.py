"""What joins two contacts and what parts them again, at the contact that goes on and at the one that was joined.

Joining is a link (`cluster.linking`) that an agent asked for, so the contact that goes on remembers it. Undoing it
takes two steps, in this order: the other contact answers for itself again (`go_back`), then this one gives up its
identities (`part`). From then on a message of such an identity that still comes here, from a process that remembered
where it had gone, is answered *parted*. What was said while the two were one stays where it was said.
"""

import msgspec

from models.domain.commands import Adopt, Done, Moved, Part, Parted, Receive, Refusal, Return
from models.domain.conversation import HELD_STATES, ContactRecord, Joined, Thread
from models.domain.errors import Conflict, NotFound
from models.timeline.cache import Contact, Conversation
from models.timeline.turn import Turn, record_event, refuse

#: Joins that were undone are remembered for the history, and for processes that remember longer than they should.
MOST_UNDONE = 50


def elsewhere(record: ContactRecord, command: Receive) -> Moved | Parted | None:
    """Tell where an identity writes that went on as another contact, or came from one; None when it belongs here."""
    if record.moved_to:
        return Moved(contact=record.moved_to)
    thread = Thread(channel=command.channel, inbox=command.inbox, external_id=command.external_id)
    if thread in record.identities:
        return None
    undone = (each for each in reversed(record.joined) if each.undone_ms and thread in each.identities)
    joined = next(undone, None)
    return Parted(contact=joined.contact) if joined else None


def take_over(turn: Turn, contact: Contact, command: Adopt) -> None:
    """Take the identities of another contact, and remember who joined the two; doing so twice is once."""
    record = contact.record
    one = Thread(channel=command.channel, inbox=command.inbox, external_id=command.external_id)
    found = tuple(dict.fromkeys(((one,) if command.channel else ()) + command.identities))
    fields = {}
    if any(each not in record.identities for each in found):
        fields["identities"] = tuple(dict.fromkeys(record.identities + found))
    if command.by:
        # made anew even if it is there, so that an undoing of the earlier one that is under way leaves it be
        others = tuple(each for each in record.joined if each is not _holding(record, command.source))
        new = Joined(contact=command.source, by=command.by, at_ms=turn.now_ms, identities=found)
        fields["joined"] = (*_bounded(others), new)
    if fields:
        turn.replace_contact(contact, **fields)


def go_back(turn: Turn, command: Return) -> Done | Refusal:
    """Let a contact answer for itself again; its conversation goes on if nothing was closed since.

    Doing so twice is once.
    """
    contact = turn.contacts[command.contact]
    if contact.account != command.account:
        return refuse(NotFound, "no such contact in this account")
    if not contact.record.moved_to:
        return Done()
    if contact.record.moved_to != command.left:
        return refuse(Conflict, "this contact went on as another one")
    turn.replace_contact(contact, moved_to="", parted_ms=command.at_ms)
    last = contact.last
    if last is None or last.record.state != "merged" or last.record.merged_into != command.conversation:
        return Done()
    turn.append_system(contact, last, "conversation.reopened")
    turn.reopen(contact, last, preferred=command.by, merged_into="")
    return Done(conversation=last.record.id)


def part(turn: Turn, command: Part) -> Done | Refusal:
    """Give up the identities of a contact that is one of its own again; doing so twice is once."""
    contact = turn.contacts[command.contact]
    record = contact.record
    if contact.account != command.account:
        return refuse(NotFound, "no such contact in this account")
    holding = _holding(record, command.source)
    if holding is None or holding.at_ms != command.at_ms:
        return Done()
    undone = msgspec.structs.replace(holding, undone_by=command.by, undone_ms=turn.now_ms)
    turn.replace_contact(
        contact,
        identities=tuple(each for each in record.identities if each not in holding.identities),
        joined=tuple(undone if each is holding else each for each in record.joined),
    )
    if contact.open is not None:
        _leave_threads(turn, contact, contact.open, holding.identities)
    # whoever looks on as this identity must see its own conversations again, and no others
    turn.changes[contact.account].tell_visitors(contact.id, b'{"type":"parted"}')
    return Done()


def _leave_threads(turn: Turn, contact: Contact, conversation: Conversation, gone: tuple[Thread, ...]) -> None:
    """Answer no more where the other person reads; a conversation that ran nowhere else is resolved."""
    before = conversation.record
    threads = tuple(each for each in before.threads if each not in gone)
    if threads == before.threads:
        return
    changes = turn.changes_of(contact.account, contact.slot)
    if threads:
        record = turn.replace(contact, conversation, threads=threads)
        if record.state in HELD_STATES:
            changes.tell_desk(record.agent, record_event("changed", "thread", record))
        return
    turn.append_system(contact, conversation, "conversation.resolved")
    turn.close(contact, conversation, state="resolved", snoozed_until_ms=0)
    if before.state in HELD_STATES:
        changes.tell_desk(before.agent, record_event("removed", "resolved", conversation.record))


def _holding(record: ContactRecord, source: str) -> Joined | None:
    """Return the join with a contact that was not undone."""
    return next((each for each in record.joined if each.contact == source and not each.undone_ms), None)


def _bounded(joined: tuple[Joined, ...]) -> tuple[Joined, ...]:
    undone = [each for each in joined if each.undone_ms]
    forgotten = undone[: max(0, len(undone) + 1 - MOST_UNDONE)]
    return tuple(each for each in joined if each not in forgotten)
