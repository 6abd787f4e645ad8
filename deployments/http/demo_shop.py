"""The backend of the demo shop, as a shop of one's own has it: it knows its customers and vouches for them.

It stands in for somebody else's system, in the demo account alone; who logs in here proves nothing, as there is
nothing to protect.
"""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from cluster.settings import Settings
from deployments.commands.demo import ACCOUNT, INBOX
from models.domain.errors import NotFound
from models.security.vouch import vouch_user

_CUSTOMERS = {"mei": "Mei Lin", "tom": "Tom Berger"}


class Customer(BaseModel):
    """A customer of the demo shop who is logged in."""

    name: str
    user_id: str = Field(description="What the shop calls this customer.")
    user_hash: str = Field(description="The proof for `POST /v1/connect`.")


def has_demo_shop(settings: Settings) -> bool:
    """Tell whether the demo account runs here."""
    return INBOX in settings.inboxes and ACCOUNT in settings.accounts


class DemoShopRoutes:
    """Routes of the demo shop's own backend."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.accounts[ACCOUNT].vouch_secret.get_secret_value()
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/demo/customers/{name}", self.log_in, methods=["POST"])

    async def log_in(self, name: str) -> Customer:
        """Log one of the two customers in."""
        if name not in _CUSTOMERS:
            raise NotFound("the demo shop has no such customer")
        user_id = f"customer-{name}"
        return Customer(name=_CUSTOMERS[name], user_id=user_id, user_hash=vouch_user(self._secret, user_id))
