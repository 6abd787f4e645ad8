"""What an agent can do, over a socket or over ``POST /rpc``: each method becomes one command to a router.

Ownership and state are checked where they are known, in the router; the account always comes from the
agent's token, so nothing of another account can even be named.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from cluster.clients import RouterClient
from cluster.store.reading import Reading
from cluster.store.valkey import STORE_DOWN
from deployments.attaching import Attaching
from deployments.desk_about import DeskAbout
from deployments.desk_contacts import DeskContacts
from models.domain.commands import (
    Accept,
    AnyCommand,
    Decline,
    Receipt,
    Reopen,
    Resolve,
    Say,
    Snooze,
    Tag,
    TakeOver,
    Transfer,
)
from models.domain.errors import NotFound, RaydeskError, TooLarge, Unavailable
from models.domain.ids import is_conversation_id, message_id
from models.protocol import jsonrpc, methods
from models.protocol.openrpc import openrpc_document
from models.security.tokens import AgentClaims

PresenceSetter = Callable[[str, str, str, str], Awaitable[None]]
Run = Callable[[AgentClaims, Any], Awaitable[Any]]


def receipt_result(receipt: Receipt) -> methods.ReceiptResult:
    """Show a router's receipt to a caller."""
    return methods.ReceiptResult(
        message=message_id(receipt.conversation, receipt.seq),
        conversation=receipt.conversation,
        seq=receipt.seq,
        at_ms=receipt.at_ms,
        duplicate=receipt.duplicate,
    )


