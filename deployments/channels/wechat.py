"""WeChat Official Account: webhook in, customer-service message out.

The wire format is ``models/channels/wechat.py``; here are the clock, the network and the access token.

* The access token of an inbox is fetched once, shared by all its messages and renewed before it runs
  out. Fetching one makes WeChat forget the one before, so one process sends: the outbox.
* No log line and no error shows a token or a secret: they enter the URL below the client
  (`SecretQuery`), and the vendor's words are searched for them.
* WeChat has no idempotency key: a call whose answer got lost is repeated and may be seen twice.
"""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from cluster.settings import Settings
from cluster.settings_sections import InboxSettings
from deployments.channels.channel import (
    Answer,
    Call,
    Channel,
    Failed,
    Later,
    Now,
    Outcome,
    Reading,
    Sent,
    no_such_inbox,
)
from models.channels.wechat import CHANNEL, Endpoint, open_call, open_echo, receive_of, split_text, verdict_of
from models.channels.wechat_seal import Seal, SignatureLedger
from models.domain.errors import TooLarge
from models.domain.outgoing import Outgoing

log = logging.getLogger("raydesk.channels.wechat")

SUCCESS = Answer(body=b"success")  # anything else is a failure to WeChat, shown to the user after the third
RENEW_BEFORE_S = 300
SEND_WITHIN_S = 10.0
TIMEOUT = httpx.Timeout(8.0, connect=3.0)
LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=8)
REPLY_LIMIT_BYTES = 65_536
_SECRET_QUERY = "raydesk.secret_query"


class _Reply(msgspec.Struct, frozen=True):
    """What WeChat's API answers; errors come with HTTP status 200."""

    errcode: int = 0
    errmsg: str = ""
    access_token: str = ""
    expires_in: int = 7_200


class SecretQuery(httpx.AsyncBaseTransport):
    """Adds secret parameters to the URL where no log line and no exception of httpx shows them any more."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with the parameters of its extension ``raydesk.secret_query``."""
        extensions: dict[str, Any] = dict(request.extensions)
        secret: Mapping[str, str] = extensions.pop(_SECRET_QUERY, {})
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url.copy_merge_params(secret),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Unanswered(Exception):
    """The API gave no usable answer: no connection, a time-out, or not what it should say."""


class WeChatApi:
    """The vendor's API as one inbox uses it; several messages may be sent at once."""

    def __init__(self, inbox: InboxSettings, client: httpx.AsyncClient, now: Now) -> None:
        self._inbox = inbox
        self._client = client
        self._now = now
        self._base = inbox.api_base.rstrip("/")
        self._token = ""
        self._renew_at_s = 0.0
        self._renewing = asyncio.Lock()

    async def send_text(self, openid: str, text: str) -> Outcome:
        """Send one customer-service message; a token that is refused is renewed once."""
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                return await self._send(openid, text)
        except TimeoutError:
            return Later(detail="WeChat did not answer in time")
        except _Unanswered as error:
            return Later(detail=self._clean(str(error)))

    async def _send(self, openid: str, text: str) -> Outcome:
        message = msgspec.json.encode({"touser": openid, "msgtype": "text", "text": {"content": text}})
        refused = ""
        outcome: Outcome = Later(detail="WeChat refuses the access token")
        for _ in range(2):
            token = await self._access_token(refused)
            if not isinstance(token, str):
                return token
            reply = await self._ask("POST", "/cgi-bin/message/custom/send", {"access_token": token}, message)
            verdict = verdict_of(reply.errcode)
            outcome = self._outcome(reply)
            if verdict != "token":
                return outcome
            refused = token
        return outcome

    async def _access_token(self, refused: str) -> str | Later | Failed:
        """Return a token that is not ``refused``, or why there is none; one fetch serves all who wait."""
        async with self._renewing:
            if self._token and self._token != refused and self._now() < self._renew_at_s:
                return self._token
            started_s = self._now()
            reply = await self._ask(
                "GET",
                "/cgi-bin/token",
                {
                    "grant_type": "client_credential",
                    "appid": self._inbox.app_id,
                    "secret": self._inbox.app_secret.get_secret_value(),
                },
            )
            if reply.errcode or not reply.access_token:
                outcome = self._outcome(reply)
                return outcome if isinstance(outcome, Later | Failed) else Later(detail="WeChat gave no access token")
            self._token = reply.access_token
            self._renew_at_s = started_s + max(reply.expires_in - RENEW_BEFORE_S, reply.expires_in / 2)
            return self._token

    async def _ask(self, method: str, path: str, secret: Mapping[str, str], body: bytes | None = None) -> _Reply:
        """Call the API.

        Raises:
            _Unanswered: see there.
        """
        headers = {"content-type": "application/json; charset=utf-8"} if body is not None else {}
        received = bytearray()
        try:
            async with self._client.stream(
                method, self._base + path, content=body, headers=headers, extensions={_SECRET_QUERY: secret}
            ) as response:
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > REPLY_LIMIT_BYTES:
                        raise _Unanswered("WeChat's answer is too long")
        except httpx.HTTPError as error:
            raise _Unanswered(f"WeChat cannot be reached: {type(error).__name__}") from None
        if response.status_code != HTTPStatus.OK:
            raise _Unanswered(f"WeChat answered with HTTP status {response.status_code}")
        try:
            return msgspec.json.decode(received, type=_Reply)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _Unanswered("WeChat's answer is not the JSON it should be") from None

    def _outcome(self, reply: _Reply) -> Outcome:
        verdict = verdict_of(reply.errcode)
        if verdict == "sent":
            return Sent()
        detail = self._clean(f"{reply.errcode} {reply.errmsg}".strip())
        return Failed(detail=detail) if verdict == "failed" else Later(detail=detail)

    def _clean(self, detail: str) -> str:
        """Take secrets out of a text that others will read."""
        for secret in (self._token, self._inbox.app_secret.get_secret_value()):
            if secret:
                detail = detail.replace(secret, "***")
        return detail[:500]


