"""The connection to Valkey, and which of its failures mean that nobody knows what happened."""

from importlib import resources

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, OutOfMemoryError, ReadOnlyError, TimeoutError

from cluster.settings import StoreSettings
from cluster.store.embedded import EmbeddedStore

#: Failures of the store that pass: the caller refuses what it was asked, and may be asked again.
STORE_DOWN = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError, OSError)
#: An append of 1,000 messages takes a few milliseconds; a store that is silent this long is stuck.
SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
#: Of one process: a crowd of requests waits for its turn instead of opening a connection each.
MOST_CONNECTIONS = 64


def store_url(settings: StoreSettings) -> str:
    """Return the URL of the store: one's own, or the embedded one's socket."""
    return settings.url or EmbeddedStore(settings.data_dir).url


def connect(settings: StoreSettings, *, protocol: int = 3) -> Redis:
    """Make a client of the store; it connects at its first command.

    The client never repeats a command by itself: an append that was sent may have happened.
    """
    pool = BlockingConnectionPool.from_url(
        store_url(settings),
        max_connections=MOST_CONNECTIONS,
        timeout=SOCKET_TIMEOUT_S,
        password=settings.password.get_secret_value() or None,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        protocol=protocol,
    )
    return Redis.from_pool(pool)


def script(name: str) -> str:
    """Return the source of a Lua script of this package."""
    return resources.files("cluster.store").joinpath(f"{name}.lua").read_text()
