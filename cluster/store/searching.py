"""Search in what was said: the newest conversations are read and looked through, a bounded stretch at a time.

No index of words is kept, so appending costs nothing more and nothing that was found can be out of date
(docs/adr/0016-search-reads-what-was-said.md). A call ends when it found enough, looked through enough, or took its
time, and tells how far back it came; the next one goes on there. So all of the history can be searched, in stretches.

The search gives way: between two reads others have their turn, and of one process only a few searches run at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import msgspec
from redis.asyncio import Redis

from cluster.store import keys
from cluster.store.reading import Reading
from models.domain.conversation import ConversationRecord
from models.domain.errors import BadRequest, NotFound, Unavailable
from models.domain.ids import contact_id, is_conversation_id, opened_at_ms
from models.domain.message import Author
from models.protocol.search import MOST_FOUND, MOST_SHOWN, FoundConversation, FoundMessage, SearchResult
from models.search.words import Query, excerpt

#: Conversations that one call looks through at most, and how long it may take, about.
MOST_SEARCHED = 5_000
PATIENCE_S = 0.5
#: Of a conversation its newest messages are looked through.
MOST_MESSAGES = 2_000
#: Read together: a read must be short, as the store does nothing else meanwhile, nor does this process.
_AT_ONCE = 16
_PAGE = 200
#: Of one contact no more conversations than these are looked for.
_MOST_CASES = 1_000
_SEARCHES = 2
_MAY_WAIT = 8


class _Said(msgspec.Struct, frozen=True, gc=False):
    """The part of a message that a search looks at."""

    id: str
    seq: int
    at_ms: int
    author: Author
    author_id: str = ""
    text: str = ""
    internal: bool = False


class _Stretch(msgspec.Struct, frozen=True):
    """Conversations to look through, newest first, and the cursor behind each of them."""

    names: list[str]
    cursors: list[str]


_record = msgspec.json.Decoder(ConversationRecord)
_said = msgspec.json.Decoder(_Said)


class SearchStore:
    """The store as a search reads it.

    Args:
        redis: a client that answers bytes.
        monotonic: tells the time that passes, in seconds.
    """

    def __init__(self, redis: Redis, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._reading = Reading(redis)
        self._monotonic = monotonic
        self._running = asyncio.Semaphore(_SEARCHES)
        self._wait = 0

    async def search(self, account: str, query: Query, *, contact: str = "", cursor: str = "") -> SearchResult:
        """Look through an account's conversations, or one contact's, from the newest back.

        Args:
            account: whose; others' cannot be reached.
            query: what is looked for.
            contact: id of a contact; empty means all.
            cursor: of the result to go on from; empty means the newest.

        Raises:
            BadRequest: the query is empty, or the cursor is none.
            NotFound: no such contact.
            Unavailable: too many searches run here already.
        """
        if query.empty:
            raise BadRequest("type what to look for")
        if self._wait >= _MAY_WAIT:
            raise Unavailable("many are searching; try again in a moment")
        self._wait += 1
        try:
            async with self._running:
                stretch = await self._stretch(account, contact, cursor)
                return await self._look_through(account, query, stretch)
        finally:
            self._wait -= 1

    # -- where to look

    async def _stretch(self, account: str, contact: str, cursor: str) -> _Stretch:
        return await (self._of_contact(account, contact, cursor) if contact else self._of_all(account, cursor))

    async def _of_all(self, account: str, cursor: str) -> _Stretch:
        """Return the next conversations of the account; a cursor is the place from the oldest on, which never moves."""
        name = keys.conversations(account)
        length = await self._redis.llen(name)
        place = _place(cursor, length)
        # the list grows at its head, so places are counted from its end; -1 is the oldest
        last = min(-1, MOST_SEARCHED - place - 1)
        found = await cast("Awaitable[list[bytes]]", self._redis.lrange(name, -place, last)) if place else []
        names = [each.decode() for each in found]
        return _Stretch(names, [str(rest) if (rest := place - at) else "" for at in range(1, len(names) + 1)])

    async def _of_contact(self, account: str, contact: str, cursor: str) -> _Stretch:
        """Return the conversations of a contact, those of the identities that were joined with it among them."""
        if cursor and not is_conversation_id(cursor):
            raise BadRequest("this is no cursor of a search for this contact")
        names = [
            name
            for name in await contact_cases(self._redis, self._reading, account, contact)
            if not cursor or name < cursor
        ]
        return _Stretch(names, [*names[:-1], ""] if names else [])

    # -- looking

    async def _look_through(self, account: str, query: Query, stretch: _Stretch) -> SearchResult:
        found: list[FoundConversation] = []
        give_up_at = self._monotonic() + PATIENCE_S
        at = 0
        while at < len(stretch.names) and len(found) < MOST_FOUND and self._monotonic() < give_up_at:
            names = stretch.names[at : at + _AT_ONCE]
            for each in await self._found_in(account, query, names):
                at += 1
                if each is not None:
                    found.append(each)
                if len(found) == MOST_FOUND:
                    break
        return SearchResult(
            found=found,
            searched=at,
            cursor=stretch.cursors[at - 1] if at else "",
            until_ms=opened_at_ms(stretch.names[at - 1]) if at else 0,
        )

    async def _found_in(self, account: str, query: Query, names: Sequence[str]) -> list[FoundConversation | None]:
        """Look through some conversations; one outcome each, in their order."""
        records = await cast(
            "Awaitable[list[bytes | None]]", self._redis.mget([keys.conversation(account, name) for name in names])
        )
        outcomes: list[FoundConversation | None] = [None] * len(names)
        wanted = [at for at, data in enumerate(records) if data is not None and _may_fit(_record.decode(data), query)]
        messages: dict[int, list[FoundMessage]] = {at: [] for at in wanted}
        if query.words:
            await self._read_messages(account, query, names, messages)
        for at, shown in messages.items():
            record = records[at]
            if record is not None and (shown or not query.words):
                outcomes[at] = FoundConversation(msgspec.Raw(record), shown)
        return outcomes

    async def _read_messages(
        self, account: str, query: Query, names: Sequence[str], found: dict[int, list[FoundMessage]]
    ) -> None:
        """Look through the messages of some conversations, page by page from the newest, and note what fits."""
        unread = list(found)
        for start in range(0, MOST_MESSAGES, _PAGE):
            if not unread:
                return
            async with self._redis.pipeline(transaction=False) as pipe:
                for at in unread:
                    pipe.lrange(keys.session(account, names[at]), start, start + _PAGE - 1)
                pages = cast("list[list[bytes]]", await pipe.execute())
            for at, page in zip(list(unread), pages, strict=True):
                _note(query, page, found[at])
                if len(page) < _PAGE or len(found[at]) >= MOST_SHOWN:
                    unread.remove(at)


async def contact_cases(redis: Redis, reading: Reading, account: str, contact: str) -> list[str]:
    """List the conversations of a contact and of the identities that are known to be the same person, newest first.

    What was said before two were joined stays where it was said, so each of them is asked.

    Raises:
        NotFound: nobody of this account wrote under this id.
    """
    contact, person = await reading.contact(account, contact)
    if person is None:
        raise NotFound("no such contact")
    own = [contact_id(account, each.channel, each.inbox, each.external_id) for each in person.identities]
    joined = [each.contact for each in person.joined if not each.undone_ms]
    async with redis.pipeline(transaction=False) as pipe:
        for each in dict.fromkeys([contact, *own, *joined]):
            pipe.lrange(keys.cases(account, each), 0, _MOST_CASES - 1)
        lists = cast("list[list[bytes]]", await pipe.execute())
    return sorted({name.decode() for names in lists for name in names}, reverse=True)[:_MOST_CASES]


def _may_fit(record: ConversationRecord, query: Query) -> bool:
    # what was merged stands in the conversation that it went into
    return record.state != "merged" and query.has_tags(record.tags)


def _note(query: Query, page: Sequence[bytes], found: list[FoundMessage]) -> None:
    for data in page:
        said = _said.decode(data)
        if said.author == "system" or not said.text or not query.fits(said.text):
            continue
        found.append(
            FoundMessage(
                said.id, said.seq, said.at_ms, said.author, said.author_id, said.internal, excerpt(said.text, query)
            )
        )
        if len(found) == MOST_SHOWN:
            return


def _place(cursor: str, length: int) -> int:
    """Return how many conversations are left to look through behind a cursor.

    Raises:
        BadRequest: it is none.
    """
    if not cursor:
        return length
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > 12:
        raise BadRequest("this is no cursor of a search")
    return min(int(cursor), length)
