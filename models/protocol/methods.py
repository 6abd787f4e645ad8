"""Every method of the sockets and of ``POST /rpc``: its parameters, its result, who may call it.

The protocol documents (OpenRPC and docs/protocol.md) are made from these types, so they cannot disagree.
"""

from typing import Any, Literal

import msgspec

from models.protocol.about import AccountAbout, CannedPut, CannedRef, ContactAbout, ContactPair, ContactRef
from models.protocol.params import (
    ConversationRate,
    ConversationRef,
    ConversationSeen,
    DeskAck,
    DeskOpen,
    HistoryPage,
    Note,
    Nothing,
    Params,
    PresenceSet,
    Retag,
    Say,
    SessionRenew,
    SnoozeUntil,
    TransferTo,
    VisitAck,
    VisitOpen,
    Write,
)
from models.protocol.results import DeskOpened, Ok, Page, ReceiptResult, VisitOpened, VisitPlace
from models.protocol.search import HistorySearch, SearchResult

Where = Literal["desk", "visitor"]
#: Where a method can be called: on one of the two kinds of socket, or by ``POST /rpc``.
Door = Literal["desk", "visitor", "http"]


class Method(msgspec.Struct, frozen=True):
    """One method.

    Args:
        name: as it stands in the call.
        where: the sockets it may be called on.
        params, result: their types.
        http: whether ``POST /rpc`` takes it too.
        errors: names of the errors it can end in, beside those of every call.
        summary: what it does, in a sentence or two.
    """

    name: str
    where: tuple[Where, ...]
    params: type[Params]
    result: Any
    http: bool = False
    errors: tuple[str, ...] = ()
    summary: str = ""


