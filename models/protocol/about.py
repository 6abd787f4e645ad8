"""What a desk can ask about its account and about a contact: parameters and results, with their units."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.domain.conversation import Joined, Thread
from models.protocol.params import Params, Status
from models.protocol.results import RecordJson

#: A desk shows that many of a contact's conversations; older ones are seldom asked for.
MOST_CONVERSATIONS = 20
MOST_CANNED = 500

CannedName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=32,
        pattern=r"^[^\s/\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*(?![\s\S])",
        description="What agents type behind `/`: no space in it, no `/` at its head.",
    ),
]


class ContactRef(Params, frozen=True):
    """One contact."""

    contact: Annotated[str, Meta(min_length=1, max_length=64, description="Id of the contact.")]


class ContactPair(Params, frozen=True):
    """Two contacts that are one person, or are not."""

    contact: Annotated[str, Meta(min_length=1, max_length=64, description="Id of the contact that goes on.")]
    other: Annotated[str, Meta(min_length=1, max_length=64, description="Id of the one that is joined with it.")]


class CannedPut(Params, frozen=True):
    """A canned answer, new or in place of the one of its name."""

    name: CannedName
    text: Annotated[str, Meta(min_length=1, max_length=4_000, description="What it says.")]


class CannedRef(Params, frozen=True):
    """One canned answer."""

    name: CannedName


class Colleague(msgspec.Struct, frozen=True):
    """Somebody who may log in."""

    name: Annotated[str, Meta(description="Name of the agent.")]
    role: Annotated[Literal["agent", "supervisor", "admin"], Meta(description="What they may do.")]
    skills: Annotated[tuple[str, ...], Meta(description="The skill groups whose conversations they can take.")]
    status: Annotated[Status, Meta(description="The presence that they chose last.")]
    reason: Annotated[str, Meta(description="Why, in their words.")]
    here: Annotated[bool, Meta(description="Whether a desk of theirs is open, and they did not choose `offline`.")]


class IntentName(msgspec.Struct, frozen=True):
    """What an intent is called."""

    name: Annotated[str, Meta(description="As in an insight.")]
    en: Annotated[str, Meta(description="For agents who read English.")]
    zh: Annotated[str, Meta(description="For agents who read Chinese.")]


class Canned(msgspec.Struct, frozen=True):
    """An answer that the account keeps ready for its agents."""

    name: Annotated[str, Meta(description="What agents type behind `/`.")]
    text: Annotated[str, Meta(description="What it says.")]


class FileRules(msgspec.Struct, frozen=True):
    """Which files may be sent."""

    bytes: Annotated[int, Meta(description="How long one may be; 0: none are taken.")]
    most: Annotated[int, Meta(description="How many one message may bring.")]
    channels: Annotated[list[str], Meta(description="Channels on which an answer may bring files.")]


class ReplyBudget(msgspec.Struct, frozen=True):
    """How many answers the vendor of an inbox takes until the contact writes again."""

    inbox: Annotated[str, Meta(description="Id of the inbox.")]
    answers: Annotated[int, Meta(description="Answers; a text that is sent in parts counts as often as it has parts.")]
    within_s: Annotated[float, Meta(description="Seconds after the contact's message within which it takes them.")]


class AccountAbout(msgspec.Struct, frozen=True):
    """What a desk must know of its account."""

    agents: Annotated[list[Colleague], Meta(description="All who may log in, by name.")]
    skills: Annotated[list[str], Meta(description="Every skill that one of them has, sorted.")]
    intents: Annotated[list[IntentName], Meta(description="What contacts can want, as the model knows it.")]
    canned: Annotated[list[Canned], Meta(description="The canned answers, by name.")]
    answer_within_s: Annotated[float, Meta(description="Seconds within which a contact shall get an answer.")]
    files: Annotated[FileRules, Meta(description="Which files may be sent.")]
    tags: Annotated[list[str], Meta(description="The tags in use, those used last first; at most 500.")] = []
    budgets: Annotated[list[ReplyBudget], Meta(description="The inboxes whose vendors count answers.")] = []


class FoundInMessages(msgspec.Struct, frozen=True):
    """What stood in the contact's newest messages, newest first, each once."""

    order_number: Annotated[list[str], Meta(description="Order numbers.")]
    tracking_number: Annotated[list[str], Meta(description="Tracking numbers of parcels.")]
    phone: Annotated[list[str], Meta(description="Phones, as written.")]
    email: Annotated[list[str], Meta(description="E-mail addresses.")]
    amount: Annotated[list[str], Meta(description="Amounts, with their currency.")]


class ContactAbout(msgspec.Struct, frozen=True):
    """Who a contact is, and what it had to do with us."""

    contact: Annotated[str, Meta(description="Its id, after all links.")]
    identities: Annotated[tuple[Thread, ...], Meta(description="Every identity known to be this person.")]
    last_agent: Annotated[str, Meta(description="Who helped last; or empty.")]
    seen: Annotated[str, Meta(description="Id of the newest message that it is known to have seen; or empty.")]
    conversations: Annotated[
        list[RecordJson], Meta(description=f"Its newest conversations, at most {MOST_CONVERSATIONS}, newest first.")
    ]
    found: Annotated[FoundInMessages, Meta(description="The numbers in its newest messages.")]
    joined: Annotated[
        tuple[Joined, ...], Meta(description="The contacts that agents joined with it, oldest first, undone ones too.")
    ] = ()
