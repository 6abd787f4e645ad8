"""A socket of raydesk, whoever holds it: from the opening of its session until it is lost."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from cluster.load.targets.frames import Texts, call, framed
from cluster.load.targets.said import Refusal

_TEXT = WSMsgType.TEXT
#: The number of the call that opens the session.
OPENING = 0


class SocketLink(WSListener):
    """What the sockets of visitors and desks have in common.

    Args:
        texts: how texts are encoded.
        gone: told when the socket has ended.
    """

    def __init__(self, texts: Texts, gone: "Callable[[SocketLink], None]") -> None:
        self._texts = texts
        self._gone = gone
        self._transport: WSTransport | None = None
        self._opening: asyncio.Future[Refusal | None] | None = None
        #: its session is open, and the client was told so.
        self.live = False

    async def open(self, method: str, params: dict[str, Any]) -> Refusal | None:
        """Open the session; returns why it was refused, None: it is open.

        Raises:
            ConnectionError: the socket ended.
        """
        if self._transport is None:
            raise ConnectionError("the socket ended before its session was open")
        self._opening = asyncio.get_running_loop().create_future()
        self._transport.send(_TEXT, call(OPENING, method, params))
        return await self._opening

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take what came; a mistake of the harness itself is told to the loop, or it would pass as a broken socket."""
        if frame.msg_type == _TEXT:
            try:
                if self.live:
                    self.take(frame.get_payload_as_memoryview())
                else:
                    self._take_opening(frame.get_payload_as_bytes())
            except Exception as error:
                told = {"message": "a frame broke its client", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)
                raise
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Tell that it is lost, whoever ended it."""
        self._transport = None
        if self._opening is not None and not self._opening.done():
            self._opening.set_exception(ConnectionError("the socket ended before its session was open"))
        live, self.live = self.live, False
        self._gone(self)
        if live:
            self.lost()

    def drop(self) -> None:
        """End it without a word."""
        if self._transport is not None:
            self._transport.underlying_transport.abort()

    def ping(self) -> None:
        """Send a heartbeat."""
        if self._transport is not None:
            self._transport.send_ping()

    def send_text(self, text: bytes) -> None:
        """Send one frame."""
        if self._transport is not None:
            self._transport.send(_TEXT, text)

    def send_texts(self, texts: Sequence[bytes]) -> None:
        """Send several frames in one write."""
        if self._transport is not None:
            self._transport.underlying_transport.write(b"".join([framed(text) for text in texts]))

    def _take_opening(self, payload: bytes) -> None:
        opening = self._opening
        if opening is None or opening.done():
            return
        refusal = self.begin(payload)
        self.live = refusal is None
        opening.set_result(refusal)

    def begin(self, payload: bytes) -> Refusal | None:
        """Take the answer to the opening; in this very step, as what follows on the socket counts from here."""
        raise NotImplementedError

    def take(self, payload: memoryview) -> None:
        """Take a frame."""
        raise NotImplementedError

    def lost(self) -> None:
        """Tell the client."""
        raise NotImplementedError
