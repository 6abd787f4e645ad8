"""How the other processes reach routers: batched, in order, through their restarts.

**Natural batching**: two calls per shard are under way, up to four while full batches wait; what arrives
meanwhile gathers and goes as the next call. No timer, no latency at low load, hundreds of commands a call at high load.

**Order**: the batches of one sender for one shard carry a number, and a router takes number *n + 1* only
after *n*. When a batch fails, its sender waits for the other one under way, begins a new *generation*
of numbers and repeats what is unanswered from the oldest on; a router takes nothing of the old generation
any more. So commands cannot overtake each other, not even through a crash; and repeating is safe
because messages are taken once by their source id.

**Overload**: what waits for its call to begin is bounded by number, and by time: when messages have waited too long
for a while, though the router answers, contacts' new ones are refused until the queue is short again. A queue
that a restart left is worked off soon and refuses nobody.

A caller that stops waiting does not take its command back: it may still happen.
"""

import asyncio
import logging
import math
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from cluster.codec import decode_replies, encode_commands
from models.domain.commands import AnyCommand, AnyReply, Moved, Parted, Receipt, Receive, Refusal
from models.domain.errors import BadRequest, Overloaded, RaydeskError, Unavailable, error_named
from models.domain.ids import shard_of_slot, slot_of_contact
from models.timeline.shard import slot_of

log = logging.getLogger(__name__)

#: Carries one encoded batch to a shard's router, with its sender, generation and number, and returns
#: its encoded answers; empty bytes mean "not now, ask again". Raises ``Unavailable`` when the router
#: cannot be reached, and then the batch may have been taken or not.
Transport = Callable[[int, str, int, int, bytes], Awaitable[bytes]]
#: Called once per command with the token it was submitted with, and the answer or the error.
OnReply = Callable[[Any, AnyReply | RaydeskError], None]
#: A command, who is told of its outcome with which token, and the loop's time at which it is given up.
_Entry = tuple[AnyCommand, OnReply, Any, float]

#: A command's envelope besides its text, in bytes; measured on encoded batches.
_ENVELOPE_BYTES = 160
_RETRY_S = 0.05
#: Told to whom an overloaded system refuses.
TOO_MANY = "too many messages are waiting; try again"
#: One call is being answered while the next is being decided; more would only make the batches smaller,
_IN_FLIGHT = 2
#: unless full batches wait: then each call waits for its share of busy processors, not for the one before.
_IN_FLIGHT_FULL = 4
#: A batch counts as full from this share of its bytes on, taking a command for its envelope and a short text.
_SHORT_TEXT_BYTES = 100
_REMEMBERED_MOVES = 10_000
#: A lane is late when its batches have waited longer than they may for this many times as long.
_LATE_FOR = 2.0
#: What MessagePack raises for a value it has no form for, such as a number of more than 64 bits.
_UNWRITABLE = (OverflowError, TypeError, ValueError)


class _Returning:
    """Tells the caller of a message that was sent back to where its contact came from."""

    __slots__ = ("_on_reply",)

    def __init__(self, on_reply: OnReply) -> None:
        self._on_reply = on_reply

    def __call__(self, token: Any, reply: AnyReply | RaydeskError) -> None:
        self._on_reply(token, reply)


class _Flight:
    """A batch under way."""

    __slots__ = ("answer", "entries", "give_up_at", "payload")

    def __init__(self, entries: list[_Entry]) -> None:
        self.entries = entries
        self.payload = encode_commands([entry[0] for entry in entries])
        self.give_up_at = entries[0][3]
        self.answer: asyncio.Task[bytes | RaydeskError] | None = None


class _Lane:
    """The commands of one sender for one shard."""

    __slots__ = ("arrived", "busy", "flights", "generation", "late", "late_since", "number", "pending", "shard")

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.pending: deque[_Entry] = deque()
        self.flights: deque[_Flight] = deque()
        self.generation = 0
        self.number = 0
        self.busy = False
        #: since when each batch has waited too long before its call, None: the last one had not.
        self.late_since: float | None = None
        self.late = False
        self.arrived = asyncio.Event()

    def waited(self, wait_s: float, most_s: float, now: float) -> None:
        """Take in how long the oldest command of a batch waited before its call."""
        if wait_s <= most_s:
            self.late_since, self.late = None, False
        elif self.late_since is None:
            self.late_since = now
        else:
            self.late = now - self.late_since > _LATE_FOR * most_s

    def wake(self, _: object = None) -> None:
        """Let the lane look at what has arrived: an answer, or commands that may go beside it."""
        self.arrived.set()


