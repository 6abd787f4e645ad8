"""Files on a real disk and in the real store: durable or gone, whatever dies between."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

import cluster.store.files
from cluster.store import keys
from cluster.store.files import UNSENT_S, FileStore
from models.domain.errors import BadRequest, TooLarge, Unavailable
from models.domain.files import OCTETS

pytestmark = [pytest.mark.anyio, pytest.mark.store]
MAX = 300_000
OWNER = "agent:ann"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def redis(empty_store_url: str, anyio_backend: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(empty_store_url) as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(redis: Redis, tmp_path: Path, clock: Clock) -> FileStore:
    return FileStore(redis, tmp_path / "files", max_bytes=MAX, keep_free_bytes=0, now=clock)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def on_disk(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


async def test_what_was_taken_can_be_read(files, tmp_path):
    body = os.urandom(MAX)
    record = await files.take("demo", OWNER, "a.bin", chunks(*(body[n : n + 7_000] for n in range(0, MAX, 7_000))))
    found = await files.find("demo", record.id)
    assert found.record == record
    assert (record.bytes, record.media_type, record.kind, record.owner) == (MAX, OCTETS, "file", OWNER)
    assert found.path.read_bytes() == body
    assert on_disk(tmp_path) == [found.path]
    assert found.path.stat().st_mode & 0o077 == 0 or found.path.parent.stat().st_mode & 0o077 == 0
    assert await files.find("other", record.id) is None
    assert await files.find("demo", "../../etc/passwd") is None


@pytest.mark.parametrize(
    ("parts", "error"), [((), BadRequest), ((b"", b""), BadRequest), ((b"x" * MAX, b"x"), TooLarge)]
)
async def test_what_is_empty_or_too_large_leaves_nothing(files, redis, tmp_path, parts, error):
    with pytest.raises(error):
        await files.take("demo", OWNER, "a", chunks(*parts))
    assert on_disk(tmp_path) == []
    assert await redis.keys("*") == []


async def test_an_upload_that_is_cut_leaves_nothing(files, redis, tmp_path):
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * 280_000
        assert len(on_disk(tmp_path)) == 1
        raise ConnectionResetError("the other side went")

    with pytest.raises(Unavailable):
        await files.take("demo", OWNER, "a", cut())
    assert on_disk(tmp_path) == []
    assert await redis.keys("*") == []


async def test_a_disk_that_is_nearly_full_takes_nothing(redis, tmp_path):
    files = FileStore(redis, tmp_path / "files", max_bytes=MAX, keep_free_bytes=2**62)
    with pytest.raises(Unavailable, match="no room"):
        await files.take("demo", OWNER, "a", chunks(b"x"))
    assert on_disk(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_told_plainly(redis, tmp_path):
    (tmp_path / "files").write_text("this is no folder")
    files = FileStore(redis, tmp_path / "files", max_bytes=MAX, keep_free_bytes=0)
    with pytest.raises(Unavailable, match="could not be kept"):
        await files.take("demo", OWNER, "a", chunks(b"x"))


async def test_what_nobody_sent_is_removed_after_a_day_and_what_was_sent_stays(files, redis, clock, tmp_path):
    sent = await files.take("demo", OWNER, "sent", chunks(b"1"))
    unsent = await files.take("demo", OWNER, "unsent", chunks(b"2"))
    await redis.zrem(keys.files_unsent("demo"), sent.id)
    clock.now += UNSENT_S - 1
    late = await files.take("demo", OWNER, "late", chunks(b"3"))
    assert await files.sweep("demo") == 0
    clock.now += 2
    assert await files.sweep("demo") == 1
    assert await files.find("demo", unsent.id) is None
    assert {path.name for path in on_disk(tmp_path)} == {sent.id, late.id}
    assert await files.sweep("demo") == 0
    assert (await files.find("demo", sent.id)).path.read_bytes() == b"1"


async def test_a_process_that_dies_between_its_steps_leaves_nothing_for_ever(
    files, redis, clock, tmp_path, monkeypatch
):
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cluster.store.files, "_move", dies)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            await files.take("demo", OWNER, "a", chunks(b"x"))
    (part,) = on_disk(tmp_path)
    os.utime(part, (clock.now, clock.now))
    assert await files.sweep_parts() == 0
    clock.now += UNSENT_S + 1
    assert await files.sweep_parts() == 1
    assert await files.sweep("demo") == 1
    assert on_disk(tmp_path) == []
    assert await redis.keys("*") == []


async def test_a_name_of_an_account_is_no_place_for_parts(files, tmp_path):
    record = await files.take("incoming", OWNER, "a", chunks(b"x"))
    assert await files.sweep_parts() == 0
    assert (await files.find("incoming", record.id)).path.exists()
