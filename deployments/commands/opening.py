"""The store of a data directory, opened for one command: the running one, or started for the moment."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from cluster.settings import Settings
from cluster.store.embedded import EmbeddedStore
from cluster.store.valkey import STORE_DOWN, connect, store_url
from deployments.commands.failure import CommandError
from deployments.commands.runfile import RunFile


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncGenerator[Redis]:
    """Yield a client of the store; an embedded one that we started is stopped again.

    Raises:
        CommandError: the store does not answer.
        StoreError: the embedded one cannot be started.
    """
    embedded = EmbeddedStore(settings.store.data_dir, appendfsync=settings.store.appendfsync)
    started = settings.store.embedded and await asyncio.to_thread(embedded.start)
    redis = connect(settings.store)
    try:
        try:
            await redis.ping()  # type: ignore[misc]
        except STORE_DOWN as error:
            raise CommandError(
                f"store.url: {store_url(settings.store)} does not answer: {error}\n"
                "Is it running, and the password right?"
            ) from error
        yield redis
    finally:
        with contextlib.suppress(*STORE_DOWN):
            await redis.aclose()
        # `raydesk up` may have come and adopted it meanwhile
        if started and RunFile(settings.store.data_dir).holder() is None:
            await asyncio.to_thread(embedded.stop)
        else:
            embedded.close()
