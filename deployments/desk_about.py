"""The methods by which a desk asks about its account and its contacts, and keeps the canned answers."""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from redis.asyncio import Redis

from cluster.bot import taxonomy_of
from cluster.budgets import reply_budgets
from cluster.settings import Settings
from cluster.store.about import AboutStore
from cluster.store.dispatching import Presence
from cluster.store.searching import SearchStore
from models.domain.errors import Forbidden, NotFound
from models.domain.files import MOST_FILES
from models.domain.ids import is_contact_id
from models.intent.taxonomy import Taxonomy
from models.protocol import methods
from models.protocol.about import AccountAbout, Colleague, ContactAbout, FileRules, IntentName, ReplyBudget
from models.protocol.search import HistorySearch, SearchResult
from models.search.words import query_of
from models.security.tokens import AgentClaims
from models.timeline.agent_side import FILE_CHANNELS

#: Tells which agents of an account are there: a desk is open, and they did not choose to be offline.
WhoIsHere = Callable[[str], Awaitable[Collection[str]]]
_NEVER_CHOSEN = Presence(status="online")


class DeskAbout:
    """What stands around a desk.

    Args:
        store: reads it.
        here: asks the dispatcher.
        searching: looks for words in what was said.
        taxonomy: the intents of this system's model.
        settings: of the whole system.
    """

    def __init__(
        self,
        *,
        store: AboutStore,
        searching: SearchStore,
        here: WhoIsHere,
        taxonomy: Taxonomy,
        settings: Settings,
    ) -> None:
        self._settings = settings
        self._searching = searching
        self._store = store
        self._here = here
        self._intents = [IntentName(each.name, each.en, each.zh) for each in taxonomy]
        file_bytes = settings.limits.file_bytes if settings.files_folder else 0
        self._files = FileRules(file_bytes, MOST_FILES, sorted(FILE_CHANNELS))
        self.table: dict[str, Callable[[AgentClaims, Any], Awaitable[Any]]] = {
            "account.about": self._account,
            "contact.about": self._contact,
            "history.search": self._search,
            "canned.put": self._put,
            "canned.remove": self._remove,
        }

    async def _account(self, claims: AgentClaims, params: methods.Nothing) -> AccountAbout:
        account = claims.account
        users, presences = await self._store.people(account)
        here = set(await self._here(claims.account))
        colleagues: list[Colleague] = []
        for user in users:
            presence = presences.get(user.name, _NEVER_CHOSEN)
            colleagues.append(
                Colleague(user.name, user.role, user.skills, presence.status, presence.reason, user.name in here)
            )
        return AccountAbout(
            agents=colleagues,
            skills=sorted({*(skill for user in users for skill in user.skills), *await self._store.skills(account)}),
            intents=self._intents,
            canned=await self._store.canned(claims.account),
            answer_within_s=self._settings.answer_within_s(claims.account),
            files=self._files,
            tags=await self._store.tags(claims.account),
            budgets=self._budgets(claims.account),
        )

    def _budgets(self, account: str) -> list[ReplyBudget]:
        found = sorted(reply_budgets(self._settings, account).items())
        return [ReplyBudget(inbox, budget.answers, budget.within_ms / 1000) for inbox, budget in found]

    async def _contact(self, claims: AgentClaims, params: methods.ContactRef) -> ContactAbout:
        if not is_contact_id(params.contact):
            raise NotFound("no such contact")
        return await self._store.contact(claims.account, params.contact)

    async def _search(self, claims: AgentClaims, params: HistorySearch) -> SearchResult:
        if params.contact and not is_contact_id(params.contact):
            raise NotFound("no such contact")
        return await self._searching.search(
            claims.account, query_of(params.query), contact=params.contact, cursor=params.cursor
        )

    async def _put(self, claims: AgentClaims, params: methods.CannedPut) -> methods.Ok:
        _check_leads(claims)
        await self._store.put_canned(claims.account, params.name, params.text, claims.agent)
        return methods.Ok()

    async def _remove(self, claims: AgentClaims, params: methods.CannedRef) -> methods.Ok:
        _check_leads(claims)
        await self._store.remove_canned(claims.account, params.name, claims.agent)
        return methods.Ok()


def _check_leads(claims: AgentClaims) -> None:
    if claims.role == "agent":
        raise Forbidden("canned answers are for supervisors to change")


def make_desk_about(settings: Settings, redis: Redis, here: WhoIsHere) -> DeskAbout:
    """Make what a process needs to answer these methods.

    Args:
        settings: of the whole system.
        redis: a client that answers bytes.
        here: asks the dispatcher.
    """
    return DeskAbout(
        store=AboutStore(redis),
        searching=SearchStore(redis),
        here=here,
        taxonomy=taxonomy_of(settings.intent),
        settings=settings,
    )