class DeskMethods:
    """The methods that need no socket.

    Args:
        router: reaches the shards.
        set_presence: tells the dispatcher (account, agent, status, reason).
        reading: reads the store.
        about: tells what stands around a desk.
        attaching: checks the files that a message brings.
        text_bytes: the longest text, in bytes of UTF-8.
    """

    def __init__(
        self,
        *,
        router: RouterClient,
        set_presence: PresenceSetter,
        reading: Reading,
        about: DeskAbout,
        attaching: Attaching,
        text_bytes: int,
    ) -> None:
        self._router = router
        self._set_presence = set_presence
        self._reading = reading
        self._attaching = attaching
        self._text_bytes = text_bytes
        self._openrpc = openrpc_document("http")
        self.table: dict[str, Run] = {
            "rpc.discover": self._discover,
            "message.send": self._send,
            "conversation.accept": self._accept,
            "conversation.decline": self._decline,
            "conversation.transfer": self._transfer,
            "conversation.resolve": self._resolve,
            "conversation.reopen": self._reopen,
            "conversation.snooze": self._snooze,
            "conversation.take_over": self._take_over,
            "conversation.note": self._note,
            "conversation.tag": self._tag,
            "presence.set": self._presence,
            "history.page": self._history,
            **about.table,
            **DeskContacts(router).table,
        }
        if self.table.keys() != methods.http_methods().keys():
            raise TypeError("the methods of POST /rpc and their handlers differ")
        self._decoders = {
            name: msgspec.json.Decoder(method.params).decode for name, method in methods.http_methods().items()
        }

    async def rpc(self, claims: AgentClaims, body: bytes) -> bytes:
        """Answer the body of ``POST /rpc``, one call or a batch; empty when all were notifications."""
        try:
            if not jsonrpc.is_batch(body):
                return await self._one(claims, body)
            answers = [await self._one(claims, call) for call in jsonrpc.split_batch(body)]
        except jsonrpc.ProtocolError as error:
            return error.response
        answers = [answer for answer in answers if answer]
        return b"[" + b",".join(answers) + b"]" if answers else b""

    async def _one(self, claims: AgentClaims, body: bytes) -> bytes:
        try:
            call = jsonrpc.decode_call(body)
        except jsonrpc.ProtocolError as error:
            return error.response
        answer = await self._answer(claims, call, None if call.id is msgspec.UNSET else call.id)
        return b"" if call.id is msgspec.UNSET else answer

    async def _answer(self, claims: AgentClaims, call: jsonrpc.Call, call_id: jsonrpc.CallId) -> bytes:
        run = self.table.get(call.method)
        if run is None:
            detail = f"no method {call.method[:64]!r} here"
            return jsonrpc.failure(jsonrpc.METHOD_NOT_FOUND, detail, call_id)
        try:
            params = self._decoders[call.method](call.params)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return jsonrpc.failure(jsonrpc.INVALID_PARAMS, f"{call.method}: {error}", call_id)
        try:
            return jsonrpc.success(await run(claims, params), call_id)
        except RaydeskError as error:
            return jsonrpc.failure_of(error, call_id)
        except STORE_DOWN:
            return jsonrpc.failure_of(Unavailable("the store does not answer; try again"), call_id)

    async def _ask(self, command: AnyCommand) -> methods.Ok:
        await self._router.ask(command)
        return methods.Ok()

    def _conversation(self, conversation: str) -> str:
        if not is_conversation_id(conversation):
            raise NotFound("no such conversation")
        return conversation

    async def _discover(self, claims: AgentClaims, params: methods.Nothing) -> dict[str, Any]:
        return self._openrpc

    async def _send(self, claims: AgentClaims, params: methods.Say) -> methods.ReceiptResult:
        return await self._say(claims, params, channel=params.channel, reply_to=params.reply_to)

    async def _note(self, claims: AgentClaims, params: methods.Note) -> methods.ReceiptResult:
        return await self._say(claims, params, internal=True)

    async def _say(self, claims: AgentClaims, params: methods.Say | methods.Note, **more: Any) -> methods.ReceiptResult:
        text = params.text
        if len(text) * 4 > self._text_bytes and len(text.encode()) > self._text_bytes:
            raise TooLarge(f"the text has more than {self._text_bytes} bytes")
        reply = await self._router.ask(
            Say(
                account=claims.account,
                conversation=self._conversation(params.conversation),
                by=claims.agent,
                role=claims.role,
                client_id=params.client_id,
                text=text,
                attachments=self._attaching.by_agent(claims, text, params.attachments),
                received_at_ms=time.time_ns() // 1_000_000,
                **more,
            )
        )
        assert isinstance(reply, Receipt)
        return receipt_result(reply)

    async def _accept(self, claims: AgentClaims, params: methods.ConversationRef) -> methods.Ok:
        name = self._conversation(params.conversation)
        return await self._ask(Accept(account=claims.account, conversation=name, by=claims.agent, role=claims.role))

    async def _decline(self, claims: AgentClaims, params: methods.ConversationRef) -> methods.Ok:
        name = self._conversation(params.conversation)
        return await self._ask(Decline(account=claims.account, conversation=name, by=claims.agent, role=claims.role))

    async def _transfer(self, claims: AgentClaims, params: methods.TransferTo) -> methods.Ok:
        return await self._ask(
            Transfer(
                account=claims.account,
                conversation=self._conversation(params.conversation),
                by=claims.agent,
                role=claims.role,
                to_agent=params.to_agent,
                to_skill=params.to_skill,
            )
        )

    async def _resolve(self, claims: AgentClaims, params: methods.ConversationRef) -> methods.Ok:
        name = self._conversation(params.conversation)
        return await self._ask(Resolve(account=claims.account, conversation=name, by=claims.agent, role=claims.role))

    async def _reopen(self, claims: AgentClaims, params: methods.ConversationRef) -> methods.Ok:
        name = self._conversation(params.conversation)
        return await self._ask(Reopen(account=claims.account, conversation=name, by=claims.agent, role=claims.role))

    async def _take_over(self, claims: AgentClaims, params: methods.ConversationRef) -> methods.Ok:
        name = self._conversation(params.conversation)
        return await self._ask(TakeOver(account=claims.account, conversation=name, by=claims.agent, role=claims.role))

    async def _snooze(self, claims: AgentClaims, params: methods.SnoozeUntil) -> methods.Ok:
        return await self._ask(
            Snooze(
                account=claims.account,
                conversation=self._conversation(params.conversation),
                by=claims.agent,
                role=claims.role,
                until_ms=params.until_ms,
            )
        )

    async def _tag(self, claims: AgentClaims, params: methods.Retag) -> methods.Ok:
        return await self._ask(
            Tag(
                account=claims.account,
                conversation=self._conversation(params.conversation),
                by=claims.agent,
                role=claims.role,
                add=tuple(params.add),
                remove=tuple(params.remove),
            )
        )

    async def _presence(self, claims: AgentClaims, params: methods.PresenceSet) -> methods.Ok:
        await self._set_presence(claims.account, claims.agent, params.status, params.reason)
        return methods.Ok()

    async def _history(self, claims: AgentClaims, params: methods.HistoryPage) -> methods.Page:
        messages, more = await self._reading.history(claims.account, params.conversation, params.before, params.limit)
        return methods.Page([msgspec.Raw(message) for message in messages], more)
