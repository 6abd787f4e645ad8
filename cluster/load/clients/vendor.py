"""WeChat as it calls a webhook: signed, again when it was not answered with success, and now and then without a reason.

One call of a contact is under way at a time, as the order of what overtakes on the way would be nobody's to keep.
"""

import asyncio
import secrets
from collections.abc import Mapping
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from cluster.load.clients.backends import Backend, refusal_of
from cluster.load.clients.notes import Notes
from cluster.load.orders import Orders, WebhookAccount
from cluster.load.targets.http import HttpAnswer, HttpDoor
from cluster.load.targets.raydesk import external_id_of
from cluster.load.targets.said import Written
from models.channels.wechat_seal import Seal, signature_of

#: WeChat makes a call three times, when it has no answer within 5 s.
VENDOR_ATTEMPTS = 3
VENDOR_WAIT_S = 5.0


class Vendor(Backend):
    """WeChat: calls a webhook, signed, and calls again what was not answered with success.

    Args:
        orders: of the generator.
        door: the system's; a call that takes as long as the vendor waits counts as not answered.
        notes: what is written down.
        group: where its tasks live.
        account: what the vendor knows.
    """

    def __init__(
        self, orders: Orders, door: HttpDoor, notes: Notes, group: asyncio.TaskGroup, account: WebhookAccount
    ) -> None:
        super().__init__(orders, door, notes, group, "wechat")
        self._account = account
        self._seal = Seal(
            token=account.token,
            app_id=account.app_id,
            encoding_aes_key=account.encoding_aes_key,
            mode="plain" if account.mode == "plain" else "aes",
        )
        #: messages that are to be repeated although they were answered -> how often.
        self.to_repeat: dict[tuple[int, int], int] = {}
        self._sent: dict[tuple[int, int], tuple[Written, bytes]] = {}
        #: those of them whose first call has no answer yet.
        self._under_way: dict[tuple[int, int], asyncio.Event] = {}
        self._repeating = 0

    @property
    def waiting(self) -> int:
        """How many messages have not left, or wait for their answer."""
        return super().waiting + self._repeating

    async def hand_in(self, writer: int, written: Written) -> None:
        """Call until it is answered with success, as often as the vendor does."""
        written.text = self._notes.ids.tagged(written.text, written.id)
        xml = self.body_of(writer, written)
        if (writer, written.number) in self.to_repeat:
            self._sent[writer, written.number] = (written, xml)
            self._under_way[writer, written.number] = asyncio.Event()
        self._notes.leaves(writer, written)
        await self._call_as_vendors_do(writer, written, xml)
        if (answered := self._under_way.pop((writer, written.number), None)) is not None:
            answered.set()

    async def _call_as_vendors_do(self, writer: int, written: Written, xml: bytes) -> None:
        for attempt in range(1, VENDOR_ATTEMPTS + 1):
            begun = asyncio.get_running_loop().time()
            answer = await self._call(xml)
            if answer is not None and answer.status == 200:
                self._notes.taken(writer, written)
                return
            last = attempt == VENDOR_ATTEMPTS
            if answer is not None:
                self._notes.turned_away(writer, written, refusal_of(answer), last=last)
            if not last:
                await asyncio.sleep(begun + VENDOR_WAIT_S - asyncio.get_running_loop().time())
                self._notes.leaves_again(writer, written)

    def repeat(self, writer: int, number: int) -> None:
        """Make a call once more although it was answered."""
        self._group.create_task(self._repeat(writer, number))

    async def _repeat(self, writer: int, number: int) -> None:
        self._repeating += 1
        if (first := self._under_way.get((writer, number))) is not None:
            await first.wait()
        known = self._sent.get((writer, number))
        if known is not None:
            written, xml = known
            self._notes.leaves_again(writer, written)
            await self._call(xml)
            self.to_repeat[writer, number] -= 1
            if not self.to_repeat[writer, number]:
                del self.to_repeat[writer, number], self._sent[writer, number]
        self._repeating -= 1

    async def _call(self, xml: bytes) -> HttpAnswer | None:
        """Make one signed call; None: it was not answered."""
        timestamp = str(int(self._notes.clock.wall_s()))
        nonce = secrets.token_hex(8)
        query = {"timestamp": timestamp, "nonce": nonce}
        query["signature"] = signature_of(self._account.token, timestamp, nonce)
        if self._account.mode != "plain":
            encrypted = self._seal.encrypt(xml, secrets.token_bytes(16))
            query |= {"encrypt_type": "aes", "msg_signature": self._seal.sign(timestamp, nonce, encrypted)}
            xml = f"<xml><ToUserName>harness</ToUserName><Encrypt>{encrypted}</Encrypt></xml>".encode()
        try:
            return await self._door.call(
                "POST", f"{self._account.path}?{urlencode(query)}", xml, {"Content-Type": "text/xml"}
            )
        except ConnectionError:
            return None

    def body_of(self, writer: int, written: Written) -> bytes:
        """Return a message as the vendor's XML; the same one each time."""
        fields: Mapping[str, object] = {
            "ToUserName": "harness",
            "FromUserName": external_id_of(self._orders, writer),
            "CreateTime": written.due_us // 1_000_000,
            "MsgType": "text",
            "Content": escape(written.text),
            "MsgId": self._notes.ids.vendor_number(writer, written.number),
        }
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
        return f"<xml>{inner}</xml>".encode()
