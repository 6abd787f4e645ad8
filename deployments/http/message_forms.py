"""What ``/v1/messages`` takes and answers, and how a message becomes a command for a router."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec

from cluster.settings import Settings
from deployments.http.bodies import WireId
from deployments.http.people import Inboxes
from models.domain.commands import Receipt, Receive
from models.domain.errors import BadRequest, RaydeskError, TooLarge
from models.domain.identity import Identity
from models.domain.ids import message_id, split_message_id
from models.domain.message import Attachment

_MAX_ATTACHMENTS = 20


class IncomingAttachment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file, picture, voice or place.

    Args:
        kind: what it is.
        url: where its bytes are.
        media_id: the vendor's id of its bytes.
        title: file name, place name or link title.
    """

    kind: Literal["image", "voice", "video", "file", "location", "link"]
    url: Annotated[str, msgspec.Meta(max_length=2048, pattern=r"^(https?://\S+)?(?![\s\S])")] = ""
    media_id: Annotated[str, msgspec.Meta(max_length=512)] = ""
    title: Annotated[str, msgspec.Meta(max_length=512)] = ""


class IncomingMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a contact wrote.

    Args:
        inbox: id of the inbox it came in at.
        external_id: who wrote, as the inbox's channel knows the contact.
        source_id: the channel's id of the message; the same one is taken once.
        text: what was said; needed unless there are attachments.
        reply_to: id of the message that it answers.
        attachments: what came with it.
        user_id: the account's own id of the user whose identity this is; links the two.
    """

    inbox: WireId
    external_id: WireId
    source_id: WireId
    text: str = ""
    reply_to: Annotated[str, msgspec.Meta(max_length=64)] = ""
    attachments: Annotated[tuple[IncomingAttachment, ...], msgspec.Meta(max_length=_MAX_ATTACHMENTS)] = ()
    user_id: WireId | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The message is stored and survives the death of any process.

    Args:
        message: its id.
        conversation: the SessionID.
        seq: its number in the conversation, from 1.
        duplicate: it had been taken before, under the same id.
    """

    message: str
    conversation: str
    seq: int
    duplicate: bool


class LineError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a line was not taken: a code to act on and a sentence for people."""

    code: str
    detail: str


class LineResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one line: its number from 1, and `message` with its fellows, or `error`."""

    line: int
    message: str | None = None
    conversation: str | None = None
    seq: int | None = None
    duplicate: bool = False
    error: LineError | None = None


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bulk body; results stand in the order of the lines."""

    accepted: int
    rejected: int
    results: list[LineResult]


WIRE_TYPES = (IncomingMessage, Taken, BulkResult)


def command_of(
    message: IncomingMessage, account: str, inboxes: Inboxes, settings: Settings, received_at_ms: int
) -> Receive:
    """Check what the types alone do not say, and turn a message into a command.

    Raises:
        NotFound: the account has no such inbox.
        BadRequest: there is nothing in it, or ``reply_to`` is no message id.
        TooLarge: its text is too long.
    """
    inbox = inboxes.of_account(message.inbox, account)
    if not message.text and not message.attachments:
        raise BadRequest("a message has a text or attachments")
    limit = settings.limits.text_bytes
    if len(message.text) > limit or len(message.text.encode()) > limit:
        raise TooLarge(f"a text has at most {limit} bytes")
    if message.reply_to:
        split_message_id(message.reply_to)
    identity = Identity(account=account, channel=inbox.channel, inbox=message.inbox, external_id=message.external_id)
    return Receive(
        account=account,
        contact=identity.contact,
        channel=inbox.channel,
        inbox=message.inbox,
        external_id=message.external_id,
        source_id=message.source_id,
        text=message.text,
        received_at_ms=received_at_ms,
        skill=inbox.skill,
        reply_to=message.reply_to,
        attachments=tuple(
            Attachment(kind=each.kind, url=each.url, media_id=each.media_id, title=each.title)
            for each in message.attachments
        ),
    )


def identity_of(receive: Receive) -> Identity:
    """Return who wrote a message."""
    return Identity(
        account=receive.account, channel=receive.channel, inbox=receive.inbox, external_id=receive.external_id
    )


def taken(receipt: Receipt) -> Taken:
    """Say that a message is stored."""
    return Taken(
        message=message_id(receipt.conversation, receipt.seq),
        conversation=receipt.conversation,
        seq=receipt.seq,
        duplicate=receipt.duplicate,
    )


def line_taken(line: int, receipt: Receipt) -> LineResult:
    """Say that the message of a line is stored."""
    return LineResult(
        line=line,
        message=message_id(receipt.conversation, receipt.seq),
        conversation=receipt.conversation,
        seq=receipt.seq,
        duplicate=receipt.duplicate,
    )


def line_refused(line: int, error: RaydeskError) -> LineResult:
    """Say why the message of a line is not stored."""
    detail = error.detail or HTTPStatus(error.http_status).phrase
    return LineResult(line=line, error=LineError(code=error.name, detail=detail))
