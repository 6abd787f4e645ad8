"""The reply budget: how many answers a vendor takes until the contact writes again, and for how long.

A vendor counts what it is handed, so a long text that is sent in parts counts as often as it has parts. An answer that
it refused does not count. What was spent before a router started anew is read off the messages; that one of them was
refused is not known any more then, and it counts.
"""

from collections.abc import Iterable, Mapping

import msgspec

from models.channels.wechat import CHANNEL as WECHAT
from models.channels.wechat import split_text
from models.domain.message import Author

#: Channels whose contacts read on our own sockets or poll the API; all others are sent by an outbox.
OWN_CHANNELS = frozenset(("web", "api"))
_HOUR_MS = 3_600_000


class Budget(msgspec.Struct, frozen=True):
    """What a vendor allows.

    Args:
        answers: how many it takes after a message of the contact.
        within_ms: for how many milliseconds after it.
    """

    answers: int
    within_ms: int


class Said(msgspec.Struct, frozen=True, gc=False):
    """The part of a stored message that a budget depends on."""

    seq: int
    author: Author
    at_ms: int
    channel: str = ""
    text: str = ""
    internal: bool = False


class Spent(msgspec.Struct):
    """What was answered on one channel since the contact wrote there.

    Args:
        since_ms: Unix time in milliseconds of the contact's newest message there; 0 when none is known.
        answers: number of the answer -> how often it counts.
    """

    since_ms: int = 0
    answers: dict[int, int] = msgspec.field(default_factory=dict[int, int])


def cost_of(channel: str, text: str) -> int:
    """Return as how many messages a vendor counts a text."""
    return len(split_text(text)) if channel == WECHAT else 1


def note(spent: dict[str, Spent], said: Said) -> None:
    """Take in one message, in the order in which they were said."""
    if not said.channel or said.channel in OWN_CHANNELS or said.internal:
        return
    if said.author == "contact":
        spent[said.channel] = Spent(said.at_ms)
    elif said.author in ("agent", "bot"):
        spent.setdefault(said.channel, Spent()).answers[said.seq] = cost_of(said.channel, said.text)


def spent_of(newest: Iterable[Said], channels: Iterable[str]) -> dict[str, Spent]:
    """Return what was spent on some channels, from a conversation's messages, newest first."""
    wanted = {channel for channel in channels if channel not in OWN_CHANNELS}
    read: list[Said] = []
    messages = iter(newest)
    while wanted and (said := next(messages, None)) is not None:
        read.append(said)
        if said.author == "contact":
            wanted.discard(said.channel)
    spent: dict[str, Spent] = {}
    for said in reversed(read):
        note(spent, said)
    return spent


def give_back(spent: Mapping[str, Spent], seq: int) -> None:
    """Count an answer no more: the vendor refused it."""
    for each in spent.values():
        each.answers.pop(seq, None)


def over_budget(budget: Budget, spent: Spent | None, channel: str, text: str, now_ms: int) -> str:
    """Say why a vendor would not take an answer; empty when it would."""
    if spent is None or not spent.since_ms:
        return ""
    hours = f"{budget.within_ms / _HOUR_MS:g}"
    if now_ms - spent.since_ms >= budget.within_ms:
        return f"the contact has not written on {channel} for {hours} hours: no answer can be sent there until it does"
    left = budget.answers - sum(spent.answers.values())
    cost = cost_of(channel, text)
    if cost <= left:
        return ""
    if left > 0:
        return f"this text is {cost} messages on {channel}, which takes {left} more until the contact writes again"
    return f"{channel} takes {budget.answers} answers within {hours} hours of the contact's last message; all are used"
