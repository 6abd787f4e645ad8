"""One account's answers on their way to the vendors: in order per conversation, retried, reported.

* One answer of a conversation is under way at a time, in the order of the stream; a conversation that
  waits for its next attempt holds up no other.
* An answer leaves the stream when the vendor took it, refused it for good, or failed too often; what
  became of it is owed to its router until that has confirmed it, over any restart.
* Bounded: at most ``LANES_LIMIT`` answers are held in memory; the others wait in the stream.
* A store that is away stops the sending, as nothing could be remembered; a vendor's verdict that could
  not be written down yet is kept and written when the store is back. So is one that is being restarted.
* ``stop()`` lets the calls under way end, and starts no others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeVar

import msgspec

from cluster.linking import Asks
from cluster.store.outbox import Entry, GroupLost, OutboxStore, Progress
from cluster.store.valkey import STORE_DOWN
from deployments.channels.channel import Channel, Failed, Later, Outcome, Sent
from models.channels.backoff import Backoff
from models.channels.lanes import Lanes
from models.domain.commands import Delivered
from models.domain.errors import BadRequest, Conflict, Forbidden, NotFound, RaydeskError
from models.domain.outgoing import Outgoing

_Result = TypeVar("_Result")

log = logging.getLogger("raydesk.outbox")

LANES_LIMIT = 1_000
PAGE = 100
BLOCK_MS = 1_000
#: From 1 s to a minute between attempts, for about a quarter of an hour: then the agent must know.
RETRY = Backoff(first_s=1.0, most_s=60.0, attempts=20)
#: For the store and the routers, which come back within seconds and must be found again at once.
RECONNECT = Backoff(first_s=0.05, most_s=1.0, attempts=0)
#: A router's word that there is nothing to tell: the conversation is gone, or went on elsewhere.
GONE = (NotFound, Conflict, BadRequest, Forbidden)


class Superseded(Exception):
    """A newer outbox runs; this one must send nothing more."""


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What the senders of all accounts have in common.

    Args:
        channels: by name.
        calls: bounds the calls to vendors under way.
        epoch: of this outbox.
        uniform: draws from [0, 1), for jitter.
        stop: set when the outbox ends.
    """

    store: OutboxStore
    router: Asks
    channels: Mapping[str, Channel]
    calls: asyncio.Semaphore
    epoch: int
    uniform: Callable[[], float]
    stop: asyncio.Event
    retry: Backoff = RETRY


