"""Removing files that nobody sent, now and then, for as long as the process lives.

Each replica of the ingress does so; the store's side is safe when several do it at once.
"""

import asyncio
import logging
import random

from redis.exceptions import RedisError

from cluster.store.directory import Directory
from cluster.store.files import FileStore

log = logging.getLogger(__name__)
_PAUSE_S = 600.0


async def keep_sweeping(files: FileStore, directory: Directory, pause_s: float = _PAUSE_S) -> None:
    """Sweep all accounts again and again, until cancelled."""
    while True:
        # replicas that start together do not sweep together
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
        try:
            await sweep_all(files, directory)
        except (RedisError, OSError):
            log.warning("files that nobody sent could not be removed; they will be", exc_info=True)


async def sweep_all(files: FileStore, directory: Directory) -> int:
    """Sweep once; returns how many files and parts were removed."""
    swept = await files.sweep_parts()
    for account in await directory.accounts():
        swept += await files.sweep(account)
    if swept:
        log.info("%d files that nobody sent were removed", swept)
    return swept
