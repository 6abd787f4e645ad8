"""``/v1/connect``: a visitor or an agent is told which gateway to open a socket to, and a visitor who it is.

Who a visitor is follows from what it can prove, and from nothing else:

=====================================  ===============================================================
it shows                               it is
=====================================  ===============================================================
nothing                                somebody new; the server makes the id, which cannot be guessed
its earlier token                      whoever that token says, with the life of the token renewed
a user id vouched for by the shop      that user, on every device
both                                   that user; what it wrote anonymously before comes along
the token of a vouched user, alone     that user until that token ends: renewing asks for the voucher
=====================================  ===============================================================

A visitor id without its token proves nothing and is refused.
"""

import logging
import secrets
from typing import Annotated

import msgspec
from fastapi import APIRouter
from fastapi import Body as BodyParameter
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from cluster.gateways import choose_gateway
from deployments.http.bodies import JSON_TYPE, Body, Id, Short, Token, json_response
from deployments.http.callers import AddressRates, Callers, client_address
from deployments.http.parts import IngressParts
from deployments.http.people import Inboxes, Links
from models.domain.errors import BadRequest, Conflict, Forbidden, Unauthorized, Unavailable
from models.domain.identity import Identity
from models.domain.ids import encode_base32, user_contact_id
from models.security.tokens import VOUCHED_PREFIX, VisitorClaims
from models.security.vouch import is_user_vouched

log = logging.getLogger(__name__)
CONNECT_PATH = "/v1/connect"
_VISITOR_ID_BYTES = 20
_MAX_USER_ID_CHARS = 200
"""With its prefix it is an external id, which has at most 256 characters."""


class Connect(Body):
    """What a visitor shows; an agent sends a bearer token instead, and no body."""

    inbox: Short = Field(description="Id of the web inbox.", examples=["web"])
    token: Token | None = Field(None, description="The visitor's earlier token, still valid.")
    visitor_id: Id | None = Field(None, description="The visitor's id; must be the one of `token`.")
    user_id: Annotated[Id, Field(max_length=_MAX_USER_ID_CHARS)] | None = Field(
        None, description="The shop's own id of a logged-in user."
    )
    user_hash: Id | None = Field(
        None,
        description="HMAC-SHA256 of the UTF-8 bytes of `user_id` under the account's vouch secret, as hexadecimal "
        "digits; made by the shop's backend.",
    )


class Connected(BaseModel):
    """Where to open a socket, and what to open it with."""

    gateway: str = Field(description="WebSocket URL.", examples=["ws://127.0.0.1:7410/visitor"])
    token: str | None = Field(None, description="The visitor's token; null for an agent, who has one.")
    expires_at: int = Field(description="Unix time in seconds from which on the token is worthless.")
    contact: str | None = Field(None, description="The person that the visitor is.")
    visitor_id: str | None = Field(None, description="The visitor's id at this inbox.")
    title: str | None = Field(None, description="What an admin calls the inbox; left out where nobody did.")
    greeting: dict[str, str] | None = Field(
        None, description="What an admin has visitors read first, by language (`en`, `zh`)."
    )


