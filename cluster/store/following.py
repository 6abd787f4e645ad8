"""What admins said last, in a process' memory: at most some seconds old, and no cost to whom it serves.

Once a second the revision of each account is read, in one command for all; only where it has grown the sections
that are followed are read, at one instant. A store that is down leaves what was known. Whoever wants to hear of a
change is called in the same step in which it becomes visible here.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.administration import key_of
from cluster.store.valkey import STORE_DOWN
from models.administration.hours import Hours
from models.administration.inboxes import WebInbox
from models.administration.sections import Reply

log = logging.getLogger(__name__)
POLL_S = 1.0
_inbox = msgspec.json.Decoder(WebInbox)
_hours = msgspec.json.Decoder(Hours)
_reply = msgspec.json.Decoder(Reply)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the admins of one account said.

    Args:
        revision: grows with each change.
        inboxes, hours, replies: by name.
    """

    revision: int = 0
    inboxes: dict[str, WebInbox] = msgspec.field(default_factory=dict[str, WebInbox])
    hours: dict[str, Hours] = msgspec.field(default_factory=dict[str, Hours])
    replies: dict[str, Reply] = msgspec.field(default_factory=dict[str, Reply])


_NOTHING = Said()


class Following:
    """What admins said last.

    Args:
        redis: a client that answers bytes.
        accounts: whose; others have nobody who says anything.
        changed: called with an account after what is known of it changed.
        poll_s: seconds between two looks.
    """

    def __init__(
        self,
        redis: Redis,
        accounts: Iterable[str],
        *,
        changed: Callable[[str], None] | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self._redis = redis
        self._accounts = tuple(accounts)
        self._changed = changed
        self._poll_s = poll_s
        self._said: dict[str, Said] = {}

    def said(self, account: str) -> Said:
        """Return all that was said in an account."""
        return self._said.get(account, _NOTHING)

    def inbox(self, account: str, inbox: str) -> WebInbox | None:
        """Return what was said of a web inbox, None if nothing."""
        said = self._said.get(account)
        return None if said is None else said.inboxes.get(inbox)

    def hours(self, account: str, inbox: str) -> Hours | None:
        """Return the hours that count for an inbox, None for one that is always open."""
        found = self.inbox(account, inbox)
        return None if found is None else self.said(account).hours.get(found.hours)

    async def look(self) -> None:
        """Read what changed since the last look; raises what the store's client raises."""
        if not self._accounts:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for account in self._accounts:
                pipe.get(keys.administration_revision(account))
            revisions = cast("list[bytes | None]", await pipe.execute())
        for account, revision in zip(self._accounts, revisions, strict=True):
            # another one, not only a higher one: a store may be restored from a backup
            if int(revision or 0) != self.said(account).revision:
                self._said[account] = await self._read(account)
                if self._changed is not None:
                    self._changed(account)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except STORE_DOWN as error:
                log.debug("what admins say waits for the store: %s", error)
            except Exception:
                log.exception("could not read what admins say")
            await asyncio.sleep(self._poll_s)

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None]:
        """Look once, and on and on meanwhile."""
        with contextlib.suppress(*STORE_DOWN):
            await self.look()
        looking = asyncio.ensure_future(self.run())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _read(self, account: str) -> Said:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.administration_revision(account))
            for section in ("inboxes", "hours", "replies"):
                pipe.hgetall(key_of(account, section))
            revision, inboxes, hours, replies = cast(
                "tuple[bytes | None, dict[bytes, bytes], dict[bytes, bytes], dict[bytes, bytes]]", await pipe.execute()
            )
        return Said(
            revision=int(revision or 0),
            inboxes={name.decode(): _inbox.decode(data) for name, data in inboxes.items()},
            hours={name.decode(): _hours.decode(data) for name, data in hours.items()},
            replies={name.decode(): _reply.decode(data) for name, data in replies.items()},
        )
