"""What was said: the stored message and what it is made of.

A message is encoded to JSON once, by the router that numbers it. The same bytes stand in the
session list, in the desk's event log and on the wire, so nobody decodes what it only passes on.
"""

from typing import Literal

import msgspec

Author = Literal["contact", "agent", "bot", "system"]


class Attachment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file, picture, voice or place that belongs to a message.

    Args:
        kind: ``image``, ``voice``, ``video``, ``file``, ``location``, ``link``.
        url: where the bytes are, if the channel told.
        media_id: the vendor's id of the bytes.
        title: file name, place name or link title.
        file: id of the file, if it is kept here; ``GET /v1/files/{id}`` tells where its bytes are.
        bytes: how long that file is.
    """

    kind: str
    url: str = ""
    media_id: str = ""
    title: str = ""
    file: str = ""
    bytes: int = 0


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One numbered message of a conversation, as stored and as shown.

    Args:
        id: ``<conversation>-<seq>``.
        conversation: its SessionID.
        seq: its number in the conversation, from 1, without gaps.
        author: who speaks.
        author_id: the agent's name, or ``bot``; empty for the contact and the system.
        text: what was said; at most ``limits.text_bytes`` bytes of UTF-8.
        channel, inbox: where it came in, or goes out.
        source_id: the sender's own id of it (client id, webhook message id); with ``inbox`` it is the key
            by which duplicates are known.
        at_ms: Unix time at which the router numbered it, in milliseconds.
        received_at_ms: Unix time at which gateway or ingress took it, in milliseconds.
        internal: a note that only agents see.
        reply_to: id of the message that this one answers.
        attachments: what came with it.
    """

    id: str
    conversation: str
    seq: int
    author: Author
    author_id: str = ""
    text: str = ""
    channel: str = ""
    inbox: str = ""
    source_id: str = ""
    at_ms: int
    received_at_ms: int = 0
    internal: bool = False
    reply_to: str = ""
    attachments: tuple[Attachment, ...] = ()


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The part of a stored message by which a duplicate is known; decoding skips the rest."""

    seq: int
    inbox: str = ""
    source_id: str = ""
    at_ms: int = 0


class Spoken(msgspec.Struct, frozen=True, gc=False):
    """The part of a stored message that says who spoke when, and whether the contact heard it."""

    author: Author
    at_ms: int
    internal: bool = False


class Stored(msgspec.Struct, frozen=True, gc=False):
    """The part of a stored message that says who may see it."""

    seq: int
    author: Author
    internal: bool = False
