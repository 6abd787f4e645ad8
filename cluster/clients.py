"""How the other processes reach routers and dispatcher: batched, in order, through their restarts.

**Natural batching**: one call per shard is under way; what arrives meanwhile goes as the next call. No
timer, no latency at low load, hundreds of commands a call at high load. One call at a time also means
that two commands of one sender for one shard cannot overtake each other, not even when a call is
repeated after a crash; repeating is safe because messages are taken once by their source id.

A caller that stops waiting does not take its command back: it may still happen.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from cluster.codec import decode_replies, encode_commands
from models.domain.commands import AnyCommand, AnyReply, Moved, Receipt, Receive, Refusal
from models.domain.errors import Overloaded, RaydeskError, Unavailable, error_named
from models.domain.ids import shard_of_slot
from models.timeline.shard import slot_of

_log = logging.getLogger(__name__)

#: Carries one encoded batch to a shard's router and returns its encoded answers; empty bytes mean
#: "not now, ask again". Raises ``Unavailable`` when the router cannot be reached.
Transport = Callable[[int, bytes], Awaitable[bytes]]
#: Called once per command with the token it was submitted with, and the answer or the error.
OnReply = Callable[[Any, AnyReply | RaydeskError], None]
_Entry = tuple[AnyCommand, OnReply, Any]

#: A command's envelope besides its text, in bytes; measured on encoded batches.
_ENVELOPE_BYTES = 160
_RETRY_S = 0.05
_REMEMBERED_MOVES = 10_000


class _Lane:
    """The commands of one sender for one shard."""

    __slots__ = ("busy", "pending")

    def __init__(self) -> None:
        self.pending: deque[_Entry] = deque()
        self.busy = False


class RouterClient:
    """Asks the routers of all shards.

    Args:
        transport: carries a batch to a router.
        shards: how many there are.
        batch_bytes: how much one call carries, about.
        queue_limit: commands that may wait for one shard; more raise `Overloaded`.
        deadline_s: how long a batch is repeated before its commands end in `Unavailable`.
    """

    def __init__(
        self, transport: Transport, *, shards: int, batch_bytes: int, queue_limit: int, deadline_s: float
    ) -> None:
        self._transport = transport
        self._shards = shards
        self._batch_bytes = batch_bytes
        self._queue_limit = queue_limit
        self._deadline_s = deadline_s
        self._lanes = [_Lane() for _ in range(shards)]
        self._moved: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.batches = 0
        self.batched = 0

    @property
    def waiting(self) -> int:
        """How many commands wait for their call to begin."""
        return sum(len(lane.pending) for lane in self._lanes)

    def submit(self, command: AnyCommand, on_reply: OnReply, token: Any = None) -> None:
        """Ask without waiting; ``on_reply(token, outcome)`` is called once, with the answer or the error.

        A contact's message follows *moved* answers by itself, and later ones go straight to the new place.

        Raises:
            Overloaded: too many commands wait for this shard; nothing was taken.
            InvalidId: the command names no slot.
        """
        if self._moved and type(command) is Receive:
            command = self._resolved(command)
        lane = self._lanes[shard_of_slot(slot_of(command), self._shards)]
        if len(lane.pending) >= self._queue_limit:
            raise Overloaded("too many messages are waiting; try again")
        lane.pending.append((command, on_reply, token))
        if not lane.busy:
            lane.busy = True
            self._start(self._drain(lane))

    async def ask(self, command: AnyCommand) -> AnyReply:
        """Ask and wait.

        Raises:
            RaydeskError: the router refused, or could not be reached in time.
        """
        future: asyncio.Future[AnyReply] = asyncio.get_running_loop().create_future()
        self.submit(command, _settle, future)
        return await future

    async def receive(self, message: Receive) -> Receipt:
        """Have a contact's message taken.

        Raises:
            RaydeskError: it was not; the sender may try again with the same source id.
        """
        (outcome,) = await self.receive_many([message])
        if isinstance(outcome, RaydeskError):
            raise outcome
        return outcome

    async def receive_many(self, messages: Sequence[Receive]) -> list[Receipt | RaydeskError]:
        """Have many messages taken, those of one contact in their order; one outcome each."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[AnyReply]] = [loop.create_future() for _ in messages]
        for message, future in zip(messages, futures, strict=True):
            try:
                self.submit(message, _settle, future)
            except RaydeskError as error:
                _settle(future, error)
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        return [_receipt_or_error(outcome) for outcome in outcomes]

    async def aclose(self) -> None:
        """Wait until all that was taken is answered."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _resolved(self, message: Receive) -> Receive:
        contact = self._moved.get(message.contact)
        return msgspec.structs.replace(message, contact=contact) if contact else message

    def _follow(self, message: Receive, moved: Moved, on_reply: OnReply, token: Any) -> None:
        """Ask again where a contact went; a contact moves once, so this ends."""
        if len(self._moved) >= _REMEMBERED_MOVES:
            self._moved.clear()
        self._moved[message.contact] = moved.contact
        try:
            self.submit(message, on_reply, token)
        except RaydeskError as error:
            _tell(on_reply, token, error)

    async def _drain(self, lane: _Lane) -> None:
        shard = self._lanes.index(lane)
        try:
            while lane.pending:
                batch = self._next_batch(lane)
                await self._deliver(shard, batch)
        finally:
            lane.busy = False

    def _next_batch(self, lane: _Lane) -> list[_Entry]:
        batch: list[_Entry] = []
        pending = lane.pending
        room = self._batch_bytes
        while pending and room > 0:
            entry = pending.popleft()
            batch.append(entry)
            room -= _size(entry[0])
        return batch

    async def _deliver(self, shard: int, batch: list[_Entry]) -> None:
        self.batches += 1
        self.batched += len(batch)
        try:
            replies = await self._call(shard, encode_commands([command for command, _, _ in batch]))
            if len(replies) != len(batch):
                raise RaydeskError("a router answered another batch")  # noqa: TRY301 - told to every caller below
        except RaydeskError as error:
            for _, on_reply, token in batch:
                _tell(on_reply, token, error)
            return
        for (command, on_reply, token), reply in zip(batch, replies, strict=True):
            kind = type(reply)
            if kind is Refusal:
                _tell(on_reply, token, error_named(reply.name, reply.detail))
            elif kind is Moved and type(command) is Receive:
                self._follow(command, reply, on_reply, token)
            else:
                _tell(on_reply, token, reply)

    async def _call(self, shard: int, payload: bytes) -> list[AnyReply]:
        """Carry a batch to its router, again and again until it answers or the deadline passes."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._deadline_s
        reason = "the router did not answer"
        while (left_s := give_up_at - loop.time()) > 0:
            try:
                answer = await asyncio.wait_for(self._transport(shard, payload), left_s)
                if answer:
                    return decode_replies(answer)
                reason = "the router could not store it"
            except Unavailable as error:
                reason = str(error)
            except TimeoutError:
                break
            except RaydeskError:
                raise
            except Exception as error:
                _log.exception("call to router %d failed", shard)
                raise RaydeskError("internal error") from error
            await asyncio.sleep(_RETRY_S)
        raise Unavailable(f"{reason}; send it again")


def _size(command: AnyCommand) -> int:
    text = getattr(command, "text", None)
    if text is not None:
        return _ENVELOPE_BYTES + len(text)
    return _ENVELOPE_BYTES + sum(len(message) for message in getattr(command, "messages", ()))


def _settle(future: "asyncio.Future[AnyReply]", reply: AnyReply | RaydeskError) -> None:
    """Hand an outcome to whoever awaits it, unless they stopped waiting."""
    if future.done():
        return
    if isinstance(reply, RaydeskError):
        future.set_exception(reply)
    else:
        future.set_result(reply)


def _receipt_or_error(outcome: AnyReply | BaseException) -> Receipt | RaydeskError:
    if isinstance(outcome, Receipt | RaydeskError):
        return outcome
    if isinstance(outcome, asyncio.CancelledError):
        raise outcome
    return RaydeskError("a router answered something else")


def _tell(on_reply: OnReply, token: Any, reply: AnyReply | RaydeskError) -> None:
    """Answer one caller; what goes wrong there must not cost the others of the batch their answers."""
    try:
        on_reply(token, reply)
    except Exception:
        _log.exception("a caller failed on its answer")
