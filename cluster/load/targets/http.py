"""The system's HTTP door, as backends and vendors use it: connections that are kept, and one kind of failure."""

import aiohttp
import msgspec

#: A call that takes longer counts as not answered.
_TIMEOUT_S = 15.0
_MOST_CONNECTIONS = 512


class HttpAnswer(msgspec.Struct, frozen=True):
    """What came back.

    Args:
        status: of HTTP.
        body: as it came.
        retry_after_s: what the system asks for; 0: nothing.
    """

    status: int
    body: bytes
    retry_after_s: float = 0.0

    @property
    def code(self) -> str:
        """Return the problem's code (RFC 9457), or the status."""
        try:
            return msgspec.json.decode(self.body, type=_Problem).code or str(self.status)
        except msgspec.DecodeError:
            return str(self.status)

    @property
    def again(self) -> bool:
        """Whether it says "not now"."""
        return self.status == 429 or self.status >= 500


class _Problem(msgspec.Struct):
    code: str = ""


class HttpDoor:
    """Calls of one generator.

    Args:
        base: the URL before every path.
        timeout_s: for one call, from the first byte sent to the last one received.
    """

    def __init__(self, base: str, timeout_s: float = _TIMEOUT_S) -> None:
        self._base = base.rstrip("/")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Get ready; nothing is connected yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    async def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> HttpAnswer:
        """Make a call; whatever the system answers is returned.

        Raises:
            ConnectionError: there was no answer, so nobody knows whether it was done.
        """
        if self._session is None:
            raise ConnectionError("the door is closed")
        try:
            async with self._session.request(
                method, self._base + path, data=body or None, headers=headers or {}
            ) as response:
                content = await response.read()
                wait = response.headers.get("Retry-After", "0")
                return HttpAnswer(response.status, content, float(wait) if wait.isdigit() else 0.0)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ConnectionError(f"{method} {path}: {type(error).__name__}") from error

    async def aclose(self) -> None:
        """Close all connections; safe twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