class AccountSender:
    """Reads one account's stream and walks its conversations."""

    def __init__(self, account: str, shared: Shared) -> None:
        self._account = account
        self._shared = shared
        self._store = shared.store
        self._lanes: Lanes[Entry] = Lanes(LANES_LIMIT)
        self._known: set[bytes] = set()
        self._progress: dict[str, Progress] = {}
        self._owed: dict[str, Delivered] = {}
        self._room = asyncio.Event()
        self._owing = asyncio.Event()
        self.sent = self.failed = self.retried = 0

    @property
    def queued(self) -> int:
        """How many answers are held in memory."""
        return len(self._lanes)

    @property
    def owed(self) -> int:
        """How many reports no router has confirmed."""
        return len(self._owed)

    async def run(self) -> None:
        """Send until the outbox stops.

        Raises:
            Superseded: in a group, as soon as a newer outbox is seen.
        """
        async with asyncio.TaskGroup() as walkers:
            reporter = walkers.create_task(self._report())
            await self._read(walkers)
            self._owing.set()
            await reporter

    async def _read(self, walkers: asyncio.TaskGroup) -> None:
        fresh = False  # whether all that this epoch has read is known here
        failures = 0
        while not self._shared.stop.is_set():
            if self._lanes.full:
                self._room.clear()
                await self._either(self._room)
                continue
            try:
                entries = await (self._fresh() if fresh else self._resume())
            except (*STORE_DOWN, GroupLost) as error:
                fresh = False
                failures += 1
                log.warning("account %s: the stream cannot be read: %s", self._account, type(error).__name__)
                await self._pause(RECONNECT.wait_s(failures, self._shared.uniform))
                continue
            fresh, failures = True, 0
            for entry in entries:
                await self._take(entry, walkers)

    async def _fresh(self) -> list[Entry]:
        return await self._store.fresh(self._account, self._shared.epoch, PAGE, BLOCK_MS)

    async def _resume(self) -> list[Entry]:
        """Make sure of stream and group; return what was read in this epoch and may not be known here."""
        await self._check_epoch()
        await self._store.prepare(self._account, self._shared.epoch)
        entries = await self._store.pending(self._account, self._shared.epoch)
        self._progress = await self._store.progress(self._account)
        for report in await self._store.reports(self._account):
            self._owe(report)
        return entries

    async def _take(self, entry: Entry, walkers: asyncio.TaskGroup) -> None:
        if entry.id in self._known:
            return
        if entry.outgoing is None:
            log.error("account %s: entry %r of the outbox cannot be read and is set aside", self._account, entry.id)
            await self._stored(lambda: self._store.set_aside(self._account, self._shared.epoch, entry.id))
            return
        self._known.add(entry.id)
        lane = entry.outgoing.conversation
        if self._lanes.put(lane, entry):
            walkers.create_task(self._walk(lane))

    async def _walk(self, lane: str) -> None:
        """Send the answers of one conversation, one after the other, until there are none."""
        while (entry := self._lanes.head(lane)) is not None and entry.outgoing is not None:
            report = await self._deliver(entry.outgoing)
            if report is None:
                return  # stopping; the entry stays pending
            await self._finish(entry, report)
            self._progress.pop(report.message, None)
            self._lanes.leave(lane)
            self._known.discard(entry.id)
            self._room.set()

    async def _deliver(self, outgoing: Outgoing) -> Delivered | None:
        """Send all parts of an answer; return what became of it, None when the outbox stops before that."""
        channel = self._shared.channels.get(outgoing.channel)
        if channel is None:
            return _failed(outgoing, f"no channel {outgoing.channel!r} sends")
        parts = channel.parts(outgoing)
        progress = self._progress.get(outgoing.message, Progress())
        while progress.parts < len(parts):
            if self._shared.stop.is_set():
                return None
            number = progress.parts
            key = outgoing.message if len(parts) == 1 else f"{outgoing.message}/{number + 1}"
            outcome = await self._send(channel, outgoing, parts[number], key)
            if isinstance(outcome, Failed):
                return _failed(outgoing, outcome.detail, number, len(parts))
            if isinstance(outcome, Sent):
                progress = Progress(parts=number + 1)
                if progress.parts < len(parts):
                    await self._note(outgoing, progress)
                continue
            progress = Progress(parts=number, attempts=progress.attempts + 1)
            if self._shared.retry.spent(progress.attempts):
                detail = f"given up after {progress.attempts} attempts: {outcome.detail}"
                return _failed(outgoing, detail, number, len(parts))
            self.retried += 1
            await self._note(outgoing, progress)
            await self._pause(self._shared.retry.wait_s(progress.attempts, self._shared.uniform, outcome.after_s))
        return _report_of(outgoing, "sent")

    async def _send(self, channel: Channel, outgoing: Outgoing, text: str, key: str) -> Outcome:
        async with self._shared.calls:
            await self._stored(self._check_epoch)
            try:
                return await channel.send(outgoing, text, key)
            except Exception as error:
                # A fault of one channel must not stop the others.
                log.exception("channel %s broke its promise while sending %s", channel.name, outgoing.message)
                return Later(detail=f"internal error: {type(error).__name__}")

    async def _check_epoch(self) -> None:
        if not await self._store.is_current(self._shared.epoch):
            raise Superseded

    async def _note(self, outgoing: Outgoing, progress: Progress) -> None:
        await self._stored(lambda: self._store.note(self._account, outgoing.message, progress))

    async def _finish(self, entry: Entry, report: Delivered) -> None:
        await self._stored(lambda: self._store.finish(self._account, self._shared.epoch, entry.id, report))
        if report.state == "sent":
            self.sent += 1
        else:
            self.failed += 1
            log.warning("account %s: %s was not sent: %s", self._account, report.message, report.detail)
        self._owe(report)

    def _owe(self, report: Delivered) -> None:
        self._owed.setdefault(report.message, report)
        self._owing.set()

    async def _report(self) -> None:
        """Tell the routers what became of the answers, until they have confirmed it."""
        failures = 0
        while not self._shared.stop.is_set():
            await self._either(self._owing)
            self._owing.clear()
            told = [await self._tell(report) for report in list(self._owed.values())]
            if all(told):
                failures = 0
                continue
            failures += 1
            self._owing.set()
            await self._pause(RECONNECT.wait_s(failures, self._shared.uniform))

    async def _tell(self, report: Delivered) -> bool:
        try:
            await self._shared.router.ask(report)
        except GONE as error:  # nobody is left to be told
            log.info("account %s: report of %s refused: %s", self._account, report.message, error)
        except RaydeskError:
            return False
        await self._stored(lambda: self._store.reported(self._account, report.message))
        self._owed.pop(report.message, None)
        return True

    async def _stored(self, command: Callable[[], Awaitable[_Result]]) -> _Result:
        """Repeat a command of the store until the store has answered; each is safe to repeat."""
        failures = 0
        while True:
            try:
                return await command()
            except STORE_DOWN:
                failures += 1
                await asyncio.sleep(RECONNECT.wait_s(failures, self._shared.uniform))

    async def _pause(self, wait_s: float) -> None:
        """Wait, but no longer than until the outbox stops."""
        try:
            async with asyncio.timeout(wait_s):
                await self._shared.stop.wait()
        except TimeoutError:
            return

    async def _either(self, event: asyncio.Event) -> None:
        """Wait for ``event`` or for the end."""
        waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._shared.stop.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()


def _failed(outgoing: Outgoing, detail: str, parts: int = 0, of_parts: int = 1) -> Delivered:
    """Make the report of an answer that was not sent, or of which only the first ``parts`` were."""
    return _report_of(outgoing, "failed", f"{detail} ({parts} of {of_parts} parts were sent)" if parts else detail)


def _report_of(outgoing: Outgoing, state: Literal["sent", "failed"], detail: str = "") -> Delivered:
    return Delivered(
        account=outgoing.account,
        conversation=outgoing.conversation,
        message=outgoing.message,
        state=state,
        detail=detail,
    )
