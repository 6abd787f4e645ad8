"""WeChat through real HTTP: webhook calls into the ingress routes, answers out to a vendor on a local port."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx
import pytest
from fastapi import FastAPI
from wechatpy.crypto import WeChatCrypto

from cluster.settings import Settings
from deployments.channels.catalogue import make_channels
from deployments.channels.channel import Failed, Later, Sent
from deployments.channels.webhook import webhook_routes
from deployments.channels.wechat import WeChat
from models.channels.wechat import fields_of
from models.channels.wechat_seal import signature_of
from models.domain.commands import Receipt, Receive
from models.domain.errors import NotFound, RaydeskError, Unavailable
from models.domain.ids import contact_id
from models.domain.outgoing import Outgoing
from tests.deployments.wechat_server import APP_ID, APP_SECRET, WeChatServer

pytestmark = pytest.mark.anyio
TOKEN = "webhook-token"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OPENID = "oWx_-7Kq2example"
CONVERSATION = "s01hf8z0000" + "00" + "0" * 16


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


class Shelf:
    """A router in memory: takes each (inbox, source id) once, in order, and can be away or slow."""

    def __init__(self) -> None:
        self.stored: list[Receive] = []
        self.error: RaydeskError | None = None
        self.delay_s = 0.0

    async def receive_many(self, messages: Sequence[Receive]) -> list[Receipt | RaydeskError]:
        await asyncio.sleep(self.delay_s)
        return [self.error or self._receive(message) for message in messages]

    def _receive(self, message: Receive) -> Receipt:
        for seq, known in enumerate(self.stored, 1):
            if (known.inbox, known.source_id) == (message.inbox, message.source_id):
                return Receipt(conversation=CONVERSATION, seq=seq, at_ms=0, duplicate=True)
        self.stored.append(message)
        return Receipt(conversation=CONVERSATION, seq=len(self.stored), at_ms=0)


def settings_for(api_base: str = "https://api.weixin.qq.com", app_secret: str = APP_SECRET) -> Settings:
    shared = {
        "account": "demo",
        "channel": "wechat",
        "app_id": APP_ID,
        "token": TOKEN,
        "app_secret": app_secret,
        "encoding_aes_key": AES_KEY,
        "api_base": api_base,
    }
    return Settings(
        accounts={"demo": {}},
        inboxes={
            "plain": shared | {"mode": "plain", "skill": "billing"},
            "sealed": shared | {"mode": "aes"},
            "site": {"account": "demo", "channel": "web"},
        },
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def ingress(clock: Clock, shelf: Shelf) -> AsyncIterator[httpx.AsyncClient]:
    channels = make_channels(settings_for(), clock)
    app = FastAPI()
    app.include_router(webhook_routes(channels, shelf))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://raydesk") as client:
        yield client
    for channel in channels.values():
        await channel.aclose()


def signed(clock: Clock, nonce: str = "n0nce") -> dict[str, str]:
    stamp = str(int(clock.now_s))
    return {"signature": signature_of(TOKEN, stamp, nonce), "timestamp": stamp, "nonce": nonce, "openid": OPENID}


def text_xml(content: str = "你好", msg_id: int = 7) -> str:
    return (
        f"<xml><ToUserName>gh</ToUserName><FromUserName>{OPENID}</FromUserName><CreateTime>1700000000</CreateTime>"
        f"<MsgType>text</MsgType><Content><![CDATA[{content}]]></Content><MsgId>{msg_id}</MsgId></xml>"
    )


def sealed(clock: Clock, xml: str, nonce: str = "n0nce") -> tuple[dict[str, str], bytes]:
    query = signed(clock, nonce)
    body = WeChatCrypto(TOKEN, AES_KEY, APP_ID).encrypt_message(xml, nonce, query["timestamp"]).encode()
    return query | {"encrypt_type": "aes", "msg_signature": fields_of(body)["MsgSignature"]}, body


PLAIN = "/v1/channels/wechat/plain"
SEALED = "/v1/channels/wechat/sealed"


class TestIn:
    @pytest.mark.parametrize("path", [PLAIN, SEALED])
    async def test_url_is_verified_by_echo(self, ingress: httpx.AsyncClient, clock: Clock, path: str):
        answer = await ingress.get(path, params=signed(clock) | {"echostr": "<b>7391"})
        assert (answer.status_code, answer.text) == (200, "<b>7391")
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["x-content-type-options"] == "nosniff"
        forged = await ingress.get(path, params=signed(clock) | {"echostr": "7391", "signature": "0" * 40})
        assert forged.status_code == 401
        assert "7391" not in forged.text

    async def test_plain_message_is_stored_before_success_is_said(self, ingress, shelf: Shelf, clock: Clock):
        answer = await ingress.post(PLAIN, params=signed(clock), content=text_xml().encode())
        assert (answer.status_code, answer.text) == (200, "success")
        (message,) = shelf.stored
        assert message == Receive(
            account="demo",
            contact=contact_id("demo", "wechat", "plain", OPENID),
            channel="wechat",
            inbox="plain",
            external_id=OPENID,
            source_id="7",
            text="你好",
            received_at_ms=1_700_000_000_000,
            skill="billing",
        )

    async def test_sealed_message_is_stored(self, ingress, shelf: Shelf, clock: Clock):
        query, body = sealed(clock, text_xml())
        answer = await ingress.post(SEALED, params=query, content=body)
        assert (answer.status_code, answer.text) == (200, "success")
        assert [message.text for message in shelf.stored] == ["你好"]

    async def test_repetition_by_the_vendor_gets_success_and_is_stored_once(self, ingress, shelf: Shelf, clock: Clock):
        query = signed(clock)
        for _ in range(3):  # to the letter
            assert (await ingress.post(PLAIN, params=query, content=text_xml().encode())).text == "success"
        for nonce in "abc":  # signed anew
            again = await ingress.post(PLAIN, params=signed(clock, nonce), content=text_xml().encode())
            assert again.text == "success"
        assert len(shelf.stored) == 1

    async def test_message_that_could_not_be_stored_comes_through_by_its_repetition(
        self, ingress, shelf: Shelf, clock: Clock
    ):
        shelf.error = Unavailable("the router restarts", 2.0)
        refused = await ingress.post(PLAIN, params=signed(clock), content=text_xml().encode())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.headers["content-type"] == "application/problem+json"
        shelf.error = None
        assert (await ingress.post(PLAIN, params=signed(clock), content=text_xml().encode())).text == "success"
        assert len(shelf.stored) == 1

    async def test_captured_signature_writes_nothing_else(self, ingress, shelf: Shelf, clock: Clock):
        await ingress.post(PLAIN, params=signed(clock), content=text_xml().encode())
        forged = await ingress.post(PLAIN, params=signed(clock), content=text_xml("send money", 8).encode())
        assert forged.status_code == 401
        query = signed(clock, "late")
        clock.now_s += 301
        late = await ingress.post(PLAIN, params=query, content=text_xml("late", 9).encode())
        assert late.status_code == 401
        assert [message.text for message in shelf.stored] == ["你好"]

    async def test_sealed_inbox_takes_no_plain_message(self, ingress, shelf: Shelf, clock: Clock):
        assert (await ingress.post(SEALED, params=signed(clock), content=text_xml().encode())).status_code == 401
        query, _ = sealed(clock, text_xml())
        assert (await ingress.post(SEALED, params=query, content=text_xml().encode())).status_code == 401
        assert not shelf.stored

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"<xml><MsgType>text", 400),
            (b"<xml>\xff</xml>", 400),
            (b'<!DOCTYPE x [<!ENTITY a "b">]><xml>&a;</xml>', 400),
            (b"<xml><MsgType>text</MsgType></xml>", 400),
            (b"<xml>" + b"x" * 70_000 + b"</xml>", 413),
            (text_xml("x" * 20_001).encode(), 413),
        ],
    )
    async def test_bad_body_gets_a_plain_problem(self, ingress, shelf: Shelf, clock: Clock, body: bytes, status: int):
        answer = await ingress.post(PLAIN, params=signed(clock), content=body)
        assert answer.status_code == status
        assert answer.json()["status"] == status
        assert answer.json()["detail"]
        assert not shelf.stored

    async def test_event_without_words_is_answered_and_leaves_nothing(self, ingress, shelf: Shelf, clock: Clock):
        xml = (
            f"<xml><FromUserName>{OPENID}</FromUserName><CreateTime>1</CreateTime>"
            "<MsgType>event</MsgType><Event>subscribe</Event></xml>"
        )
        answer = await ingress.post(PLAIN, params=signed(clock), content=xml.encode())
        assert (answer.status_code, answer.text) == (200, "success")
        assert not shelf.stored

    @pytest.mark.parametrize("inbox", ["nobody", "site"])
    async def test_inbox_of_nobody_or_of_another_channel_is_not_found(self, ingress, clock: Clock, inbox: str):
        path = f"/v1/channels/wechat/{inbox}"
        assert (await ingress.post(path, params=signed(clock), content=text_xml().encode())).status_code == 404

    async def test_refusal_by_the_router_is_passed_on(self, ingress, shelf: Shelf, clock: Clock):
        shelf.error = NotFound("no such conversation")
        assert (await ingress.post(PLAIN, params=signed(clock), content=text_xml().encode())).status_code == 404

    async def test_late_router_does_not_make_the_vendor_wait(
        self, ingress, shelf: Shelf, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(WeChat, "answer_within_s", 0.1)
        shelf.delay_s = 30
        started = time.monotonic()
        answer = await ingress.post(PLAIN, params=signed(clock), content=text_xml().encode())
        assert answer.status_code == 503
        assert time.monotonic() - started < 5

    async def test_slow_body_does_not_hold_the_call(self, ingress, clock: Clock, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(WeChat, "answer_within_s", 0.1)

        async def trickle() -> AsyncIterator[bytes]:
            yield b"<xml>"
            await asyncio.sleep(30)

        answer = await ingress.post(PLAIN, params=signed(clock), content=trickle())
        assert answer.status_code == 503

    async def test_deadline_leaves_room_in_the_five_seconds_of_the_vendor(self):
        assert WeChat.answer_within_s <= 4.5

    async def test_routes_are_described(self, shelf: Shelf, clock: Clock):
        app = FastAPI()
        app.include_router(webhook_routes(make_channels(settings_for(), clock), shelf))
        assert set(app.openapi()["paths"]["/v1/channels/wechat/{inbox}"]) == {"get", "post"}


@pytest.fixture
def vendor() -> Iterator[WeChatServer]:
    with WeChatServer() as server:
        yield server


@pytest.fixture
async def wechat(vendor: WeChatServer, clock: Clock) -> AsyncIterator[WeChat]:
    channel = WeChat(settings_for(vendor.url), clock)
    yield channel
    await channel.aclose()
    await channel.aclose()


def answer(text: str = "好的", inbox: str = "plain") -> Outgoing:
    return Outgoing(
        account="demo",
        conversation=CONVERSATION,
        message=f"{CONVERSATION}-1",
        channel="wechat",
        inbox=inbox,
        external_id=OPENID,
        text=text,
        at_ms=0,
    )


class TestOut:
    async def test_text_is_sent_unescaped_with_one_token_for_all(self, wechat: WeChat, vendor: WeChatServer):
        outcomes = await asyncio.gather(*(wechat.send(answer(), f"好的 {n}", "k") for n in range(5)))
        assert outcomes == [Sent()] * 5
        assert sorted(vendor.taken) == [(OPENID, f"好的 {n}") for n in range(5)]
        assert len(vendor.tokens) == 1
        assert "好的".encode() in vendor.raw[0]

    async def test_token_is_renewed_before_it_runs_out(self, wechat: WeChat, vendor: WeChatServer, clock: Clock):
        await wechat.send(answer(), "1", "k")
        clock.now_s += 7_200 - 301
        await wechat.send(answer(), "2", "k")
        assert len(vendor.tokens) == 1
        clock.now_s += 2
        await wechat.send(answer(), "3", "k")
        assert len(vendor.tokens) == 2

    async def test_refused_token_is_renewed_once_for_all_who_met_it(self, wechat: WeChat, vendor: WeChatServer):
        await wechat.send(answer(), "1", "k")
        vendor.expire()
        outcomes = await asyncio.gather(*(wechat.send(answer(), f"{n}", "k") for n in range(2, 6)))
        assert outcomes == [Sent()] * 4
        assert len(vendor.tokens) == 2

    @pytest.mark.parametrize("code", [40001, 40014, 42001])
    async def test_token_that_is_refused_again_and_again_is_tried_later(
        self, wechat: WeChat, vendor: WeChatServer, code: int
    ):
        vendor.script.extend([code, code])
        assert isinstance(await wechat.send(answer(), "x", "k"), Later)
        assert len(vendor.attempts) == 2
        assert len(vendor.tokens) == 2

    @pytest.mark.parametrize("code", [45015, 45047, 40003, 48002, 45002])
    async def test_definite_refusal_carries_the_words_of_the_vendor(
        self, wechat: WeChat, vendor: WeChatServer, code: int
    ):
        vendor.script.append({"errcode": code, "errmsg": "response out of time limit rid: 6f"})
        outcome = await wechat.send(answer(), "x", "k")
        assert outcome == Failed(detail=f"{code} response out of time limit rid: 6f")
        assert len(vendor.attempts) == 1

    @pytest.mark.parametrize(
        "step",
        [
            -1,
            45009,
            45011,
            {"status": 502, "body": b"<html>bad gateway</html>"},
            {"status": 429},
            {"body": b"not JSON"},
            {"body": b"\xff\xfe"},
            {"body": b'{"errcode": "many"}'},
            {"body": b"x" * 70_000},
        ],
    )
    async def test_passing_trouble_is_tried_later(self, wechat: WeChat, vendor: WeChatServer, step):
        vendor.script.append(step)
        assert isinstance(await wechat.send(answer(), "x", "k"), Later)
        assert await wechat.send(answer(), "x", "k") == Sent()

    async def test_silent_vendor_is_tried_later(
        self, wechat: WeChat, vendor: WeChatServer, monkeypatch: pytest.MonkeyPatch
    ):
        await wechat.send(answer(), "x", "k")
        monkeypatch.setattr("deployments.channels.wechat.SEND_WITHIN_S", 0.1)
        vendor.script.append({"wait_s": 0.5})
        assert await wechat.send(answer(), "x", "k") == Later(detail="WeChat did not answer in time")

    async def test_vendor_that_is_not_there_is_tried_later(self, clock: Clock):
        channel = WeChat(settings_for("http://127.0.0.1:9"), clock)
        outcome = await channel.send(answer(), "x", "k")
        await channel.aclose()
        assert outcome == Later(detail="WeChat cannot be reached: ConnectError")

    async def test_wrong_secret_fails_with_the_words_of_the_vendor_but_without_the_secret(
        self, vendor: WeChatServer, clock: Clock
    ):
        channel = WeChat(settings_for(vendor.url, app_secret="wrong-secret"), clock)
        outcome = await channel.send(answer(), "x", "k")
        await channel.aclose()
        assert outcome == Failed(detail="40125 invalid appsecret ***")

    async def test_address_that_is_not_on_the_list_is_tried_later(self, wechat: WeChat, vendor: WeChatServer):
        vendor.token_script.append({"errcode": 40164, "errmsg": "invalid ip 10.0.0.1, not in whitelist"})
        assert await wechat.send(answer(), "x", "k") == Later(detail="40164 invalid ip 10.0.0.1, not in whitelist")

    async def test_inbox_that_is_gone_from_the_settings_fails(self, wechat: WeChat):
        assert isinstance(await wechat.send(answer(inbox="gone"), "x", "k"), Failed)

    async def test_long_text_is_cut_in_order(self, wechat: WeChat):
        text = "很长的回答" * 400
        parts = wechat.parts(answer(text))
        assert "".join(parts) == text
        assert max(len(part.encode()) for part in parts) <= 2_048

    async def test_no_log_line_and_no_error_shows_token_or_secret(
        self, wechat: WeChat, vendor: WeChatServer, caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level(logging.DEBUG)
        await wechat.send(answer(), "x", "k")
        vendor.script.append({"errcode": 45015, "errmsg": f"no, {vendor.valid}"})
        outcomes = [await wechat.send(answer(), "x", "k")]
        vendor.script.extend([{"status": 500}, {"body": b"?"}])
        outcomes += [await wechat.send(answer(), "x", "k") for _ in range(2)]
        vendor.expire()
        vendor.token_script.append({"errcode": 40125, "errmsg": f"bad {APP_SECRET}"})
        outcomes.append(await wechat.send(answer(), "x", "k"))
        assert "HTTP Request: POST" in caplog.text  # httpx speaks, and says nothing it should not
        for shown in (caplog.text, repr(outcomes)):
            assert "that-nobody-may-see" not in shown
            assert "access_token=" not in shown
