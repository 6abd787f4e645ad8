"""WeChat Official Account: what a webhook call says, and what its customer-service API answers.

Pure: the shell in ``deployments/channels/wechat.py`` does the I/O and hands in time and entropy.

Messages become text and attachments. Of the events only a click on a menu button says something that
wants an answer; the others (subscribe, unsubscribe, view, scan, location, ...) become nothing and are
answered with ``success``. A kind of message that is not known yet is kept, with its name as text.

Protocol: https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html
and https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Service_Center_messages.html
"""

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Literal
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

import msgspec
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from models.channels.wechat_seal import Seal, SignatureLedger
from models.domain.commands import Receive
from models.domain.errors import BadRequest, Unauthorized
from models.domain.ids import contact_id
from models.domain.message import Attachment

CHANNEL = "wechat"
TEXT_LIMIT_BYTES = 2_048
_ECHO_LIMIT = 1_024
_OPENID = re.compile(r"[!-~]{1,128}")

Fields = Mapping[str, str]
Content = tuple[str, tuple[Attachment, ...]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where the messages of one inbox go.

    Args:
        account: tenant.
        inbox: id of the inbox.
        skill: what an agent must know to answer them.
    """

    account: str
    inbox: str
    skill: str = ""


def open_echo(seal: Seal, ledger: SignatureLedger, query: Fields, now_s: float) -> bytes:
    """Check the call by which WeChat verifies a URL; return what it wants to hear.

    An official account sends ``echostr`` plainly in both modes. A call with ``msg_signature`` holds it
    encrypted, as WeCom and WeChat's debugging page do, and gets it decrypted.

    Raises:
        Unauthorized: not proven to come from WeChat.
        BadRequest: a parameter is missing or too long.
    """
    timestamp, nonce, echo = (_parameter(query, name) for name in ("timestamp", "nonce", "echostr"))
    if len(echo) > _ECHO_LIMIT:
        raise BadRequest(f"echostr is longer than {_ECHO_LIMIT} characters")
    if seal.mode == "aes" and "msg_signature" in query:
        seal.check(query["msg_signature"], timestamp, nonce, echo, now_s)
        return seal.decrypt(echo)
    signature = _parameter(query, "signature")
    at_s = seal.check(signature, timestamp, nonce, None, now_s)
    ledger.tie(signature, at_s, _digest({"": echo}), now_s)
    return echo.encode()


def open_call(seal: Seal, ledger: SignatureLedger, query: Fields, body: bytes, now_s: float) -> dict[str, str]:
    """Check a call that brings a message; return the fields of its XML.

    Raises:
        Unauthorized: not proven to come from WeChat, or plain where the inbox is set to ``aes``.
        BadRequest: not the XML it should be.
    """
    timestamp, nonce = _parameter(query, "timestamp"), _parameter(query, "nonce")
    if seal.mode == "plain":
        signature = _parameter(query, "signature")
        at_s = seal.check(signature, timestamp, nonce, None, now_s)
        fields = fields_of(body)
        sealed = fields.pop("Encrypt", "")  # WeChat's "compatible" mode sends both; this one is not used
        ledger.tie(signature, at_s, _digest(fields), now_s)
        if sealed and "MsgType" not in fields:
            raise BadRequest("the message is encrypted, but this inbox is set to plain")
        return fields
    if "msg_signature" not in query:
        raise Unauthorized("the call is plain, but this inbox takes encrypted ones only")
    encrypted = fields_of(body).get("Encrypt", "")
    if not encrypted:
        raise Unauthorized("the message is plain, but this inbox takes encrypted ones only")
    seal.check(query["msg_signature"], timestamp, nonce, encrypted, now_s)
    return fields_of(seal.decrypt(encrypted))


def fields_of(body: bytes) -> dict[str, str]:
    """Read the elements of WeChat's flat XML; deeper ones are left out.

    Raises:
        BadRequest: not UTF-8, not well-formed, with a DTD or entities, or with one element twice.
    """
    try:
        root: Element = fromstring(body.decode(), forbid_dtd=True)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start}") from None
    except DefusedXmlException:
        raise BadRequest("the XML has a DTD or entities, which are not allowed") from None
    except ParseError as error:
        raise BadRequest(f"the body is not well-formed XML: {error}") from None
    if root.tag != "xml":
        raise BadRequest(f"the XML must have the root 'xml', found {root.tag[:64]!r}")
    fields: dict[str, str] = {}
    for element in root:
        if element.tag in fields:
            raise BadRequest(f"the XML has {element.tag[:64]!r} twice")
        if not len(element):
            fields[element.tag] = element.text or ""
    return fields


def receive_of(fields: Fields, endpoint: Endpoint, received_at_ms: int) -> Receive | None:
    """Make the command for what a contact said; None for an event that says nothing.

    Raises:
        BadRequest: a field is missing or has not the form it should have.
    """
    openid = _field(fields, "FromUserName")
    if not _OPENID.fullmatch(openid):
        raise BadRequest("FromUserName is not an OpenID")
    kind = _field(fields, "MsgType")
    if kind == "event":
        if _field(fields, "Event").upper() != "CLICK":
            return None
        key = _field(fields, "EventKey")
        # WeChat: FromUserName + CreateTime. The key is added as two buttons can be pressed in a second.
        source_id = f"{openid}:{_number(fields, 'CreateTime')}:{key}"
        text, attachments = key, ()
    else:
        source_id = _number(fields, "MsgId")
        text, attachments = _CONTENT.get(kind, _unknown)(fields)
    return Receive(
        account=endpoint.account,
        contact=contact_id(endpoint.account, CHANNEL, endpoint.inbox, openid),
        channel=CHANNEL,
        inbox=endpoint.inbox,
        external_id=openid,
        source_id=source_id,
        text=text,
        received_at_ms=received_at_ms,
        skill=endpoint.skill,
        attachments=attachments,
    )


def _text(fields: Fields) -> Content:
    return _field(fields, "Content"), ()


def _image(fields: Fields) -> Content:
    return "", (Attachment(kind="image", url=fields.get("PicUrl", ""), media_id=_field(fields, "MediaId")),)


def _voice(fields: Fields) -> Content:
    voice = Attachment(kind="voice", media_id=_field(fields, "MediaId"), title=fields.get("Format", ""))
    return fields.get("Recognition", ""), (voice,)


def _video(fields: Fields) -> Content:
    return "", (Attachment(kind="video", media_id=_field(fields, "MediaId")),)


def _location(fields: Fields) -> Content:
    latitude, longitude = (_coordinate(fields, name) for name in ("Location_X", "Location_Y"))
    label = fields.get("Label", "")
    return label, (Attachment(kind="location", url=f"geo:{latitude},{longitude}", title=label),)


def _link(fields: Fields) -> Content:
    title = fields.get("Title", "")
    lines = [line for line in (title, fields.get("Description", "")) if line]
    return "\n".join(lines), (Attachment(kind="link", url=_field(fields, "Url"), title=title),)


def _unknown(fields: Fields) -> Content:
    """Keep what we cannot read yet: the agent sees that something came, and of which kind."""
    return f"[{_field(fields, 'MsgType')[:64]}]", ()


_CONTENT: dict[str, Callable[[Fields], Content]] = {
    "text": _text,
    "image": _image,
    "voice": _voice,
    "video": _video,
    "shortvideo": _video,
    "location": _location,
    "link": _link,
}


def compose_text(*, to_openid: str, from_account: str, text: str, at_s: int) -> bytes:
    """Write a text as the XML that may stand in the answer to a call."""
    root = Element("xml")
    for tag, value in (
        ("ToUserName", to_openid),
        ("FromUserName", from_account),
        ("CreateTime", str(at_s)),
        ("MsgType", "text"),
        ("Content", text),
    ):
        SubElement(root, tag).text = value
    return tostring(root, encoding="utf-8", xml_declaration=False)


def compose_sealed(seal: Seal, content: bytes, *, at_s: int, nonce: str, entropy: bytes) -> bytes:
    """Wrap an answer for an inbox in ``aes`` mode; ``entropy`` are 16 random bytes.

    Raises:
        Unauthorized: the inbox has no key or no app id.
    """
    encrypted = seal.encrypt(content, entropy)
    root = Element("xml")
    for tag, value in (
        ("Encrypt", encrypted),
        ("MsgSignature", seal.sign(str(at_s), nonce, encrypted)),
        ("TimeStamp", str(at_s)),
        ("Nonce", nonce),
    ):
        SubElement(root, tag).text = value
    return tostring(root, encoding="utf-8", xml_declaration=False)


def split_text(text: str, limit_bytes: int = TEXT_LIMIT_BYTES) -> tuple[str, ...]:
    """Cut a text into parts of at most ``limit_bytes`` bytes of UTF-8; joined again, they are the text.

    Cuts between characters, and after a line end where there is one in the second half of a part.
    """
    parts: list[str] = []
    rest = text.encode()
    while len(rest) > limit_bytes:
        cut = rest.rfind(b"\n", limit_bytes // 2, limit_bytes) + 1
        if not cut:
            cut = limit_bytes
            while rest[cut] & 0xC0 == 0x80:  # a byte inside a character
                cut -= 1
        parts.append(rest[:cut].decode())
        rest = rest[cut:]
    return (*parts, rest.decode())


Verdict = Literal["sent", "token", "later", "failed"]
_VERDICTS: dict[int, Verdict] = {
    0: "sent",
    40001: "token",  # not valid, or not the newest
    40014: "token",  # not one at all
    42001: "token",  # expired
    -1: "later",  # busy
    -1000: "later",
    40164: "later",  # our address is not on the account's list: the operator can put it there
    45009: "later",  # quota of the day or the minute
    45011: "later",  # too many calls a minute
    50002: "later",  # the account is suspended for a while
}


def verdict_of(errcode: int) -> Verdict:
    """Say what an error code of the API means for a message.

    ``token``: get another access token and try once more; ``later``: try again later; ``failed``: the
    vendor will never take it (45015 the contact is silent for 48 hours, 45047 too many answers in a
    row, 40003 not an OpenID, 48002 the contact refuses, ...), which includes every code not known here.
    """
    return _VERDICTS.get(errcode, "failed")


def _digest(fields: Fields) -> bytes:
    digest = blake2b(digest_size=16)
    digest.update(msgspec.msgpack.encode(sorted(fields.items())))
    return digest.digest()


def _parameter(query: Fields, name: str) -> str:
    value = query.get(name, "")
    if not value:
        raise BadRequest(f"the query has no {name}")
    return value


def _field(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise BadRequest(f"the XML has no {name}")
    return value


def _number(fields: Fields, name: str) -> str:
    value = _field(fields, name).strip()
    if not value.isascii() or not value.isdigit() or len(value) > 24:
        raise BadRequest(f"{name} is not a number")
    return value


def _coordinate(fields: Fields, name: str) -> float:
    try:
        value = float(_field(fields, name))
    except ValueError:
        raise BadRequest(f"{name} is not a number") from None
    if not -180 <= value <= 180:  # also false for NaN
        raise BadRequest(f"{name} is not a coordinate")
    return value
