"""``/v1/login`` and ``/v1/refresh``: an agent's password becomes a short-lived token."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, SecretStr, field_validator
from starlette.requests import Request

from deployments.http.bodies import Body, Short
from deployments.http.callers import Callers, LoginRates, client_address
from deployments.http.parts import IngressParts
from models.domain.agent import User
from models.domain.errors import Unauthorized
from models.security.tokens import AgentClaims

_MAX_PASSWORD_CHARS = 4096


class Login(Body):
    """Who somebody says to be, and the proof."""

    account: Short = Field(description="The tenant.", examples=["demo"])
    name: Short = Field(description="The user's name in it.", examples=["ann"])
    password: SecretStr = Field(min_length=1, max_length=_MAX_PASSWORD_CHARS)

    @field_validator("password")
    @classmethod
    def _is_text(cls, password: SecretStr) -> SecretStr:
        try:
            password.get_secret_value().encode()
        except UnicodeEncodeError:
            raise ValueError("not valid Unicode") from None
        return password


class Session(BaseModel):
    """A token for ``/rpc``, ``/v1/connect`` and the desk's socket."""

    token: str = Field(description="Send it as `Authorization: Bearer ...`.")
    expires_at: int = Field(description="Unix time in seconds from which on the token is worthless.")
    role: Literal["agent", "supervisor", "admin"]


class LoginRoutes:
    """Routes that hand out agents' tokens."""

    def __init__(self, parts: IngressParts, callers: Callers) -> None:
        self._parts = parts
        self._callers = callers
        self._rates = LoginRates(parts.settings)
        self.router = APIRouter(tags=["agents"])
        self.router.add_api_route("/v1/login", self.login, methods=["POST"])
        self.router.add_api_route(
            "/v1/refresh", self.refresh, methods=["POST"], openapi_extra={"security": [{"agentToken": []}]}
        )

    async def login(self, request: Request, body: Login) -> Session:
        """Log an agent in.

        A wrong name and a wrong password get the same answer after the same work. Attempts are limited
        per address and per user.
        """
        self._rates.charge(client_address(request), body.account, body.name, self._parts.monotonic())
        user = await self._parts.directory.verify(body.account, body.name, body.password.get_secret_value())
        if user is None:
            raise Unauthorized("wrong account, name or password")
        now_s = int(self._parts.now())
        return self._session(body.account, user, session_started_s=now_s)

    async def refresh(self, request: Request) -> Session:
        """Exchange a valid agent's token for a fresh one, until the session's end.

        The new token has the role that the user has now. Refused for a user who left, and for sessions
        that began before the last change of password.
        """
        claims = self._callers.agent(request)
        self._callers.charge(claims)
        user = await self._parts.directory.session_user(claims.account, claims.agent, claims.session_started_s)
        return self._session(claims.account, user, session_started_s=claims.session_started_s)

    def _session(self, account: str, user: User, *, session_started_s: int) -> Session:
        security = self._parts.settings.security
        now_s = self._parts.now()
        claims = self._parts.signer.renew(
            AgentClaims(
                account=account,
                agent=user.name,
                role=user.role,
                session_started_s=session_started_s,
                expires_s=int(now_s),
            ),
            now_s,
            token_lifetime_s=security.token_lifetime_s,
            session_lifetime_s=security.session_lifetime_s,
        )
        return Session(token=self._parts.signer.sign(claims), expires_at=claims.expires_s, role=claims.role)
