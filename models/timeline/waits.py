"""Since when a contact waits for an answer: read off a conversation's record and its newest messages.

The first message of the contact after the last answer of a human counts, or, where no human has answered yet, since
when the record says that the contact waits. Notes and lines of the system are no answers; the bot's answer ends the
wait as long as the bot holds the conversation.
"""

from collections.abc import Iterable
from typing import Protocol

from models.domain.conversation import ConversationRecord
from models.domain.message import Author


class Said(Protocol):
    """The part of a message that tells who waits for whom."""

    @property
    def author(self) -> Author:
        """Return who speaks."""
        ...

    @property
    def at_ms(self) -> int:
        """Return when it was numbered."""
        ...

    @property
    def internal(self) -> bool:
        """Return whether only agents see it."""
        ...


def waits_since(record: ConversationRecord, newest: Iterable[Said], *, whole: bool = True) -> int:
    """Return since when the contact waits, as Unix time in milliseconds; 0 when it does not.

    Args:
        record: of an open conversation.
        newest: its messages, newest first.
        whole: whether these are all that it has, or enough; otherwise an answer may stand before them.
    """
    if record.state == "bot":
        return record.waiting_since_ms if record.owed_seq else 0
    asked_ms = oldest_ms = 0
    for message in newest:
        oldest_ms = message.at_ms
        if message.author == "agent" and not message.internal:
            return asked_ms
        if message.author == "contact":
            asked_ms = message.at_ms
    since_ms = record.waiting_since_ms
    return since_ms if whole else max(since_ms, oldest_ms)
