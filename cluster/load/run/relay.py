"""A relay between clients and one address of a system, so that a network can be cut where no firewall may be touched.

``python -m cluster.load.run.relay LISTEN TO`` hands on bytes, both ways, in a process of its own; who stops that
process (SIGSTOP) has cut the network: connections stay, new ones hang, and what was sent waits, as with packets that
are lost and sent again. It listens at another address of the loopback with the same port, so only the host differs.

It costs each byte a second way through the kernel, and two descriptors each connection. So it runs only in runs that
cut something, and its processor time is in the report.
"""

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

#: What one direction holds while the other side does not read.
_CHUNK_BYTES = 65_536
_LISTENS_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.05
_BACKLOG = 4_096
#: The folder that holds our packages, where the module is found by its name.
_ROOT = Path(__file__).resolve().parent.parent.parent.parent


async def relay(host: str, to_host: str, port: int) -> None:
    """Hand on what comes to a port of one address to the same port of another, until cancelled."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection(to_host, port)
        except OSError:
            writer.transport.abort()
            return
        async with asyncio.TaskGroup() as ways:
            ways.create_task(_hand_on(reader, onward))
            ways.create_task(_hand_on(there, writer))

    server = await asyncio.start_server(serve, host, port, backlog=_BACKLOG, limit=_CHUNK_BYTES)
    async with server:
        await server.serve_forever()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on one way until it ends; then the other end is told."""
    try:
        while some := await reader.read(_CHUNK_BYTES):
            writer.write(some)
            await writer.drain()
    except OSError:
        # broken on this side: break it on the other too, as a good-bye would be a lie
        writer.transport.abort()
    finally:
        writer.close()


class Relays:
    """Relay processes, from `start` to `aclose`.

    Args:
        host: address of the loopback at which they listen.
        to_host: address of what they stand before.
        ports: target such as ``gateway:0`` -> its port.
    """

    def __init__(self, host: str, to_host: str, ports: dict[str, int]) -> None:
        self._host = host
        self._to_host = to_host
        self._ports = ports
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def pids(self) -> dict[str, int]:
        """The process of each."""
        return {target: process.pid for target, process in self._running.items()}

    def start(self) -> None:
        """Start them, and return once each listens.

        Raises:
            OSError: one does not.
        """
        for target, port in self._ports.items():
            words = (sys.executable, "-m", __name__, self._host, self._to_host, str(port))
            self._running[target] = subprocess.Popen(words, cwd=_ROOT, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _LISTENS_WITHIN_S
        for target, port in self._ports.items():
            while not _listens(self._host, port):
                if self._running[target].poll() is not None or time.monotonic() > deadline:
                    raise OSError(f"no relay listens at {self._host}:{port}")
                time.sleep(_LOOK_EVERY_S)

    def close(self) -> None:
        """End them; safe twice."""
        running, self._running = self._running, {}
        for process in running.values():
            process.kill()
            process.wait()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _LISTENS_WITHIN_S).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    import uvloop

    uvloop.run(relay(sys.argv[1], sys.argv[2], int(sys.argv[3])))
