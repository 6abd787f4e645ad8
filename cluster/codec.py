"""How commands, their answers and what was understood travel between processes: one MessagePack array per batch."""

from collections.abc import Sequence

import msgspec

from models.domain.commands import AnyCommand, AnyReply, Command, Reply
from models.domain.conversation import Placement
from models.intent.taxonomy import Intent
from models.intent.understanding import Understanding
from models.routing.desk_reports import DeskReport

_encode = msgspec.msgpack.Encoder().encode
_commands = msgspec.msgpack.Decoder(list[AnyCommand])
_replies = msgspec.msgpack.Decoder(list[AnyReply])
_placements = msgspec.msgpack.Decoder(list[Placement])
_desk_report = msgspec.msgpack.Decoder(DeskReport)
_intents = msgspec.msgpack.Decoder(list[Intent])
_understandings = msgspec.msgpack.Decoder(list[Understanding | None])


def encode_commands(commands: Sequence[Command]) -> bytes:
    """Write a batch of commands."""
    return _encode(commands)


def decode_commands(payload: bytes) -> list[AnyCommand]:
    """Read a batch of commands.

    Raises:
        msgspec.DecodeError: the payload is no batch of this version.
    """
    return _commands.decode(payload)


def encode_replies(replies: Sequence[Reply]) -> bytes:
    """Write the answers of a batch, in the order of its commands."""
    return _encode(replies)


def decode_replies(payload: bytes) -> list[AnyReply]:
    """Read the answers of a batch."""
    return _replies.decode(payload)


def encode_placements(placements: Sequence[Placement]) -> bytes:
    """Write what a dispatcher must hear."""
    return _encode(placements)


def decode_placements(payload: bytes) -> list[Placement]:
    """Read what a dispatcher must hear."""
    return _placements.decode(payload)


def encode_desk_report(report: DeskReport) -> bytes:
    """Write what a gateway tells of its desks."""
    return _encode(report)


def decode_desk_report(payload: bytes) -> DeskReport:
    """Read what a gateway tells of its desks."""
    return _desk_report.decode(payload)


def encode_understandings(understandings: Sequence[Understanding | None]) -> bytes:
    """Write what was understood of a list of texts, in their order; None stands for a text without an answer."""
    return _encode(understandings)


def decode_understandings(payload: bytes) -> list[Understanding | None]:
    """Read what was understood of a list of texts.

    Raises:
        msgspec.DecodeError: the payload is no such list of this version.
    """
    return _understandings.decode(payload)


def encode_intents(intents: Sequence[Intent]) -> bytes:
    """Write the intents of a taxonomy, in the order of the model's outputs."""
    return _encode(intents)


def decode_intents(payload: bytes) -> list[Intent]:
    """Read the intents of a taxonomy."""
    return _intents.decode(payload)
