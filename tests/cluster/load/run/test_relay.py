import asyncio
import os
import signal
import socket

import pytest

from cluster.load.run.relay import Relays

HOST = "127.0.9.1"


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def echo(port):
    async def serve(reader, writer):
        while some := await reader.read(1_000):
            writer.write(some)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


def test_bytes_go_both_ways_and_wait_while_the_relay_is_stopped(port):
    asyncio.run(_bytes_go_and_wait(port))


def test_an_end_that_goes_is_told_to_the_other(port):
    asyncio.run(_an_end_is_told(port))


async def _bytes_go_and_wait(port):
    relays = Relays(HOST, "127.0.0.1", {"gateway:0": port})
    server = await echo(port)
    try:
        await asyncio.to_thread(relays.start)
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"one")
        assert await asyncio.wait_for(reader.readexactly(3), 5) == b"one"
        os.kill(relays.pids["gateway:0"], signal.SIGSTOP)
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(3), 0.3)
        os.kill(relays.pids["gateway:0"], signal.SIGCONT)
        assert await asyncio.wait_for(reader.readexactly(3), 5) == b"two"
        writer.close()
    finally:
        relays.close()
        relays.close()
        server.close()


async def _an_end_is_told(port):
    relays = Relays(HOST, "127.0.0.1", {"ingress": port})
    server = await echo(port)
    try:
        await asyncio.to_thread(relays.start)
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    finally:
        relays.close()
        server.close()
