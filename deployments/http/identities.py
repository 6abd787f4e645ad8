"""``/v1/identities``: an account's backend says that an identity and a user are the same person."""

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request

from deployments.http.bodies import Body, Id, Short
from deployments.http.callers import Callers
from deployments.http.parts import IngressParts
from deployments.http.people import Inboxes, Links
from models.domain.errors import Unauthorized
from models.domain.identity import Identity
from models.security.vouch import is_link_vouched


class Link(Body):
    """An identity and the user whose it is."""

    inbox: Short = Field(description="Id of the inbox where the identity writes.", examples=["wechat"])
    external_id: Id = Field(description="The contact's id there: open id, visitor id.")
    user_id: Id = Field(description="The account's own id of the user.")
    link_hash: Id | None = Field(
        None,
        description="Vouches for the link where no API key does: HMAC-SHA256, as hexadecimal digits, under the "
        "account's vouch secret over the UTF-8 bytes of the four lines `raydesk-link`, inbox, external id, user id, "
        "joined by one line feed each.",
    )


class Linked(BaseModel):
    """The link stands."""

    contact: str = Field(description="The person that the identity is from now on.")


class IdentityRoutes:
    """The route that links identities."""

    def __init__(self, parts: IngressParts, callers: Callers, inboxes: Inboxes, links: Links) -> None:
        self._parts = parts
        self._callers = callers
        self._inboxes = inboxes
        self._links = links
        self.router = APIRouter(tags=["messages"])
        self.router.add_api_route(
            "/v1/identities", self.link, methods=["POST"], openapi_extra={"security": [{"apiKey": []}, {}]}
        )

    async def link(self, request: Request, body: Link) -> Linked:
        """Link an identity to a user; the open conversation goes along.

        Vouched for by the API key, or by `link_hash`. Linking twice changes nothing. 409 means that the
        identity belongs to another user already.
        """
        account = await self._vouching_account(request, body)
        inbox = self._inboxes.of_account(body.inbox, account)
        identity = Identity(account=account, channel=inbox.channel, inbox=body.inbox, external_id=body.external_id)
        return Linked(contact=await self._links.to_user(identity, body.user_id))

    async def _vouching_account(self, request: Request, body: Link) -> str:
        if "authorization" in request.headers:
            key = await self._callers.api_key(request)
            self._callers.charge(key)
            return key.account
        account = self._inboxes.any(body.inbox).account
        secret = self._parts.settings.accounts[account].vouch_secret.get_secret_value()
        if not is_link_vouched(secret, body.inbox, body.external_id, body.user_id, body.link_hash or ""):
            raise Unauthorized("neither an API key nor a link_hash vouches for this link")
        return account
