"""Files that people send: their bytes in a folder, what is known of them in the store.

Why so is told in docs/adr/0013-files-in-a-folder.md.

* **Durable.** What `FileStore.take` returned is on the disk, with its name, and its record is in the store. Whatever
  dies before leaves bytes or a record that `FileStore.sweep` and `FileStore.sweep_parts` remove.
* **Bounded.** A file is refused at the byte that is too many, and before the disk is so full that the embedded store
  on it would be in danger.
* **Not for ever.** A file that no message brought is removed `UNSENT_S` after it came in. The proof that lets a message
  bring it ends `PROOF_S` after that time, an hour earlier, so no message brings a file that is being removed.
* Cancelling an upload leaves nothing behind but at worst a part that is swept.
"""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from redis.asyncio import Redis

from cluster.settings import Settings
from cluster.store import keys
from models.domain.errors import BadRequest, TooLarge, Unavailable
from models.domain.files import HEAD_BYTES, FileRecord, file_id, is_file_id, media_type_of

UNSENT_S = 24 * 3_600
PROOF_S = 23 * 3_600
_RECORD = b"r"
#: Written at once: a call into a thread for each 64 KB that HTTP brings would cost more than the writing.
_WRITE_BYTES = 262_144
_SWEPT_AT_ONCE = 500
#: Uploads that stood for so long are nobody's: an upload is given up long before.
_PART_S = 3_600
#: No account can have this name.
_INCOMING = ".incoming"
_record = msgspec.json.Decoder(FileRecord)


class FoundFile(msgspec.Struct, frozen=True):
    """A file, and who may read it besides the agents of its account and its owner.

    Args:
        record: what is known of it.
        contacts: to whom messages brought it.
        path: where its bytes are.
    """

    record: FileRecord
    contacts: tuple[str, ...]
    path: Path


class FileStore:
    """The files of all accounts.

    Args:
        redis: a client that answers bytes.
        folder: on this machine, or one that every node of the system has at this path.
        max_bytes: of one file.
        keep_free_bytes: what must stay free on the disk.
        now: the Unix time in seconds.
    """

    def __init__(
        self,
        redis: Redis,
        folder: Path,
        *,
        max_bytes: int,
        keep_free_bytes: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._folder = folder
        self.max_bytes = max_bytes
        self._keep_free_bytes = keep_free_bytes
        self._now = now

    async def take(self, account: str, owner: str, name: str, chunks: AsyncIterable[bytes]) -> FileRecord:
        """Keep a file.

        Args:
            account, owner: whose it is.
            name: cleaned.
            chunks: its bytes, as they come; what they raise ends the upload.

        Raises:
            BadRequest: there is nothing in it.
            TooLarge: it is over ``max_bytes``.
            Unavailable: the disk is full, or does not work.
        """
        kept = file_id(os.urandom(20))
        part = self._folder / _INCOMING / kept
        try:
            file = await asyncio.to_thread(self._begin, part)
            try:
                head, size = await self._write(file, chunks)
                await asyncio.to_thread(_settle, file)
            finally:
                file.close()
            record = FileRecord(
                id=kept,
                owner=owner,
                name=name,
                media_type=media_type_of(head),
                bytes=size,
                at_ms=int(self._now() * 1000),
            )
            # the record first: bytes that have their name but no record would be found by nobody
            await self._note(account, record)
            await asyncio.to_thread(_move, part, self._path(account, kept), self._folder)
        except OSError as error:
            raise Unavailable(f"the file could not be kept: {error.strerror or 'the disk does not work'}") from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return record

    async def find(self, account: str, name: str) -> FoundFile | None:
        """Return a file by its id, None if this account has none, or no longer."""
        if not is_file_id(name):
            return None
        found = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(keys.file(account, name)))
        data = found.pop(_RECORD, None)
        if data is None:
            return None
        return FoundFile(_record.decode(data), tuple(each.decode() for each in found), self._path(account, name))

    async def sweep(self, account: str) -> int:
        """Remove what no message brought within `UNSENT_S`; returns how many. Any number may sweep at once."""
        before_ms = int((self._now() - UNSENT_S) * 1000)
        unsent = keys.files_unsent(account)
        swept = 0
        while True:
            due = await cast(
                "Awaitable[list[bytes]]",
                self._redis.zrangebyscore(unsent, "-inf", before_ms, start=0, num=_SWEPT_AT_ONCE),
            )
            if not due:
                return swept
            names = [name.decode() for name in due]
            await asyncio.to_thread(self._remove, [self._path(account, name) for name in names])
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(*(keys.file(account, name) for name in names))
                pipe.zrem(unsent, *names)
                await pipe.execute()
            swept += len(names)

    async def sweep_parts(self) -> int:
        """Remove what is left of uploads whose process died; returns how many."""
        return await asyncio.to_thread(self._remove_parts)

    # -- the disk

    def _path(self, account: str, name: str) -> Path:
        # a folder of a hundred thousand files is slow to list and to back up
        return self._folder / account / name[1:3] / name

    def _begin(self, part: Path) -> BinaryIO:
        part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(part.parent).free < self._keep_free_bytes + self.max_bytes:
            raise Unavailable("there is no room for files at the moment", 60.0)
        return part.open("xb")

    async def _write(self, file: BinaryIO, chunks: AsyncIterable[bytes]) -> tuple[bytes, int]:
        """Write all; returns the first bytes and the length."""
        head, size = b"", 0
        waiting = bytearray()
        async for chunk in chunks:
            size += len(chunk)
            if size > self.max_bytes:
                raise TooLarge(f"a file has at most {self.max_bytes} bytes")
            if len(head) < HEAD_BYTES:
                head += chunk[: HEAD_BYTES - len(head)]
            waiting += chunk
            if len(waiting) >= _WRITE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        if not size:
            raise BadRequest("there is nothing in this file")
        if waiting:
            await asyncio.to_thread(file.write, bytes(waiting))
        return head, size

    async def _note(self, account: str, record: FileRecord) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.file(account, record.id), _RECORD.decode(), cast("str", msgspec.json.encode(record)))
            pipe.zadd(keys.files_unsent(account), {record.id: record.at_ms})
            await pipe.execute()

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    def _remove_parts(self) -> int:
        removed = 0
        before_s = self._now() - _PART_S
        with contextlib.suppress(FileNotFoundError):
            for part in (self._folder / _INCOMING).iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if part.stat().st_mtime < before_s:
                        part.unlink()
                        removed += 1
        return removed


def make_file_store(settings: Settings, redis: Redis) -> FileStore | None:
    """Make what keeps the files of a system; None where it takes none."""
    folder = settings.files_folder
    if folder is None:
        return None
    return FileStore(
        redis, folder, max_bytes=settings.limits.file_bytes, keep_free_bytes=settings.store.files_keep_free_bytes
    )


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _move(part: Path, path: Path, root: Path) -> None:
    """Give a file its name, so that the name survives a power cut too."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part.rename(path)
    folder = path.parent
    while True:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if folder == root:
            return
        folder = folder.parent
