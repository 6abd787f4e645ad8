"""What a desk can look for in all that was said in its account: parameters and results, with their units."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.protocol.params import Params
from models.protocol.results import RecordJson

#: Conversations that one call returns at most, and messages of each.
MOST_FOUND = 20
MOST_SHOWN = 3


class HistorySearch(Params, frozen=True):
    """What is looked for, where, and from where on."""

    query: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="Words that a message must have, all of them, within longer words too; case and width do not "
            "count. `#word` is a tag that the conversation must have, with `_` for a space in it.",
        ),
    ]
    contact: Annotated[str, Meta(max_length=64, description="Only this contact's conversations; empty: all.")] = ""
    cursor: Annotated[str, Meta(max_length=64, description="`cursor` of the result that this goes on from.")] = ""


class FoundMessage(msgspec.Struct, frozen=True):
    """A message that has what was looked for."""

    id: Annotated[str, Meta(description="Id of the message.")]
    seq: Annotated[int, Meta(description="Its number in the conversation.")]
    at_ms: Annotated[int, Meta(description="Unix time in milliseconds at which it was numbered.")]
    author: Annotated[Literal["contact", "agent", "bot", "system"], Meta(description="Who spoke.")]
    author_id: Annotated[str, Meta(description="Name of the agent; or empty.")]
    internal: Annotated[bool, Meta(description="Whether it is a note.")]
    excerpt: Annotated[str, Meta(description="Its text around the first of the words, in one line.")]


class FoundConversation(msgspec.Struct, frozen=True):
    """A conversation in which something was found."""

    conversation: RecordJson
    messages: Annotated[
        list[FoundMessage], Meta(description=f"Its newest messages that fit, at most {MOST_SHOWN}, newest first.")
    ]


class SearchResult(msgspec.Struct, frozen=True):
    """What was found, and how far back was looked."""

    found: Annotated[
        list[FoundConversation], Meta(description=f"At most {MOST_FOUND} conversations, those opened last first.")
    ]
    searched: Annotated[int, Meta(description="How many conversations were looked through.")]
    cursor: Annotated[
        str, Meta(description="Where to go on for older ones; empty: all that there is has been looked through.")
    ]
    until_ms: Annotated[
        int,
        Meta(
            description="Unix time in milliseconds at which the oldest of them was opened: nothing older was looked "
            "at; 0: there was none."
        ),
    ]
