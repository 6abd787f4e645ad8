"""Session tokens: who an agent or a visitor is, signed so that any process can check it without the store.

A token is a JSON Web Token (RFC 7519) with HMAC-SHA256 and nothing else: the algorithm is fixed here
and never read from the token, agents and visitors have audiences of their own, and a claim of the
wrong type is a forgery. Times are whole Unix seconds; a token is valid while ``now_s < expires_s``.
"""

from typing import Protocol, TypeVar

import msgspec
from jwt import InvalidTokenError, PyJWS
from jwt.algorithms import HMACAlgorithm

from models.domain.commands import Role
from models.domain.errors import Unauthorized

ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
"""RFC 7518, section 3.2: a key of HS256 is at least as long as its hash."""
MAX_TOKEN_CHARS = 4096
"""Longer than any token we sign; what is longer is refused before any work is done for it."""
VOUCHED_PREFIX = "user:"
"""Starts the external id of a visitor for whom the account's backend vouched; server-made ids have no colon."""

_AGENTS = "raydesk/agent"
_VISITORS = "raydesk/visitor"


class AgentClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent's token says.

    Args:
        account, agent, role: who it is.
        session_started_s: when the password was given; renewals keep it.
        expires_s: from when on the token is worthless.
    """

    account: str
    agent: str
    role: Role
    session_started_s: int
    expires_s: int


class VisitorClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor's token says.

    Args:
        account, inbox, channel, external_id: the identity that writes.
        contact: the person it is; for a vouched user not computed from the identity.
        expires_s: from when on the token is worthless.
    """

    account: str
    inbox: str
    contact: str
    channel: str
    external_id: str
    expires_s: int

    @property
    def vouched(self) -> bool:
        """Tell whether the account's backend vouched for who this is."""
        return self.external_id.startswith(VOUCHED_PREFIX)


class _AgentPayload(msgspec.Struct, frozen=True):
    aud: str
    exp: int
    acc: str
    sub: str
    role: Role
    ses: int


class _VisitorPayload(msgspec.Struct, frozen=True):
    aud: str
    exp: int
    acc: str
    inb: str
    sub: str
    cha: str
    ext: str


class Payload(Protocol):
    """Anything that is signed: it says whom it is for and when it ends."""

    @property
    def aud(self) -> str:
        """Return the audience."""
        ...

    @property
    def exp(self) -> int:
        """Return the Unix second from which on it is worthless."""
        ...


class _OneKey(HMACAlgorithm):
    """HMAC-SHA256 under one key, of which the library asks once and not at each call whether it is of another kind."""

    def __init__(self, key: bytes) -> None:
        super().__init__(HMACAlgorithm.SHA256)
        self._prepared = super().prepare_key(key)

    def prepare_key(self, key: str | bytes) -> bytes:
        """Return the key that was looked at; ``key`` is the same one."""
        return self._prepared


_Payload = TypeVar("_Payload", bound=Payload)


class TokenSigner:
    """Signs and verifies session tokens; all processes of a system share its secret."""

    def __init__(self, secret: str | bytes) -> None:
        """Take the system's secret, of at least 32 bytes.

        Raises:
            ValueError: the secret is too short to protect anything.
        """
        key = secret.encode() if isinstance(secret, str) else secret
        if len(key) < MIN_SECRET_BYTES:
            raise ValueError(f"the signing secret has {len(key)} bytes; at least {MIN_SECRET_BYTES} are needed")
        self._key = key
        self._jws = PyJWS(algorithms=[ALGORITHM])
        self._jws.unregister_algorithm(ALGORITHM)
        self._jws.register_algorithm(ALGORITHM, _OneKey(key))
        self._encode = msgspec.json.Encoder().encode
        self._agents = msgspec.json.Decoder(_AgentPayload)
        self._visitors = msgspec.json.Decoder(_VisitorPayload)

    def sign(self, claims: AgentClaims | VisitorClaims) -> str:
        """Make the token that says ``claims``."""
        payload: _AgentPayload | _VisitorPayload
        if isinstance(claims, AgentClaims):
            payload = _AgentPayload(
                _AGENTS, claims.expires_s, claims.account, claims.agent, claims.role, claims.session_started_s
            )
        else:
            payload = _VisitorPayload(
                _VISITORS,
                claims.expires_s,
                claims.account,
                claims.inbox,
                claims.contact,
                claims.channel,
                claims.external_id,
            )
        return self.seal(payload)

    def seal(self, payload: Payload) -> str:
        """Sign any payload; its audience must be one that nothing else has."""
        return self._jws.encode(self._encode(payload), self._key, ALGORITHM)

    def verify_agent(self, token: str, now_s: float) -> AgentClaims:
        """Return what an agent's token says.

        Raises:
            Unauthorized: it is expired, forged, or not an agent's.
        """
        payload = self.unseal(token, self._agents, _AGENTS, now_s)
        return AgentClaims(
            account=payload.acc,
            agent=payload.sub,
            role=payload.role,
            session_started_s=payload.ses,
            expires_s=payload.exp,
        )

    def verify_visitor(self, token: str, now_s: float) -> VisitorClaims:
        """Return what a visitor's token says.

        Raises:
            Unauthorized: it is expired, forged, or not a visitor's.
        """
        payload = self.unseal(token, self._visitors, _VISITORS, now_s)
        return VisitorClaims(
            account=payload.acc,
            inbox=payload.inb,
            contact=payload.sub,
            channel=payload.cha,
            external_id=payload.ext,
            expires_s=payload.exp,
        )

    def renew(
        self, claims: AgentClaims, now_s: float, *, token_lifetime_s: float, session_lifetime_s: float
    ) -> AgentClaims:
        """Extend an agent's claims by another token's life, never beyond the session's.

        Args:
            claims: what a token said that is still valid.
            now_s: Unix time.
            token_lifetime_s: how long one token lives.
            session_lifetime_s: after how long the password must be given again.

        Raises:
            Unauthorized: the session is over.
        """
        session_ends_s = claims.session_started_s + int(session_lifetime_s)
        if now_s >= session_ends_s:
            raise Unauthorized("the session is over: log in again")
        return msgspec.structs.replace(claims, expires_s=min(int(now_s + token_lifetime_s), session_ends_s))

    def unseal(self, token: str, decoder: msgspec.json.Decoder[_Payload], audience: str, now_s: float) -> _Payload:
        """Return the payload of a token.

        Raises:
            Unauthorized: it is expired, forged, or of another kind.
        """
        if not token:
            raise Unauthorized("a token is needed")
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise Unauthorized("the token is not one of ours")
        try:
            body = self._jws.decode_complete(token, self._key, algorithms=[ALGORITHM])["payload"]
        except (InvalidTokenError, NotImplementedError, TypeError, ValueError):
            raise Unauthorized("the token is not one of ours") from None
        try:
            payload = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unauthorized("the token is of another kind") from None
        if payload.aud != audience:
            raise Unauthorized("the token is of another kind")
        if now_s >= payload.exp:
            raise Unauthorized("the token has expired")
        return payload
