"""Who calls: bearer tokens and API keys, how often each may call, and from which address.

A key's validity is remembered for two seconds, so revoking one takes effect within that time on every
replica. Rates are counted by each replica for itself.
"""

import ipaddress
from collections import OrderedDict
from functools import lru_cache
from hashlib import sha256

from starlette.requests import Request

from cluster.settings import Settings
from cluster.store.directory import API_KEY_PREFIX, ApiKey
from deployments.http.parts import IngressParts
from models.domain.errors import RateLimited, TooLarge, Unauthorized
from models.security.rate import BucketTable
from models.security.tokens import AgentClaims

KEY_REMEMBERED_S = 2.0
_KEYS_REMEMBERED = 10_000
_NAMES_COUNTED = 10_000
_ADDRESSES_REMEMBERED = 4_096
"""How they are read; a proxy's own stands before every call."""
_SHARED_ADDRESS_FACTOR = 10
"""Callers behind a proxy that hides their addresses share one allowance; it is this many times as large."""


class Callers:
    """Tells who sent a request, and whether they may send one more."""

    def __init__(self, parts: IngressParts) -> None:
        """Use the directory, the signer, the limits and the clocks of ``parts``."""
        limits = parts.settings.limits
        self._parts = parts
        self._keys: OrderedDict[bytes, tuple[float, ApiKey]] = OrderedDict()
        self._key_rates = BucketTable(limits.key_rate, limits.key_burst, _NAMES_COUNTED)
        self._agent_rates = BucketTable(limits.socket_rate, limits.socket_burst, _NAMES_COUNTED)

    def agent(self, request: Request) -> AgentClaims:
        """Return what the agent's token of a request says.

        Raises:
            Unauthorized: there is none, or it is not valid.
        """
        return self._parts.signer.verify_agent(bearer(request), self._parts.now())

    async def api_key(self, request: Request) -> ApiKey:
        """Return what is known of the API key of a request.

        Raises:
            Unauthorized: there is none, or it is not valid.
        """
        key = bearer(request)
        digest = sha256(key.encode()).digest()
        now = self._parts.monotonic()
        remembered = self._keys.get(digest)
        if remembered and now < remembered[0]:
            return remembered[1]
        self._keys.pop(digest, None)
        found = await self._parts.directory.verify_key(key)
        if found is None:
            raise Unauthorized("the API key is not valid")
        while len(self._keys) >= _KEYS_REMEMBERED:
            self._keys.popitem(last=False)
        self._keys[digest] = (now + KEY_REMEMBERED_S, found)
        return found

    async def key_or_agent(self, request: Request) -> ApiKey | AgentClaims:
        """Return who sent a request that both may send.

        Raises:
            Unauthorized: neither a valid API key nor a valid agent's token.
        """
        if bearer(request).startswith(API_KEY_PREFIX):
            return await self.api_key(request)
        return self.agent(request)

    def charge(self, caller: ApiKey | AgentClaims, n: int = 1) -> None:
        """Count ``n`` calls or messages.

        Raises:
            RateLimited: too many in this time.
            TooLarge: more at once than is ever allowed.
        """
        if isinstance(caller, ApiKey):
            wait_s = self._key_rates.take(caller.id, self._parts.monotonic(), n)
        else:
            wait_s = self._agent_rates.take(f"{caller.account}\0{caller.agent}", self._parts.monotonic(), n)
        if wait_s == float("inf"):
            raise TooLarge("more at once than the rate limit ever allows; send fewer")
        if wait_s:
            raise RateLimited("too many calls; slow down", wait_s)


class AddressRates:
    """How often one address may do something; callers whose address is hidden share an allowance."""

    def __init__(self, per_minute: int) -> None:
        """Allow each address ``per_minute``, all at once if it likes."""
        self._addresses = BucketTable(per_minute / 60, per_minute, _NAMES_COUNTED)
        shared = per_minute * _SHARED_ADDRESS_FACTOR
        self._unknown = BucketTable(shared / 60, shared, 1)

    def charge(self, address: str, now: float, refusal: str) -> None:
        """Count once.

        Raises:
            RateLimited: too many of this address; ``refusal`` says of what.
        """
        wait_s = (self._addresses if address else self._unknown).take(address, now)
        if wait_s:
            raise RateLimited(refusal, wait_s)


class LoginRates:
    """How often somebody may try a password: per user, and per address."""

    _REFUSAL = "too many log-ins; wait a moment"

    def __init__(self, settings: Settings) -> None:
        """Take the allowance of ``limits.logins_per_minute``."""
        per_minute = settings.limits.logins_per_minute
        self._users = BucketTable(per_minute / 60, per_minute, _NAMES_COUNTED)
        self._addresses = AddressRates(per_minute)

    def charge(self, address: str, account: str, name: str, now: float) -> None:
        """Count one attempt, before the password is looked at.

        Raises:
            RateLimited: too many of this address, or for this user.
        """
        self._addresses.charge(address, now, self._REFUSAL)
        wait_s = self._users.take(f"{account}\0{name}", now)
        if wait_s:
            raise RateLimited(self._REFUSAL, wait_s)


def bearer(request: Request) -> str:
    """Return the token of the Authorization header (RFC 6750).

    Raises:
        Unauthorized: there is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("an Authorization header with a bearer token is needed")
    return token


def client_address(request: Request) -> str:
    """Return the address that a request came from, an IPv6 one as its /64; empty when a proxy hides it.

    Only a proxy on this machine is believed when it names another address (the last one in
    ``X-Forwarded-For``, which is the one that it saw itself).
    """
    peer = _address(request.client.host if request.client else "")
    if peer is not None and not peer.is_loopback:
        return _grouped(peer)
    forwarded = _address(",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip())
    return "" if forwarded is None else _grouped(forwarded)


@lru_cache(_ADDRESSES_REMEMBERED)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@lru_cache(_ADDRESSES_REMEMBERED)
def _grouped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    # whoever has one IPv6 address has its whole /64
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
