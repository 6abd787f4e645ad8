"""The bot's time, as the store knows it: what is due is given to the router, whoever was to think of it before.

A router may die between a message and the bot's answer to it, or lose what the model said; the store's index
names each conversation that the bot holds, and until when. Each second a router reads what is due of its own
slots, in every account, and takes it through its turns: what the bot owes an answer to is handed over to
humans, and what the contact did not go on with is resolved. At its start a router looks at once.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from cluster.store.directory import Directory
from cluster.store.timeline import TimelineStore
from cluster.store.valkey import STORE_DOWN
from models.domain.commands import AnyCommand, BotDue

log = logging.getLogger(__name__)
#: A conversation that only the sweep thinks of waits this much longer than the bot's patience.
SWEEP_EVERY_S = 1.0
#: What one turn takes of it, beside the messages that it must not delay.
_MOST = 200
#: So a router that comes back to many goes through 4,000 in its first sweep.
_ROUNDS = 20


class BotSweep:
    """The sweep of one router.

    Args:
        store: holds the index.
        directory: knows the accounts, besides those of the settings.
        accounts: of the settings.
        slots: the router's own.
        give: has the router take commands of its own; returns when they are stored, or the router ends.
    """

    def __init__(
        self,
        store: TimelineStore,
        directory: Directory,
        accounts: Iterable[str],
        slots: range,
        give: Callable[[Sequence[AnyCommand]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._directory = directory
        self._accounts = frozenset(accounts)
        self._slots = slots
        self._give = give

    async def run(self) -> None:
        """Sweep until cancelled; nothing else ends it."""
        while True:
            try:
                await self.sweep()
            except STORE_DOWN as error:
                log.debug("could not look at what the bot is due for: %s", error)
            except Exception:
                log.exception("could not look at what the bot is due for")
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> None:
        """Give the router all that is due, some at a time."""
        for account in sorted(self._accounts.union(await self._directory.accounts())):
            before: list[str] = []
            for _ in range(_ROUNDS):
                due = await self._store.bot_due(account, self._slots, time.time_ns() // 1_000_000, _MOST)
                # what the router could not decide must not keep it busy
                if not due or due == before:
                    break
                before = due
                await self._give([BotDue(account=account, conversation=each) for each in due])
