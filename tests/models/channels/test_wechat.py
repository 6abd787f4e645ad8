"""What a WeChat call says: XML, kinds of messages, events, echo; what the API's codes mean; cutting texts."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy import parse_message
from wechatpy.client.api import WeChatMessage
from wechatpy.crypto import WeChatCrypto

from models.channels.wechat import (
    TEXT_LIMIT_BYTES,
    Endpoint,
    compose_sealed,
    compose_text,
    fields_of,
    open_call,
    open_echo,
    receive_of,
    split_text,
    verdict_of,
)
from models.channels.wechat_seal import Seal, SignatureLedger, signature_of
from models.domain.errors import BadRequest, Unauthorized
from models.domain.ids import contact_id
from models.domain.message import Attachment

TOKEN = "Yb9sJwXqP0"
APP_ID = "wx5823bf96d3bd56c7"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OPENID = "oWx_-7Kq2example"
NOW_S = 1_700_000_000.0
STAMP = "1700000000"
ENDPOINT = Endpoint(account="demo", inbox="service", skill="billing")


def seal(mode: str = "plain") -> Seal:
    return Seal(token=TOKEN, app_id=APP_ID, encoding_aes_key=AES_KEY, mode=mode)


def xml_of(**fields: str) -> bytes:
    everything = {"ToUserName": "gh_account", "FromUserName": OPENID, "CreateTime": STAMP} | fields
    return f"<xml>{''.join(f'<{tag}><![CDATA[{text}]]></{tag}>' for tag, text in everything.items())}</xml>".encode()


def said(**fields: str):
    return receive_of(fields_of(xml_of(**fields)), ENDPOINT, 123)


def plain_query(nonce: str = "n", stamp: str = STAMP) -> dict[str, str]:
    return {"signature": signature_of(TOKEN, stamp, nonce), "timestamp": stamp, "nonce": nonce}


def sealed_call(xml: bytes, nonce: str = "n") -> tuple[dict[str, str], bytes]:
    """What WeChat sends in aes mode, made by its SDK."""
    body = WeChatCrypto(TOKEN, AES_KEY, APP_ID).encrypt_message(xml.decode(), nonce, STAMP).encode()
    signature = fields_of(body)["MsgSignature"]
    return plain_query(nonce) | {"msg_signature": signature, "encrypt_type": "aes"}, body


TEXT = {"MsgType": "text", "MsgId": "24000000000000001"}


def test_text_becomes_a_command_with_the_identity_and_the_duplicate_key():
    message = said(**TEXT, Content="你好 <b>& 再见")
    assert message is not None
    assert (message.account, message.channel, message.inbox, message.skill) == ("demo", "wechat", "service", "billing")
    assert (message.external_id, message.source_id) == (OPENID, "24000000000000001")
    assert message.contact == contact_id("demo", "wechat", "service", OPENID)
    assert (message.text, message.attachments, message.received_at_ms) == ("你好 <b>& 再见", (), 123)


KINDS = {
    "image": (
        {"PicUrl": "http://mmbiz.qpic.cn/a", "MediaId": "m1"},
        "",
        Attachment(kind="image", url="http://mmbiz.qpic.cn/a", media_id="m1"),
    ),
    "voice": (
        {"MediaId": "m2", "Format": "amr", "Recognition": "我要退货"},
        "我要退货",
        Attachment(kind="voice", media_id="m2", title="amr"),
    ),
    "video": ({"MediaId": "m3", "ThumbMediaId": "t"}, "", Attachment(kind="video", media_id="m3")),
    "shortvideo": ({"MediaId": "m4", "ThumbMediaId": "t"}, "", Attachment(kind="video", media_id="m4")),
    "location": (
        {"Location_X": "23.134521", "Location_Y": "113.358803", "Scale": "20", "Label": "广州"},
        "广州",
        Attachment(kind="location", url="geo:23.134521,113.358803", title="广州"),
    ),
    "link": (
        {"Title": "Help", "Description": "All of it", "Url": "https://example.com/?a=1&b=2"},
        "Help\nAll of it",
        Attachment(kind="link", url="https://example.com/?a=1&b=2", title="Help"),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_becomes_text_and_attachment(kind: str):
    fields, text, attachment = KINDS[kind]
    message = said(MsgType=kind, MsgId="7", **fields)
    assert message is not None
    assert (message.text, message.attachments) == (text, (attachment,))


@pytest.mark.parametrize("kind", KINDS)
def test_sdk_reads_the_same_from_our_examples(kind: str):
    fields, _, attachment = KINDS[kind]
    theirs = parse_message(xml_of(MsgType=kind, MsgId="7", **fields).decode())
    assert theirs.type == kind
    assert theirs.id == 7
    if attachment.media_id:
        assert theirs.media_id == attachment.media_id
    if kind == "location":
        assert attachment.url == "geo:{},{}".format(*theirs.location)


def test_kind_that_nobody_knows_yet_is_kept_with_its_name():
    message = said(MsgType="miniprogrampage", MsgId="7", Title="Shop")
    assert message is not None
    assert message.text == "[miniprogrampage]"


@pytest.mark.parametrize("event", ["subscribe", "unsubscribe", "VIEW", "SCAN", "LOCATION", "TEMPLATESENDJOBFINISH"])
def test_event_that_says_nothing_becomes_nothing(event: str):
    assert said(MsgType="event", Event=event) is None


def test_pressed_menu_button_is_a_message_known_by_sender_time_and_button():
    message = said(MsgType="event", Event="CLICK", EventKey="SUPPORT")
    assert message is not None
    assert (message.text, message.source_id) == ("SUPPORT", f"{OPENID}:{STAMP}:SUPPORT")


BOMB = (
    b"""<?xml version="1.0"?><!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><xml><MsgType>&b;</MsgType></xml>"""
)
MALFORMED = {
    "nothing": b"",
    "JSON": b'{"MsgType": "text"}',
    "not closed": b"<xml><MsgType>text</MsgType>",
    "not UTF-8": b"<xml><MsgType>\xff</MsgType></xml>",
    "another charset": "<?xml version='1.0' encoding='gb2312'?><xml><MsgType>你</MsgType></xml>".encode("gb2312"),
    "NUL": b"<xml><MsgType>\x00</MsgType></xml>",
    "entities": BOMB,
    "external entity": b'<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><Content>&x;</Content></xml>',
    "empty DTD": b"<!DOCTYPE xml><xml></xml>",
    "another root": b"<html></html>",
    "element twice": b"<xml><MsgType>text</MsgType><MsgType>event</MsgType></xml>",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_body_is_refused_plainly(body: bytes):
    with pytest.raises(BadRequest) as caught:
        open_call(seal(), SignatureLedger(), plain_query(), body, NOW_S)
    assert caught.value.detail


def test_entity_bomb_costs_nothing():
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(20))
    bomb = f'<!DOCTYPE xml [<!ENTITY e0 "ha">{entities}]><xml><Content>&e20;</Content></xml>'.encode()
    started = time.perf_counter()
    with pytest.raises(BadRequest, match="DTD"):
        fields_of(bomb)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "MsgType"),
        ({"MsgType": "text", "Content": "x"}, "MsgId"),
        ({"MsgType": "text", "MsgId": "7"}, "Content"),
        ({"MsgType": "text", "MsgId": "7x", "Content": "x"}, "MsgId"),
        ({"MsgType": "text", "MsgId": "", "Content": "x"}, "MsgId"),
        ({"MsgType": "image", "MsgId": "7"}, "MediaId"),
        ({"MsgType": "location", "MsgId": "7", "Location_X": "1"}, "Location_Y"),
        ({"MsgType": "location", "MsgId": "7", "Location_X": "nan", "Location_Y": "1"}, "Location_X"),
        ({"MsgType": "event"}, "Event"),
        ({"MsgType": "event", "Event": "CLICK"}, "EventKey"),
        ({"MsgType": "text", "MsgId": "7", "Content": "x", "FromUserName": "a b"}, "FromUserName"),
        ({"MsgType": "text", "MsgId": "7", "Content": "x", "FromUserName": ""}, "FromUserName"),
    ],
)
def test_missing_or_wrong_field_is_named(fields: dict[str, str], named: str):
    with pytest.raises(BadRequest, match=named):
        said(**fields)


@given(st.binary(max_size=200))
def test_no_body_ends_in_anything_but_fields_or_a_bad_request(body: bytes):
    with suppress(BadRequest):
        fields_of(body)


@given(st.dictionaries(st.sampled_from(["MsgType", "MsgId", "Content", "Event", "CreateTime", "MediaId"]), st.text()))
def test_no_fields_end_in_anything_but_a_message_or_a_bad_request(fields: dict[str, str]):
    with suppress(BadRequest):
        receive_of({"FromUserName": OPENID} | fields, ENDPOINT, 0)


class TestPlainCalls:
    def test_call_is_opened(self):
        fields = open_call(seal(), SignatureLedger(), plain_query(), xml_of(**TEXT, Content="hi"), NOW_S)
        assert fields["Content"] == "hi"

    def test_repetition_to_the_letter_passes_and_other_content_under_its_signature_does_not(self):
        ledger = SignatureLedger()
        call = xml_of(**TEXT, Content="hi")
        for _ in range(3):
            open_call(seal(), ledger, plain_query(), call, NOW_S)
        with pytest.raises(Unauthorized):
            open_call(seal(), ledger, plain_query(), xml_of(**TEXT, Content="send money"), NOW_S)
        with pytest.raises(Unauthorized):
            open_call(seal(), ledger, plain_query(), xml_of(**TEXT, Content="hi", FromUserName="victim"), NOW_S)

    def test_digits_that_wander_between_nonce_and_timestamp_are_the_same_signature(self):
        """The parts are joined bare, so two readings of one signature must not count as two."""
        ledger = SignatureLedger()
        query = plain_query(nonce="00")
        wandered = query | {"nonce": "0", "timestamp": "0" + STAMP}
        assert plain_query(nonce="0", stamp="0" + STAMP)["signature"] == query["signature"]
        open_call(seal(), ledger, query, xml_of(**TEXT, Content="hi"), NOW_S)
        with pytest.raises(Unauthorized, match="another message"):
            open_call(seal(), ledger, wandered, xml_of(**TEXT, Content="forged"), NOW_S)

    def test_signature_of_the_verifying_call_writes_no_message(self):
        ledger = SignatureLedger()
        assert open_echo(seal(), ledger, plain_query() | {"echostr": "42"}, NOW_S) == b"42"
        with pytest.raises(Unauthorized):
            open_call(seal(), ledger, plain_query(), xml_of(**TEXT, Content="hi"), NOW_S)

    @pytest.mark.parametrize("missing", ["signature", "timestamp", "nonce"])
    def test_missing_parameter_is_named(self, missing: str):
        query = {name: value for name, value in plain_query().items() if name != missing}
        with pytest.raises(BadRequest, match=missing):
            open_call(seal(), SignatureLedger(), query, xml_of(**TEXT, Content="hi"), NOW_S)

    def test_encrypted_body_is_refused_with_a_hint(self):
        query, body = sealed_call(xml_of(**TEXT, Content="hi"))
        with pytest.raises(BadRequest, match="set to plain"):
            open_call(seal(), SignatureLedger(), query, body, NOW_S)


class TestSealedCalls:
    def test_call_of_the_sdk_is_opened(self):
        query, body = sealed_call(xml_of(**TEXT, Content="你好"))
        assert open_call(seal("aes"), SignatureLedger(), query, body, NOW_S)["Content"] == "你好"

    def test_plain_call_with_a_right_signature_is_refused(self):
        with pytest.raises(Unauthorized, match="encrypted"):
            open_call(seal("aes"), SignatureLedger(), plain_query(), xml_of(**TEXT, Content="hi"), NOW_S)

    def test_plain_body_under_a_captured_signature_is_refused(self):
        query, _ = sealed_call(xml_of(**TEXT, Content="hi"))
        with pytest.raises(Unauthorized, match="encrypted"):
            open_call(seal("aes"), SignatureLedger(), query, xml_of(**TEXT, Content="forged"), NOW_S)

    def test_other_ciphertext_under_a_captured_signature_is_refused(self):
        query, _ = sealed_call(xml_of(**TEXT, Content="hi"))
        _, other = sealed_call(xml_of(**TEXT, Content="other"))
        with pytest.raises(Unauthorized, match="signature"):
            open_call(seal("aes"), SignatureLedger(), query, other, NOW_S)

    def test_plain_fields_beside_the_ciphertext_are_not_believed(self):
        query, body = sealed_call(xml_of(**TEXT, Content="hi"))
        both = body.replace(b"<xml>", b"<xml><MsgType>text</MsgType><Content>forged</Content>")
        assert open_call(seal("aes"), SignatureLedger(), query, both, NOW_S)["Content"] == "hi"

    def test_call_for_another_app_is_refused(self):
        body = WeChatCrypto(TOKEN, AES_KEY, "wx0").encrypt_message(xml_of(**TEXT, Content="x").decode(), "n", STAMP)
        query = plain_query() | {"msg_signature": fields_of(body.encode())["MsgSignature"]}
        with pytest.raises(BadRequest, match="AppID"):
            open_call(seal("aes"), SignatureLedger(), query, body.encode(), NOW_S)


class TestEcho:
    @pytest.mark.parametrize("mode", ["plain", "aes"])
    def test_echo_is_returned_to_a_signed_call(self, mode: str):
        assert open_echo(seal(mode), SignatureLedger(), plain_query() | {"echostr": "7391"}, NOW_S) == b"7391"

    def test_encrypted_echo_is_returned_decrypted(self):
        encrypted = seal("aes").encrypt(b"7391", bytes(16))
        query = {
            "timestamp": STAMP,
            "nonce": "n",
            "echostr": encrypted,
            "msg_signature": signature_of(TOKEN, STAMP, "n", encrypted),
        }
        assert open_echo(seal("aes"), SignatureLedger(), query, NOW_S) == b"7391"
        with pytest.raises(Unauthorized):
            open_echo(seal("aes"), SignatureLedger(), query | {"msg_signature": "0" * 40}, NOW_S)

    def test_forged_late_or_endless_echo_is_refused(self):
        query = plain_query() | {"echostr": "7391"}
        with pytest.raises(Unauthorized):
            open_echo(seal(), SignatureLedger(), query | {"signature": "0" * 40}, NOW_S)
        with pytest.raises(Unauthorized):
            open_echo(seal(), SignatureLedger(), query, NOW_S + 301)
        with pytest.raises(BadRequest):
            open_echo(seal(), SignatureLedger(), query | {"echostr": "7" * 1_025}, NOW_S)


class TestAnswersInTheCall:
    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
    def test_sdk_reads_the_text_we_compose(self, text: str):
        xml = compose_text(to_openid=OPENID, from_account="gh_account", text=text, at_s=1)
        assert fields_of(xml)["Content"] == text
        if text.strip() == text:  # the SDK strips
            assert (parse_message(xml.decode()).content or "") == text

    def test_sdk_opens_the_answer_we_seal(self):
        xml = compose_text(to_openid=OPENID, from_account="gh_account", text="好的", at_s=1)
        sealed = compose_sealed(seal("aes"), xml, at_s=int(NOW_S), nonce="n", entropy=bytes(16))
        opened = WeChatCrypto(TOKEN, AES_KEY, APP_ID).decrypt_message(
            sealed, fields_of(sealed)["MsgSignature"], STAMP, "n"
        )
        assert parse_message(opened).content == "好的"


class TestSplit:
    @given(st.text(max_size=400), st.integers(4, 64))
    def test_parts_fit_and_are_the_text_again(self, text: str, limit: int):
        parts = split_text(text, limit)
        assert "".join(parts) == text
        assert all(len(part.encode()) <= limit for part in parts)
        assert all(parts) or parts == ("",)

    def test_text_at_the_limit_stays_whole_and_one_byte_more_does_not(self):
        assert split_text("x" * TEXT_LIMIT_BYTES) == ("x" * TEXT_LIMIT_BYTES,)
        assert len(split_text("x" * (TEXT_LIMIT_BYTES + 1))) == 2

    def test_cut_prefers_a_line_end(self):
        assert split_text("first line\nsecond line", 16) == ("first line\n", "second line")


def test_codes_mean_what_the_vendor_says():
    assert verdict_of(0) == "sent"
    assert {verdict_of(code) for code in (40001, 40014, 42001)} == {"token"}
    assert {verdict_of(code) for code in (-1, 45009, 45011)} == {"later"}
    assert {verdict_of(code) for code in (40003, 45015, 45047, 48002, 99999)} == {"failed"}


def test_body_that_we_send_is_that_of_the_sdk():
    """The SDK's call for a text, recorded, is the one that ``deployments/channels/wechat.py`` makes."""

    class Recorder:
        def post(self, path: str, data: dict[str, object]) -> dict[str, object]:
            return {"path": path, "data": data}

    class Messages(WeChatMessage):
        def __init__(self) -> None:
            self._client = Recorder()

        def _post(self, url: str, **more: object) -> object:
            return {"url": url, **more}

    sent = Messages().send_text(OPENID, "好")
    assert sent["url"] == "message/custom/send"
    assert sent["data"] == {"touser": OPENID, "msgtype": "text", "text": {"content": "好"}}