_OWN = ("not_found", "forbidden", "conflict", "unavailable")
METHODS: tuple[Method, ...] = (
    Method(
        "rpc.discover",
        ("desk", "visitor"),
        Nothing,
        dict[str, Any],
        http=True,
        summary="Return the OpenRPC document of what can be called here; needs no open session.",
    ),
    Method(
        "desk.open",
        ("desk",),
        DeskOpen,
        DeskOpened,
        errors=("cursor_ahead", "unavailable"),
        summary="Start or go on with a desk; the first call on a desk socket, and only once.",
    ),
    Method(
        "desk.ack",
        ("desk",),
        DeskAck,
        Ok,
        errors=("cursor_ahead",),
        summary="Confirm all events up to a cursor; usually sent as a notification.",
    ),
    Method(
        "session.renew",
        ("desk",),
        SessionRenew,
        Ok,
        summary="Go on with a socket whose token is about to expire.",
    ),
    Method(
        "message.send",
        ("desk",),
        Say,
        ReceiptResult,
        http=True,
        errors=(*_OWN, "too_large"),
        summary="Answer in a conversation; the result is the receipt. Answering an offered one accepts it.",
    ),
    Method(
        "conversation.accept",
        ("desk",),
        ConversationRef,
        Ok,
        http=True,
        errors=_OWN,
        summary="Take a conversation that was offered; taking it twice is once.",
    ),
    Method(
        "conversation.decline",
        ("desk",),
        ConversationRef,
        Ok,
        http=True,
        errors=_OWN,
        summary="Give a conversation back to the queue, in its old place; others are asked first.",
    ),
    Method(
        "conversation.transfer",
        ("desk",),
        TransferTo,
        Ok,
        http=True,
        errors=_OWN,
        summary="Hand a conversation to a colleague or to a skill group, through the queue.",
    ),
    Method(
        "conversation.resolve",
        ("desk",),
        ConversationRef,
        Ok,
        http=True,
        errors=_OWN,
        summary="Close a case; the contact's next message opens another. Closing it twice is once.",
    ),
    Method(
        "conversation.snooze",
        ("desk",),
        SnoozeUntil,
        Ok,
        http=True,
        errors=_OWN,
        summary="Lay a conversation aside until a time, or until the contact writes.",
    ),
    Method(
        "conversation.note",
        ("desk",),
        Note,
        ReceiptResult,
        http=True,
        errors=(*_OWN, "too_large"),
        summary="Leave a note that only agents see; the result is the receipt.",
    ),
    Method(
        "presence.set",
        ("desk",),
        PresenceSet,
        Ok,
        http=True,
        errors=("unavailable",),
        summary="Choose one's presence, for all desks of the agent.",
    ),
    Method(
        "typing",
        ("desk",),
        ConversationRef,
        Ok,
        errors=_OWN,
        summary="Show the contact that the agent types; never stored. Usually sent as a notification.",
    ),
    Method(
        "history.page",
        ("desk",),
        HistoryPage,
        Page,
        http=True,
        errors=("not_found", "unavailable"),
        summary="Read messages of any conversation of the account, notes among them.",
    ),
    Method(
        "history.search",
        ("desk",),
        HistorySearch,
        SearchResult,
        http=True,
        errors=("not_found", "unavailable"),
        summary="Find words in what was said in the account, a stretch of its conversations at a time, newest first.",
    ),
    Method(
        "conversation.seen",
        ("desk",),
        ConversationSeen,
        Ok,
        errors=("not_found",),
        summary="Show the contact what was seen of a conversation on this desk, within about a second; of another "
        "one it does nothing. Usually sent as a notification.",
    ),
    Method(
        "conversation.reopen",
        ("desk",),
        ConversationRef,
        Ok,
        http=True,
        errors=_OWN,
        summary="Let a resolved conversation wait again, for this agent first; its contact must have no newer one.",
    ),
    Method(
        "conversation.tag",
        ("desk",),
        Retag,
        Ok,
        http=True,
        errors=_OWN,
        summary="Sort a conversation by short words; one that is resolved by who helped last. Done twice, it is once.",
    ),
    Method(
        "conversation.take_over",
        ("desk",),
        ConversationRef,
        Ok,
        http=True,
        errors=_OWN,
        summary="Take an open conversation to one's own desk, whoever has it; for supervisors and admins.",
    ),
    Method(
        "contact.about",
        ("desk",),
        ContactRef,
        ContactAbout,
        http=True,
        errors=("not_found", "unavailable"),
        summary="Tell who a contact of the account is: identities, conversations, and the numbers in its messages.",
    ),
    Method(
        "contact.join",
        ("desk",),
        ContactPair,
        Ok,
        http=True,
        errors=_OWN,
        summary="Let two contacts be one person from now on; an agent must hold the conversation of the first.",
    ),
    Method(
        "contact.part",
        ("desk",),
        ContactPair,
        Ok,
        http=True,
        errors=_OWN,
        summary="Undo a join: the other contact is one of its own again. What was said meanwhile stays where it is.",
    ),
    Method(
        "account.about",
        ("desk",),
        Nothing,
        AccountAbout,
        http=True,
        errors=("unavailable",),
        summary="Tell what a desk must know of its account: colleagues, skills, names of intents, canned answers.",
    ),
    Method(
        "canned.put",
        ("desk",),
        CannedPut,
        Ok,
        http=True,
        errors=("forbidden", "conflict", "unavailable"),
        summary="Keep a canned answer, in place of the one of its name; for supervisors and admins.",
    ),
    Method(
        "canned.remove",
        ("desk",),
        CannedRef,
        Ok,
        http=True,
        errors=("forbidden", "not_found", "unavailable"),
        summary="Give a canned answer up; for supervisors and admins.",
    ),
    Method(
        "visit.open",
        ("visitor",),
        VisitOpen,
        VisitOpened,
        errors=("cursor_ahead", "not_found", "unavailable"),
        summary="Start or go on with a visit; the first call on a visitor socket, and only once.",
    ),
    Method(
        "visit.ack",
        ("visitor",),
        VisitAck,
        Ok,
        errors=("not_found",),
        summary="Confirm that the contact saw all messages up to one; usually sent as a notification.",
    ),
    Method(
        "visit.place",
        ("visitor",),
        Nothing,
        VisitPlace,
        errors=("unavailable",),
        summary="Tell where the conversation stands, and its place in the queue while it waits.",
    ),
    Method(
        "message.send",
        ("visitor",),
        Write,
        ReceiptResult,
        errors=("not_found", "conflict", "too_large", "unavailable"),
        summary="Write; the result is the receipt.",
    ),
    Method(
        "typing",
        ("visitor",),
        ConversationRef,
        Ok,
        errors=("forbidden", "not_found", "unavailable"),
        summary="Show the agent that the contact types; never stored. Usually sent as a notification.",
    ),
    Method(
        "history.page",
        ("visitor",),
        HistoryPage,
        Page,
        errors=("not_found", "unavailable"),
        summary="Read older messages of one of the visitor's own conversations, notes left out.",
    ),
    Method(
        "conversation.rate",
        ("visitor",),
        ConversationRate,
        Ok,
        errors=("not_found", "conflict", "unavailable"),
        summary="Say how a conversation went that is closed; said again, the newest word counts.",
    ),
)


def methods_on(where: Where) -> dict[str, Method]:
    """Return the methods of one kind of socket, by name."""
    return {method.name: method for method in METHODS if where in method.where}


def http_methods() -> dict[str, Method]:
    """Return the methods of ``POST /rpc``, by name."""
    return {method.name: method for method in METHODS if method.http}


def methods_at(door: Door) -> dict[str, Method]:
    """Return the methods that can be called at one door, by name."""
    return http_methods() if door == "http" else methods_on(door)
