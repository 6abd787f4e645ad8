"""The outbox: sends what agents answered on vendors' channels, and tells the routers what became of it.

One actor named ``outbox`` serves all accounts. Its promises:

* **Nothing is forgotten.** An answer stands in its account's stream until the vendor took it or
  refused it for good, or until the attempts are used up; an outbox that is killed takes up at its next
  start what it had read. What became of an answer reaches its router, however often either dies.
* **Order** within a conversation; other conversations go on meanwhile.
* **Once, as far as the vendor lets us.** A vendor with an idempotency key gets the message id and sees
  each answer once. One without (WeChat) may get an answer twice in two cases: this process dies between
  the vendor's 200 and the write to the store that follows it at once, or the vendor took a call whose
  answer got lost on the way. Both could only be traded for losing answers: a mark "about to send" would
  tell that there is a doubt, and no vendor tells how it ends. So there is no such mark. What is marked is
  every part that a vendor has taken, so that a long answer is never sent again from its beginning.
* **One sender.** A new outbox takes a higher epoch; an older one that still lives somewhere sees that
  before its next call and sends no more. Only what it has under way at that moment can be sent twice.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cluster.actors import OUTBOX, router_client
from cluster.linking import Asks
from cluster.settings import Settings
from cluster.store.outbox import OutboxStore
from cluster.store.valkey import STORE_DOWN, connect
from cluster.telemetry import Beacon
from deployments.channels.catalogue import make_channels
from deployments.channels.channel import Channel
from deployments.sender import RECONNECT, RETRY, AccountSender, Shared, Superseded
from models.channels.backoff import Backoff

log = logging.getLogger("raydesk.outbox")

#: Calls to vendors under way at once; each waits for seconds at worst.
CALLS = 32
#: A call to a vendor takes at most 10 s; what is not written down by then is taken up at the next start.
END_WITHIN_S = 15.0
#: The exit status of an outbox that was superseded; Ray starts it again if it is still the one with the name.
_SUPERSEDED = 70


class Outbox:
    """Sends for all accounts from `start` to `aclose`.

    Args:
        store: through a client that does not retry by itself.
        router: hears what became of the answers.
        channels: by name.
        accounts: tenants.
        uniform: draws from [0, 1), for jitter.
        retry: how often and when an answer is tried.
    """

    def __init__(
        self,
        *,
        store: OutboxStore,
        router: Asks,
        channels: Mapping[str, Channel],
        accounts: Iterable[str],
        uniform: Callable[[], float] = random.random,
        retry: Backoff = RETRY,
    ) -> None:
        self._store = store
        self._router = router
        self._channels = channels
        self._accounts = sorted(set(accounts))
        self._uniform = uniform
        self._retry = retry
        #: set when a newer outbox has taken over
        self.superseded = asyncio.Event()
        self._senders: list[AccountSender] = []
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self.epoch = 0
        self.state = "starting"

    def start(self) -> None:
        """Begin to send; needs a running loop, and no store yet."""
        self._running = self._running or asyncio.create_task(self._run(), name=OUTBOX)

    async def aclose(self) -> None:
        """Let the calls under way end, start no others, close the channels; doing it twice is safe."""
        self._stop.set()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=END_WITHIN_S)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        for channel in self._channels.values():
            await channel.aclose()

    def describe(self) -> dict[str, Any]:
        """Tell how it goes.

        ``state`` is ``starting`` until the store was reached, then ``running``, ``superseded``, ``broken``
        (about to begin anew) or ``stopped``; ``queued`` counts answers in memory, ``owed`` reports that no
        router has confirmed; ``sent``, ``failed`` and ``retried`` count since the start.
        """
        senders = self._senders
        return {
            "state": self.state,
            "epoch": self.epoch,
            "accounts": len(self._accounts),
            "queued": sum(sender.queued for sender in senders),
            "owed": sum(sender.owed for sender in senders),
            "sent": sum(sender.sent for sender in senders),
            "failed": sum(sender.failed for sender in senders),
            "retried": sum(sender.retried for sender in senders),
        }

    async def _run(self) -> None:
        failures = 0
        while not self._stop.is_set() and self.state != "superseded":
            try:
                await self._send()
            except* Superseded:
                self.state = "superseded"
                log.warning("a newer outbox runs; this one sends no more")
            except* STORE_DOWN as error:
                self.state = "starting"
                log.warning("the store does not answer: %s", error.exceptions[0])
            except* Exception:
                # Nothing is lost by beginning anew: what was under way is still in the stream.
                self.state = "broken"
                log.exception("the outbox broke and begins anew")
            failures += 1
            await self._pause(RECONNECT.wait_s(failures, self._uniform))
        if self.state == "superseded":
            self.superseded.set()
        else:
            self.state = "stopped"

    async def _send(self) -> None:
        self.epoch = await self._store.take_epoch()
        self.state = "running"
        shared = Shared(
            store=self._store,
            router=self._router,
            channels=self._channels,
            calls=asyncio.Semaphore(CALLS),
            epoch=self.epoch,
            uniform=self._uniform,
            stop=self._stop,
            retry=self._retry,
        )
        self._senders = [AccountSender(account, shared) for account in self._accounts]
        async with asyncio.TaskGroup() as tasks:
            for sender in self._senders:
                tasks.create_task(sender.run())

    async def _pause(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._stop.wait()
        except TimeoutError:
            return


class OutboxActor:
    """The outbox as a Ray actor named ``outbox``.

    Args:
        settings: of the whole system.
        superseded: ends this process when a newer outbox has taken over.
    """

    def __init__(self, settings: Settings, *, superseded: Callable[[], None] = lambda: os._exit(_SUPERSEDED)) -> None:
        self._redis = connect(settings.store)
        router = router_client(settings)
        self._outbox = Outbox(
            store=OutboxStore(self._redis),
            router=router,
            channels=make_channels(settings, time.time),
            accounts=settings.accounts,
        )
        self._beacon = Beacon(self._redis, "outbox", OUTBOX, self._outbox.describe)
        # Ray builds the actor inside its running event loop
        self._outbox.start()
        self._telling = asyncio.ensure_future(self._beacon.run())
        self._watching = asyncio.ensure_future(self._end_when_superseded(superseded))

    async def _end_when_superseded(self, end: Callable[[], None]) -> None:
        await self._outbox.superseded.wait()
        end()

    async def ready(self) -> int:
        """Answer with the epoch once the outbox sends; 0 while it has not reached the store."""
        return self._outbox.epoch

    async def stats(self) -> dict[str, Any]:
        """Tell how it goes; see `Outbox.describe`."""
        return self._outbox.describe()

    async def drain(self) -> None:
        """Let the calls under way end, and send no more."""
        await self._outbox.aclose()
        self._telling.cancel()
        self._watching.cancel()
        await self._beacon.forget()
