"""Whether a Ray that shall be joined is there at all: Ray itself would try for minutes, and say nothing."""

import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

#: A head that is just starting needs some seconds until it listens.
WITHIN_S = 20.0
_PAUSE_S = 0.2


def await_head(address: str, within_s: float = WITHIN_S) -> None:
    """Return once something listens at ``host:port`` or ``ray://host:port``; other forms name no place to look at.

    Raises:
        ConnectionError: nothing listened within ``within_s`` seconds.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = place.hostname, place.port
    except ValueError:
        raise ConnectionError("its port is no port") from None
    if host is None or port is None:
        return
    until = time.monotonic() + within_s
    while True:
        with suppress(OSError), socket.create_connection((host, port), timeout=max(until - time.monotonic(), _PAUSE_S)):
            return
        if time.monotonic() >= until:
            raise ConnectionError(f"nothing listened there for {within_s:g} s")
        time.sleep(_PAUSE_S)