class ConnectRoutes:
    """The route that hands out gateways and visitors' tokens."""

    def __init__(self, parts: IngressParts, callers: Callers, inboxes: Inboxes, links: Links) -> None:
        self._parts = parts
        self._callers = callers
        self._inboxes = inboxes
        self._links = links
        # each stranger is a contact who may open a conversation, so nobody gets them without end
        self._rates = AddressRates(parts.settings.limits.connects_per_minute)
        self.router = APIRouter(tags=["connect"])
        self.router.add_api_route(
            CONNECT_PATH,
            self.connect,
            methods=["POST"],
            response_model_exclude_none=True,
            openapi_extra={"security": [{}, {"agentToken": []}]},
        )

    async def connect(self, request: Request, body: Annotated[Connect | None, BodyParameter()] = None) -> Connected:
        """Tell an agent (bearer token) or a visitor (body) where to open a socket.

        The address of the gateway may differ each time: ask again whenever a socket is lost. 503 with
        Retry-After means that no gateway lives at the moment.
        """
        if "authorization" in request.headers:
            return await self._agent(request)
        if body is None:
            raise BadRequest("a visitor names its inbox in the body; an agent sends a bearer token")
        self._rates.charge(client_address(request), self._parts.monotonic(), "too many visits; wait a moment")
        self._check_origin(body.inbox, request.headers.get("origin"))
        return await self._visitor(body)

    async def answer(self, request: Request, body: bytes) -> Response | None:
        """Answer as `connect`; None for a body whose form needs an explanation."""
        shown: Connect | None = None
        if body:
            if request.headers.get("content-type") != JSON_TYPE:
                return None
            try:
                shown = Connect.model_validate_json(body)
            except ValidationError:
                return None
        connected = await self.connect(request, shown)
        return json_response(connected.model_dump_json(exclude_none=True).encode())

    async def _agent(self, request: Request) -> Connected:
        claims = self._callers.agent(request)
        self._callers.charge(claims)
        url = await self._gateway(f"{claims.account}\0{claims.agent}", "desk")
        return Connected(gateway=url, expires_at=claims.expires_s)

    def _check_origin(self, inbox: str, origin: str | None) -> None:
        """Refuse a page that the inbox is not for; what is no browser sends no origin, and needs none."""
        allowed = self._inboxes.web(inbox).origins.split()
        if allowed and origin is not None and origin not in allowed:
            raise Forbidden("this inbox is not for pages of this origin")

    async def _visitor(self, body: Connect) -> Connected:
        account = self._inboxes.web(body.inbox).account
        shown = self._shown(body, account)
        if body.user_id is not None:
            claims = await self._vouched(body, account, shown)
        else:
            claims = shown or self._stranger(body.inbox, account)
        url = await self._gateway(claims.contact, "visitor")
        connected = Connected(
            gateway=url,
            token=self._parts.signer.sign(claims),
            expires_at=claims.expires_s,
            contact=claims.contact,
            visitor_id=claims.external_id,
        )
        said = self._inboxes.said(body.inbox)
        if said is not None:
            connected.title = said.title or None
            greeting = {"en": said.greeting.en, "zh": said.greeting.zh}
            connected.greeting = {language: text for language, text in greeting.items() if text} or None
        return connected

    def _shown(self, body: Connect, account: str) -> VisitorClaims | None:
        """Return who the visitor's token says that it is, renewed if that is allowed."""
        if body.token is None:
            if body.visitor_id is not None:
                raise Unauthorized("a visitor id counts only together with its token")
            return None
        claims = self._parts.signer.verify_visitor(body.token, self._parts.now())
        if (claims.account, claims.inbox) != (account, body.inbox):
            raise Unauthorized("the token belongs to another inbox")
        if body.visitor_id not in (None, claims.external_id):
            raise Unauthorized("the token belongs to another visitor")
        if claims.vouched:
            return claims
        return msgspec.structs.replace(claims, expires_s=self._expiry_s())

    def _stranger(self, inbox: str, account: str) -> VisitorClaims:
        number = int.from_bytes(secrets.token_bytes(_VISITOR_ID_BYTES), "big")
        visitor_id = "v" + encode_base32(number, _VISITOR_ID_BYTES * 8 // 5)
        visitor = Identity(account=account, channel="web", inbox=inbox, external_id=visitor_id)
        return self._claims(visitor, visitor.contact)

    async def _vouched(self, body: Connect, account: str, shown: VisitorClaims | None) -> VisitorClaims:
        """Return the user that the account's backend vouches for, joined with who it was anonymously."""
        user_id = body.user_id or ""
        secret = self._parts.settings.accounts[account].vouch_secret.get_secret_value()
        if not is_user_vouched(secret, user_id, body.user_hash or ""):
            raise Unauthorized("nobody vouches for this user id")
        contact = user_contact_id(account, user_id)
        if shown is not None and not shown.vouched:
            anonymous = Identity(
                account=account, channel=shown.channel, inbox=shown.inbox, external_id=shown.external_id
            )
            try:
                contact = await self._links.to_user(anonymous, user_id)
            except Conflict:
                # a shared device: who wrote here before stays somebody else
                log.info("a visitor of account %s already belongs to another user", account)
        user = Identity(account=account, channel="web", inbox=body.inbox, external_id=VOUCHED_PREFIX + user_id)
        return self._claims(user, contact)

    def _claims(self, identity: Identity, contact: str) -> VisitorClaims:
        return VisitorClaims(
            account=identity.account,
            inbox=identity.inbox,
            contact=contact,
            channel=identity.channel,
            external_id=identity.external_id,
            expires_s=self._expiry_s(),
        )

    def _expiry_s(self) -> int:
        return int(self._parts.now() + self._parts.settings.security.visitor_lifetime_s)

    async def _gateway(self, key: str, path: str) -> str:
        gateway = choose_gateway(await self._parts.gateways(), key)
        if gateway is None:
            raise Unavailable("no gateway is alive at the moment", 1.0)
        return f"{gateway.url.rstrip('/')}/{path}"
