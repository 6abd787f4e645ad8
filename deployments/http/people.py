"""Linking and inboxes as the routes need them: who an identity is, and joining it with a vouched user."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from cluster.administration import administered
from cluster.linking import Linker
from cluster.settings import Settings
from cluster.settings_sections import InboxSettings
from cluster.store.following import Following
from deployments.http.parts import RouterPort
from models.administration.inboxes import WebInbox
from models.domain.errors import Forbidden, NotFound, RaydeskError
from models.domain.identity import Identity
from models.domain.ids import user_contact_id

_LINKS_REMEMBERED = 50_000
_LINKS_AT_ONCE = 32
"""Linking asks two routers three times; a bulk of new users must not fill their queues."""


class Inboxes:
    """The configured endpoints, and whose they are; what an admin said of them counts within a second or two.

    Args:
        settings: of the whole system.
        following: what admins say; None: nobody says anything.
    """

    def __init__(self, settings: Settings, following: Following | None = None) -> None:
        self._inboxes = settings.inboxes
        self._following = following
        self._administered: dict[str, tuple[WebInbox, InboxSettings]] = {}

    def any(self, inbox: str) -> InboxSettings:
        """Return an inbox of any account.

        Raises:
            NotFound: there is none of this name.
        """
        found = self._find(inbox)
        if found is None:
            raise NotFound("no such inbox")
        return found

    def web(self, inbox: str) -> InboxSettings:
        """Return an inbox that visitors of a web page may open.

        Raises:
            NotFound: there is none of this name.
            Forbidden: it belongs to another channel.
        """
        found = self.any(inbox)
        if found.channel != "web":
            raise Forbidden("this inbox is not for visitors of a web page")
        return found

    def of_account(self, inbox: str, account: str) -> InboxSettings:
        """Return an inbox of one account; that of another does not exist for it.

        Raises:
            NotFound: this account has none of this name.
        """
        found = self._find(inbox)
        if found is None or found.account != account:
            raise NotFound("no such inbox in this account")
        return found

    def said(self, inbox: str) -> WebInbox | None:
        """Return what an admin said of an inbox, None if nothing."""
        found = self._inboxes.get(inbox)
        if found is None or self._following is None:
            return None
        return self._following.inbox(found.account, inbox)

    def _find(self, inbox: str) -> InboxSettings | None:
        said = self.said(inbox)
        if said is None:
            return self._inboxes.get(inbox)
        known = self._administered.get(inbox)
        # made anew when what was said is another value, so it costs nothing per message
        if known is None or known[0] is not said:
            known = self._administered[inbox] = (said, administered(self._inboxes[inbox], said))
        return known[1]


class Links:
    """Joins identities with users; what this process linked before is not asked again."""

    def __init__(self, router: RouterPort) -> None:
        """Ask ``router``."""
        self._linker = Linker(router)
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def to_user(self, identity: Identity, user_id: str) -> str:
        """Let an identity go on as a user that somebody vouched for; returns the user's contact.

        Raises:
            Conflict: the identity belongs to another user.
            Unavailable: a router does not answer.
        """
        key = (identity.contact, user_contact_id(identity.account, user_id))
        known = self._known.get(key)
        if known is not None:
            return known
        contact = await self._linker.link(identity, key[1])
        while len(self._known) >= _LINKS_REMEMBERED:
            self._known.popitem(last=False)
        self._known[key] = contact
        return contact

    async def all_to_users(self, wanted: Sequence[tuple[Identity, str]]) -> list[str | RaydeskError]:
        """Link many, some at a time; one outcome each, in their order."""
        at_once = asyncio.Semaphore(_LINKS_AT_ONCE)

        async def link(identity: Identity, user_id: str) -> str | RaydeskError:
            async with at_once:
                try:
                    return await self.to_user(identity, user_id)
                except RaydeskError as error:
                    return error

        return await asyncio.gather(*(link(identity, user_id) for identity, user_id in wanted))
