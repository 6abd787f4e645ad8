"""WeChat's API as a real server on a local port: takes agents' answers and notes which contact they reach."""

import secrets
from collections.abc import Collection
from typing import Any

import msgspec
from aiohttp import web

from cluster.load.clients.notes import Notes
from cluster.load.orders import CannotGenerate
from cluster.load.truth.facts import Shown

_LIVES_S = 7_200


class _Text(msgspec.Struct):
    content: str = ""


class _Message(msgspec.Struct):
    touser: str = ""
    text: _Text = msgspec.field(default_factory=_Text)


_message = msgspec.json.Decoder(_Message).decode


class VendorApi:
    """The two calls that raydesk makes.

    Args:
        at: ``host:port``.
        run: name of the run, with which its contacts' ids begin.
        notes: what is written down.
        linked: the contacts who read answers on a web page too.
    """

    def __init__(self, at: str, run: str, notes: Notes, linked: Collection[int] = ()) -> None:
        self._at = at
        self._head = f"{run}-contact-"
        self._notes = notes
        self._linked = frozenset(linked)
        self._token = secrets.token_hex(16)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            CannotGenerate: the address is none, or taken.
        """
        host, _, port = self._at.rpartition(":")
        app = web.Application()
        app.router.add_get("/cgi-bin/token", self._give_token)
        app.router.add_post("/cgi-bin/message/custom/send", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, int(port)).start()
        except (OSError, ValueError) as error:
            await self.aclose()
            raise CannotGenerate(f"webhook.api: found {self._at!r} ({error}); needed: a free host:port") from error

    async def aclose(self) -> None:
        """Listen no more; safe twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _give_token(self, _: web.Request) -> web.Response:
        return _said(access_token=self._token, expires_in=_LIVES_S)

    async def _take(self, request: web.Request) -> web.Response:
        if request.query.get("access_token") != self._token:
            return _said(errcode=40001, errmsg="invalid credential")
        message = _message(await request.read())
        writer = message.touser.removeprefix(self._head)
        if not writer.isdigit():
            return _said(errcode=40003, errmsg="invalid openid")
        kind = Shown.CONTEXT if int(writer) in self._linked else Shown.LIVE
        self._notes.reached_vendor(message.text.content, int(writer), kind)
        return _said(errcode=0, errmsg="ok")


def _said(**fields: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(fields), content_type="application/json")