class WeChat(Channel):
    """All WeChat inboxes of the settings."""

    name = CHANNEL

    def __init__(self, settings: Settings, now: Now, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Prepare every inbox; ``transport`` carries the calls to the API, by default the network."""
        self._now = now
        self._text_limit_bytes = settings.limits.text_bytes
        # trust_env reads proxies and passwords from the environment, which is the settings' part.
        network = transport or httpx.AsyncHTTPTransport(limits=LIMITS, trust_env=False)
        self._client = httpx.AsyncClient(transport=SecretQuery(network), timeout=TIMEOUT, trust_env=False)
        self._endpoints: dict[str, Endpoint] = {}
        self._seals: dict[str, Seal] = {}
        self._ledgers: dict[str, SignatureLedger] = {}
        self._apis: dict[str, WeChatApi] = {}
        for inbox, chosen in settings.inboxes.items():
            if chosen.channel != CHANNEL:
                continue
            self._endpoints[inbox] = Endpoint(account=chosen.account, inbox=inbox, skill=chosen.skill)
            self._seals[inbox] = Seal(
                token=chosen.token.get_secret_value(),
                app_id=chosen.app_id,
                encoding_aes_key=chosen.encoding_aes_key.get_secret_value(),
                mode=chosen.mode,
            )
            self._ledgers[inbox] = SignatureLedger()
            self._apis[inbox] = WeChatApi(chosen, self._client, now)

    async def read(self, inbox: str, call: Call) -> Reading:
        """Verify and parse a call; an event that says nothing is answered with ``success`` too.

        Raises:
            Unauthorized: not proven to come from WeChat.
            BadRequest: not understood.
            TooLarge: the text is longer than ``limits.text_bytes``.
            NotFound: no such inbox.
        """
        endpoint = self._endpoints.get(inbox)
        if endpoint is None:
            raise no_such_inbox(CHANNEL, inbox)
        now_s = self._now()
        seal, ledger = self._seals[inbox], self._ledgers[inbox]
        if call.method == "GET":
            return Reading(answer=Answer(body=open_echo(seal, ledger, call.query, now_s)))
        fields = open_call(seal, ledger, call.query, call.body, now_s)
        message = receive_of(fields, endpoint, int(now_s * 1000))
        if message is None:
            return Reading(answer=SUCCESS)
        if len(message.text.encode()) > self._text_limit_bytes:
            raise TooLarge(f"the text is longer than {self._text_limit_bytes} bytes")
        return Reading(answer=SUCCESS, messages=(message,))

    def parts(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Cut a text where WeChat's limit of 2,048 bytes wants it."""
        return split_text(outgoing.text)

    async def send(self, outgoing: Outgoing, text: str, key: str) -> Outcome:
        """Send one part as a customer-service message."""
        api = self._apis.get(outgoing.inbox)
        if api is None:
            return Failed(detail=f"no wechat inbox {outgoing.inbox!r} in the settings")
        return await api.send_text(outgoing.external_id, text)

    async def aclose(self) -> None:
        """Close the connections to WeChat."""
        await self._client.aclose()
