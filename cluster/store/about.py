"""What desks ask about their account and their contacts, and the canned answers that an account keeps.

Everything but the canned answers is written elsewhere and only read here. They are a section of what admins change
(`cluster.store.administration`), with its trail: two who change different ones at the same moment both get their way,
and of two changes of one the later counts.
"""

import contextlib
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.administration import AdministrationStore
from cluster.store.directory import Directory
from cluster.store.dispatching import DispatchingStore, Presence
from cluster.store.reading import Reading
from cluster.store.searching import contact_cases
from cluster.store.teams import read_team_skills
from models.administration.changes import Draft, Outdated
from models.administration.sections import CannedText
from models.administration.teams import with_team_skills
from models.bot.found import Found, find
from models.domain.agent import User
from models.domain.errors import NotFound
from models.domain.message import Message
from models.protocol.about import MOST_CONVERSATIONS, Canned, ContactAbout, FoundInMessages

#: Messages that are searched for numbers; what was written before them was answered long ago.
_SEARCHED = 50
_message = msgspec.json.Decoder(Message)


class AboutStore:
    """The store as desks ask about it.

    Args:
        redis: a client that answers bytes.
        phone_regions: countries whose phone numbers contacts write without ``+`` and country code.
    """

    def __init__(self, redis: Redis, *, phone_regions: tuple[str, ...] = ("CN", "US")) -> None:
        self._redis = redis
        self._directory = Directory(redis)
        self._administration = AdministrationStore(redis, self._directory, time.time)
        self._dispatching = DispatchingStore(redis)
        self._reading = Reading(redis)
        self._regions = phone_regions

    async def people(self, account: str) -> tuple[list[User], Mapping[str, Presence]]:
        """Return who may log in, by name and with the skills of their teams, and the presence each chose last."""
        skills = await read_team_skills(self._redis, account)
        users = [with_team_skills(user, skills) for user in await self._directory.list(account) if user.active]
        return users, await self._dispatching.presences(account)

    async def tags(self, account: str) -> list[str]:
        """Return the tags in use, those used last first."""
        found = await cast("Awaitable[list[bytes]]", self._redis.zrevrange(keys.tags(account), 0, -1))
        return [tag.decode() for tag in found]

    async def skills(self, account: str) -> list[str]:
        """Return the skills that admins wrote down."""
        found = await cast("Awaitable[list[bytes]]", self._redis.hkeys(keys.administration(account, "skills")))
        return [name.decode() for name in found]

    # -- canned answers

    async def canned(self, account: str) -> list[Canned]:
        """Return the canned answers by name."""
        found = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(keys.canned(account)))
        return [Canned(name.decode(), text.decode()) for name, text in sorted(found.items())]

    async def put_canned(self, account: str, name: str, text: str, by: str) -> None:
        """Keep a canned answer, in place of the one of its name.

        Raises:
            Conflict: the account has as many as it may.
        """
        await self._change_canned(account, name, CannedText(text=text), by)

    async def remove_canned(self, account: str, name: str, by: str) -> None:
        """Give a canned answer up.

        Raises:
            NotFound: there is none of this name.
        """
        await self._change_canned(account, name, None, by)

    async def _change_canned(self, account: str, name: str, after: CannedText | None, by: str) -> None:
        """Change one, again if somebody else did meanwhile."""
        while True:
            before = await self._administration.entry(account, "canned", name)
            if before is None and after is None:
                raise NotFound("no canned answer of this name")
            if before == after:
                return
            draft = Draft(section="canned", name=name, before=before, after=after, by=by)
            with contextlib.suppress(Outdated):
                await self._administration.change(account, draft)
                return

    # -- a contact

    async def contact(self, account: str, contact: str) -> ContactAbout:
        """Return who a contact is, its conversations, and what stood in its messages.

        Raises:
            NotFound: nobody of this account wrote under this id.
        """
        contact, person = await self._reading.contact(account, contact)
        if person is None:
            raise NotFound("no such contact")
        names = (await contact_cases(self._redis, self._reading, account, contact))[:MOST_CONVERSATIONS]
        seen = await cast("Awaitable[bytes | None]", self._redis.hget(keys.visit_acked(account), contact))
        records = await self._records(account, names)
        return ContactAbout(
            contact=contact,
            identities=person.identities,
            last_agent=person.last_agent,
            seen=seen.decode() if seen else "",
            conversations=[msgspec.Raw(record) for record in records],
            found=await self._found(account, names[:1]),
            joined=person.joined,
        )

    async def _records(self, account: str, conversations: list[str]) -> list[bytes]:
        if not conversations:
            return []
        found = await cast(
            "Awaitable[list[bytes | None]]",
            self._redis.mget([keys.conversation(account, name) for name in conversations]),
        )
        return [record for record in found if record]

    async def _found(self, account: str, conversations: list[str]) -> FoundInMessages:
        """Search the newest messages of the newest conversation."""
        messages: list[bytes] = []
        for name in conversations:
            messages += await cast(
                "Awaitable[list[bytes]]", self._redis.lrange(keys.session(account, name), 0, _SEARCHED - 1)
            )
        decoded = map(_message.decode, messages)
        return _gathered(find(each.text, self._regions) for each in decoded if each.author == "contact")


def _gathered(found: Iterable[Found]) -> FoundInMessages:
    kinds: dict[str, dict[str, None]] = {name: {} for name in FoundInMessages.__struct_fields__}
    for each in found:
        for name, values in kinds.items():
            value = getattr(each, name)
            if value is not None:
                values[value] = None
    return FoundInMessages(**{name: list(values) for name, values in kinds.items()})
