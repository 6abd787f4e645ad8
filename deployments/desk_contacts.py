"""The methods by which an agent says that two contacts are one person, and takes that back."""

from collections.abc import Awaitable, Callable
from typing import Any

from cluster.linking import Asks, Linker
from models.domain.errors import BadRequest, Forbidden, NotFound
from models.domain.ids import is_contact_id
from models.protocol import methods
from models.security.tokens import AgentClaims


class DeskContacts:
    """Joining and parting contacts; an agent may do so with whom it talks, supervisors and admins with everybody."""

    def __init__(self, router: Asks) -> None:
        """Ask ``router`` for everything."""
        self._linker = Linker(router)
        self.table: dict[str, Callable[[AgentClaims, Any], Awaitable[Any]]] = {
            "contact.join": self._join,
            "contact.part": self._part,
        }

    async def _join(self, claims: AgentClaims, params: methods.ContactPair) -> methods.Ok:
        await self._check(claims, params)
        await self._linker.join(claims.account, params.other, params.contact, claims.agent)
        return methods.Ok()

    async def _part(self, claims: AgentClaims, params: methods.ContactPair) -> methods.Ok:
        await self._check(claims, params)
        await self._linker.part(claims.account, params.other, params.contact, claims.agent)
        return methods.Ok()

    async def _check(self, claims: AgentClaims, params: methods.ContactPair) -> None:
        if not (is_contact_id(params.contact) and is_contact_id(params.other)):
            raise NotFound("no such contact")
        if params.contact == params.other:
            raise BadRequest("a contact cannot be joined with itself")
        if claims.role == "agent" and await self._linker.holder(claims.account, params.contact) != claims.agent:
            raise Forbidden("you do not hold this contact's conversation")