class RouterClient:
    """Asks the routers of all shards.

    Args:
        transport: carries a batch to a router.
        shards: how many there are.
        batch_bytes: how much one call carries, about.
        queue_limit: commands that may wait for one shard; more raise `Overloaded`.
        deadline_s: how long a command waits and is repeated before it ends in `Unavailable`.
        queue_wait_s: how long messages may go on waiting for their call to begin.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        shards: int,
        batch_bytes: int,
        queue_limit: int,
        deadline_s: float,
        queue_wait_s: float = math.inf,
    ) -> None:
        self._transport = transport
        self._shards = shards
        self._batch_bytes = batch_bytes
        self._full_batch = max(1, batch_bytes // (_ENVELOPE_BYTES + _SHORT_TEXT_BYTES))
        self._queue_limit = queue_limit
        self._deadline_s = deadline_s
        self._queue_wait_s = queue_wait_s
        self._lanes = [_Lane(shard) for shard in range(shards)]
        self._sender = os.urandom(8).hex()
        self._moved: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.batches = 0
        self.batched = 0
        #: commands that were refused at once, as too many wait.
        self.refused = 0

    @property
    def waiting(self) -> int:
        """How many commands wait for their call to begin."""
        return sum(len(lane.pending) for lane in self._lanes)

    def late(self, shard: int) -> bool:
        """Tell whether contacts' messages for a shard are refused, since those before them wait too long."""
        lane = self._lanes[shard]
        return lane.late and bool(lane.pending)

    def shard_of(self, contact: str) -> int:
        """Return the shard of a contact.

        Raises:
            InvalidId: it is no contact's id.
        """
        return shard_of_slot(slot_of_contact(contact), self._shards)

    def submit(self, command: AnyCommand, on_reply: OnReply, token: Any = None) -> None:
        """Ask without waiting; ``on_reply(token, outcome)`` is called once, with the answer or the error.

        A contact's message follows *moved* answers by itself, and later ones go straight to the new place.

        Raises:
            Overloaded: too many commands wait for this shard, or messages too long; nothing was taken.
            Unavailable: this client is being closed; nothing was taken.
            InvalidId: the command names no slot.
        """
        if self._closing:
            raise Unavailable("this process is ending; send it again to another one")
        if type(command) is Receive:
            if self._moved:
                command = self._resolved(command)
            lane = self._lanes[shard_of_slot(slot_of_contact(command.contact), self._shards)]
            if lane.late and lane.pending:
                self.refused += 1
                raise Overloaded(TOO_MANY)
        else:
            lane = self._lanes[shard_of_slot(slot_of(command), self._shards)]
        if len(lane.pending) >= self._queue_limit:
            self.refused += 1
            raise Overloaded(TOO_MANY)
        give_up_at = asyncio.get_running_loop().time() + self._deadline_s
        lane.pending.append((command, on_reply, token, give_up_at))
        if not lane.busy:
            lane.busy = True
            self._start(self._drain(lane))
        elif len(lane.flights) < _IN_FLIGHT or len(lane.pending) == self._full_batch:
            lane.arrived.set()

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
        """Take nothing more, and wait until all that was taken is answered."""
        self._closing = True
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

    def _return(self, message: Receive, parted: Parted, on_reply: OnReply, token: Any) -> None:
        """Ask where a contact is again, and forget where it was; once, so that this ends whatever is answered."""
        self._moved.pop(parted.contact, None)
        if isinstance(on_reply, _Returning):
            _tell(on_reply, token, Unavailable("this contact is being joined or parted; send it again"))
            return
        try:
            self.submit(msgspec.structs.replace(message, contact=parted.contact), _Returning(on_reply), token)
        except RaydeskError as error:
            _tell(on_reply, token, error)

    async def _drain(self, lane: _Lane) -> None:
        """Keep calls under way until nothing is left to ask, answering in order."""
        flights = lane.flights
        try:
            while lane.pending or flights:
                while self._may_launch(lane):
                    self._launch_next(lane)
                if flights and await self._first_answered(lane):
                    answer = flights[0].answer
                    assert answer is not None
                    outcome = answer.result()
                    if outcome and not isinstance(outcome, Unavailable):
                        self._tell_all(flights.popleft().entries, outcome)
                    else:
                        await self._repeat(lane)
        finally:
            lane.busy = False

    def _may_launch(self, lane: _Lane) -> bool:
        under_way = len(lane.flights)
        if under_way < _IN_FLIGHT:
            return bool(lane.pending)
        return under_way < _IN_FLIGHT_FULL and len(lane.pending) >= self._full_batch

    async def _first_answered(self, lane: _Lane) -> bool:
        """Wait for the oldest call, or for commands that can go beside it; True if it has ended."""
        oldest = lane.flights[0].answer
        assert oldest is not None
        if oldest.done():
            return True
        lane.arrived.clear()
        await lane.arrived.wait()
        return oldest.done()

    def _launch_next(self, lane: _Lane) -> None:
        """Send what waits; a command that cannot be written is answered so, and costs no other its way."""
        entries = self._next_batch(lane)
        now = asyncio.get_running_loop().time()
        lane.waited(now - (entries[0][3] - self._deadline_s), self._queue_wait_s, now)
        try:
            flight = _Flight(entries)
        except _UNWRITABLE:
            log.exception("a command cannot be written")
            entries = [entry for entry in entries if _can_be_written(entry)]
            if not entries:
                return
            flight = _Flight(entries)
        self._launch(lane, flight)

    def _launch(self, lane: _Lane, flight: _Flight) -> None:
        """Send a batch with the lane's next number."""
        number, lane.number = lane.number, lane.number + 1
        lane.flights.append(flight)
        self.batches += 1
        self.batched += len(flight.entries)
        flight.answer = asyncio.ensure_future(self._call(lane.shard, lane.generation, number, flight))
        flight.answer.add_done_callback(lane.wake)

    async def _call(self, shard: int, generation: int, number: int, flight: _Flight) -> bytes | RaydeskError:
        """Carry one batch once; what goes wrong is returned, since whoever waits must first wait for the others."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(max(flight.give_up_at, loop.time())):
                return await self._transport(shard, self._sender, generation, number, flight.payload)
        except TimeoutError:
            return Unavailable("the router did not answer; send it again")
        except RaydeskError as error:
            return error
        except Exception:
            log.exception("call to router %d failed", shard)
            return RaydeskError("internal error")

    async def _repeat(self, lane: _Lane) -> None:
        """Begin a new generation with all that is unanswered, oldest first; give up what is overdue."""
        flights = [*lane.flights]
        lane.flights.clear()
        await asyncio.wait([flight.answer for flight in flights if flight.answer is not None])
        await asyncio.sleep(_RETRY_S)
        lane.generation += 1
        lane.number = 0
        now = asyncio.get_running_loop().time()
        for flight in flights:
            if flight.give_up_at <= now:
                assert flight.answer is not None
                outcome = flight.answer.result()
                reason = outcome if isinstance(outcome, RaydeskError) else Unavailable("not stored; send it again")
                self._tell_all(flight.entries, reason)
            else:
                self._launch(lane, flight)
        # no call is needed to know that these are overdue as well
        while lane.pending and lane.pending[0][3] <= now:
            _, on_reply, token, _ = lane.pending.popleft()
            _tell(on_reply, token, Unavailable("the router does not answer; send it again"))

    def _next_batch(self, lane: _Lane) -> list[_Entry]:
        batch: list[_Entry] = []
        pending = lane.pending
        room = self._batch_bytes
        while pending and room > 0:
            entry = pending.popleft()
            batch.append(entry)
            room -= _size(entry[0])
        return batch

    def _tell_all(self, entries: list[_Entry], outcome: bytes | RaydeskError) -> None:
        """Answer every caller of a batch."""
        try:
            if isinstance(outcome, RaydeskError):
                raise outcome
            replies = decode_replies(outcome)
            if len(replies) != len(entries):
                raise RaydeskError("a router answered another batch")
        except RaydeskError as error:
            for _, on_reply, token, _ in entries:
                _tell(on_reply, token, error)
            return
        for (command, on_reply, token, _), reply in zip(entries, replies, strict=True):
            if isinstance(reply, Refusal):
                _tell(on_reply, token, error_named(reply.name, reply.detail))
            elif isinstance(reply, Moved | Parted) and isinstance(command, Receive):
                follow = self._follow if isinstance(reply, Moved) else self._return
                follow(command, reply, on_reply, token)  # type: ignore[arg-type]
            else:
                _tell(on_reply, token, reply)


def _can_be_written(entry: _Entry) -> bool:
    """Tell whether a command can travel, and its caller if it cannot."""
    try:
        encode_commands([entry[0]])
    except _UNWRITABLE:
        _tell(entry[1], entry[2], BadRequest("a parameter is out of its range"))
        return False
    return True


def _size(command: AnyCommand) -> int:
    text = getattr(command, "text", None)
    if text is not None:
        # Chinese takes three bytes a character, and little takes more
        size = _ENVELOPE_BYTES + (len(text) if text.isascii() else 3 * len(text))
        for attached in getattr(command, "attachments", ()):
            size += _ENVELOPE_BYTES + len(attached.url) + len(attached.title) + len(attached.media_id)
            size += len(attached.file)
        return size
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
        log.exception("a caller failed on its answer")
