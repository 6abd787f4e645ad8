"""What admins change while raydesk runs, in a real store: one change at a time, and a trail of all."""

import asyncio

import msgspec
import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from cluster.store import administration, keys
from cluster.store.administration import AdministrationStore, hours_of_inbox, read_inbox
from cluster.store.directory import Directory
from cluster.store.following import Following
from models.administration.changes import Draft, Outdated, applied, reversal
from models.administration.hours import Hours, Span
from models.administration.inboxes import WebInbox
from models.administration.sections import CannedText, Person, Reply, Skill, Team
from models.domain.agent import User
from models.domain.errors import BadRequest, Conflict, NotFound, Unauthorized

pytestmark = pytest.mark.anyio
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse"
WORKDAYS = Hours(zone="Asia/Shanghai", week=((Span(opens="09:00", closes="18:00"),),) * 5 + ((), ()))
NOW_S = 1_800_000_000.0


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url, anyio_backend):
    async with Redis.from_url(empty_store_url) as client:
        yield client


@pytest.fixture
def directory(redis):
    return Directory(redis, hasher=QUICK, now=lambda: NOW_S)


@pytest.fixture
def store(redis, directory):
    return AdministrationStore(redis, directory, lambda: NOW_S)


def draft(section, name, before, after, by="zoe"):
    return Draft(section=section, name=name, before=before, after=after, by=by)


def any_change(_):
    return True


async def put(redis, section, name, value):
    await redis.hset(keys.administration("demo", section), name, msgspec.json.encode(value))


async def test_the_hours_of_an_inbox_are_those_that_it_names(redis):
    assert await hours_of_inbox(redis, "demo", "web") is None
    await put(redis, "inboxes", "web", WebInbox(title="Shop"))
    assert await hours_of_inbox(redis, "demo", "web") is None
    await put(redis, "inboxes", "web", WebInbox(title="Shop", hours="main"))
    assert await hours_of_inbox(redis, "demo", "web") is None, "what it names is not there: always open"
    await put(redis, "hours", "main", WORKDAYS)
    assert await hours_of_inbox(redis, "demo", "web") == WORKDAYS
    assert await read_inbox(redis, "demo", "web") == WebInbox(title="Shop", hours="main")
    assert await read_inbox(redis, "other", "web") is None


async def test_a_change_is_made_and_stands_in_the_trail(store):
    made = await store.change("demo", draft("skills", "billing", None, Skill(description="Money")))
    assert await store.entry("demo", "skills", "billing") == Skill(description="Money")
    then = await store.change("demo", draft("skills", "billing", Skill(description="Money"), None, by="yan"))
    assert await store.entries("demo", "skills") == {}
    assert await store.changes("demo", "", 10, any_change) == ([then, made], "")
    assert (made.before, made.after, made.by) == (None, {"description": "Money"}, "zoe")
    assert (then.before, then.after, then.by) == ({"description": "Money"}, None, "yan")
    assert await store.change_of("demo", made.id) == made
    assert await store.changes("other", "", 10, any_change) == ([], "")


class AllReadFirst(AdministrationStore):
    """A store whose callers have all read before one of them writes: what one reads again is read at once."""

    def __init__(self, redis, directory, callers):
        super().__init__(redis, directory, lambda: NOW_S)
        self._all = asyncio.Barrier(callers)
        self._reads = callers

    async def _raw(self, account, section, name):
        raw = await super()._raw(account, section, name)
        if self._reads:
            self._reads -= 1
            await self._all.wait()
        return raw


async def test_of_two_admins_who_began_with_the_same_one_is_told(store, redis, directory):
    await store.change("demo", draft("skills", "billing", None, Skill(description="0")))
    before = Skill(description="0")
    drafts = [draft("skills", "billing", before, Skill(description=str(n)), by=f"a{n}") for n in range(1, 9)]
    at_once = AllReadFirst(redis, directory, len(drafts))
    outcomes = await asyncio.gather(*(at_once.change("demo", each) for each in drafts), return_exceptions=True)
    made = [each for each in outcomes if not isinstance(each, Outdated)]
    assert len(made) == 1
    current = await store.entry("demo", "skills", "billing")
    assert current == Skill(description=made[0].by[1:])
    assert all(each.current == current for each in outcomes if isinstance(each, Outdated))
    assert len((await store.changes("demo", "", 100, any_change))[0]) == 2


async def test_a_new_password_between_reading_and_writing_is_kept(store, redis, directory):
    ann = Person(role="agent")
    await store.change("demo", draft("users", "ann", None, ann), PASSWORD)
    at_once = AllReadFirst(redis, directory, 2)
    again = msgspec.structs.replace(draft("users", "ann", ann, ann), note="password")
    more = draft("users", "ann", ann, Person(role="agent", skills=("vip",)))
    outcomes = await asyncio.gather(
        at_once.change("demo", again, "another horse"), at_once.change("demo", more), return_exceptions=True
    )
    lost = [each for each in outcomes if isinstance(each, Outdated)]
    trail, _ = await store.changes("demo", "", 100, any_change)
    assert len(trail) == 3 - len(lost), "who was not told is in the trail"
    user = await directory.verify(
        "demo", "ann", "another horse" if "password" in [each.note for each in trail] else PASSWORD
    )
    assert user == User(name="ann", skills=("vip",) if outcomes[1] not in lost else ())


async def test_two_who_change_different_entries_both_get_their_way(store):
    drafts = [draft("canned", f"c{n}", None, CannedText(text=str(n))) for n in range(20)]
    await asyncio.gather(*(store.change("demo", each) for each in drafts))
    assert await store.entries("demo", "canned") == {f"c{n}": CannedText(text=str(n)) for n in range(20)}


async def test_what_was_taken_back_is_as_it_was(store):
    await store.change("demo", draft("teams", "night", None, Team(skills=("a",))))
    change = await store.change("demo", draft("teams", "night", Team(skills=("a",)), Team(skills=("b",))))
    undone = await store.change("demo", reversal(change, "yan"))
    assert await store.entry("demo", "teams", "night") == Team(skills=("a",))
    assert undone.undoes == change.id
    with pytest.raises(Outdated):
        await store.change("demo", reversal(change, "yan"))
    await store.change("demo", reversal(undone, "zoe"))
    assert await store.entry("demo", "teams", "night") == Team(skills=("b",))


async def test_a_full_section_takes_nothing_more(store, monkeypatch):
    monkeypatch.setattr(administration, "MOST", {**administration.MOST, "skills": 2})
    for name in ("a", "b"):
        await store.change("demo", draft("skills", name, None, Skill()))
    with pytest.raises(Conflict, match="2 already"):
        await store.change("demo", draft("skills", "c", None, Skill()))
    await store.change("demo", draft("skills", "a", Skill(), Skill(description="changed")))
    assert len((await store.changes("demo", "", 10, any_change))[0]) == 3


async def test_the_trail_is_read_in_pages_and_by_what_is_wanted(store, monkeypatch):
    monkeypatch.setattr(administration, "_CHUNK", 3)
    for number in range(10):
        await store.change("demo", draft("skills", f"s{number}", None, Skill(), by="ann" if number % 3 else "ben"))
    first, more = await store.changes("demo", "", 4, any_change)
    second, more = await store.changes("demo", more, 4, any_change)
    third, end = await store.changes("demo", more, 4, any_change)
    assert [change.name for change in (*first, *second, *third)] == [f"s{n}" for n in range(9, -1, -1)]
    assert end == ""
    bens, _ = await store.changes("demo", "", 50, lambda change: change.by == "ben")
    assert [change.name for change in bens] == ["s9", "s6", "s3", "s0"]
    monkeypatch.setattr(administration, "_MOST_LOOKED_AT", 3)
    none, more = await store.changes("demo", "", 50, lambda change: change.name == "s0")
    assert (none, bool(more)) == ([], True)
    for wrong in ("x", "1-x", "-", "1", "\u0661-0"):
        with pytest.raises((BadRequest, NotFound)):
            await store.changes("demo", wrong, 4, any_change)
        with pytest.raises(NotFound):
            await store.change_of("demo", wrong)


# -- users


async def test_a_new_user_logs_in_and_a_changed_one_keeps_its_password(store, directory):
    ann = Person(role="agent", skills=("a",))
    await store.change("demo", draft("users", "ann", None, ann), PASSWORD)
    assert await directory.verify("demo", "ann", PASSWORD) == User(name="ann", skills=("a",))
    await store.change("demo", draft("users", "ann", ann, Person(role="supervisor", capacity=7)))
    assert await directory.verify("demo", "ann", PASSWORD) == User(name="ann", role="supervisor", capacity=7)
    with pytest.raises(BadRequest, match="needs a password"):
        await store.change("demo", draft("users", "ben", None, ann))
    with pytest.raises(BadRequest, match="8 to 1024"):
        await store.change("demo", draft("users", "ben", None, ann), "short")
    assert await directory.get("demo", "ben") is None


async def test_a_new_password_ends_sessions_and_is_not_in_the_trail(store, directory, redis):
    ann = Person(role="agent")
    await store.change("demo", draft("users", "ann", None, ann), PASSWORD)
    again = msgspec.structs.replace(draft("users", "ann", ann, ann), note="password")
    change = await store.change("demo", again, "another horse")
    assert change.note == "password"
    assert await directory.verify("demo", "ann", PASSWORD) is None
    assert await directory.verify("demo", "ann", "another horse") == User(name="ann")
    with pytest.raises(Unauthorized):
        await directory.session_user("demo", "ann", int(NOW_S) - 1)
    everything = b"".join(fields[b"e"] for _, fields in await redis.xrange(keys.audit("demo")))
    assert b"horse" not in everything
    assert b"argon2" not in everything


async def test_a_change_of_a_user_and_a_new_password_at_the_same_moment_both_happen(store, directory):
    ann = Person(role="agent")
    await store.change("demo", draft("users", "ann", None, ann), PASSWORD)
    await asyncio.gather(
        store.change("demo", draft("users", "ann", ann, Person(role="supervisor"))),
        directory.set_password("demo", "ann", "another horse"),
    )
    assert await directory.verify("demo", "ann", "another horse") == User(name="ann", role="supervisor")


async def test_those_who_follow_users_hear_of_people_and_of_teams(store, directory):
    for name in ("ann", "ben", "cat"):
        await store.change("demo", draft("users", name, None, Person(role="agent", skills=("own",))), PASSWORD)
    mark = (await directory.changes("demo", "")).mark
    night = Team(skills=("night",), members=("ann", "ben"))
    await store.change("demo", draft("teams", "night", None, night))
    heard = await directory.changes("demo", mark)
    assert {name: user and user.skills for name, user in heard.users.items()} == {
        "ann": ("own", "night"),
        "ben": ("own", "night"),
    }
    await store.change("demo", draft("teams", "night", night, Team(skills=("late",), members=("cat",))))
    heard = await directory.changes("demo", heard.mark)
    assert {name: user and user.skills for name, user in heard.users.items()} == {
        "ann": ("own",),
        "ben": ("own",),
        "cat": ("own", "late"),
    }
    everybody = await directory.changes("demo", "")
    assert everybody.whole
    assert everybody.users["cat"].skills == ("own", "late")
    assert (await directory.get("demo", "cat")).skills == ("own",), "those of teams are not the user's own"


# -- following


async def test_who_follows_sees_changes_at_the_next_look(store, redis):
    changed = []
    following = Following(redis, ("demo", "other"), changed=changed.append)
    await following.look()
    assert (changed, following.inbox("demo", "web"), following.hours("demo", "web")) == ([], None, None)
    await store.change("demo", draft("hours", "main", None, WORKDAYS))
    await store.change("demo", draft("inboxes", "web", None, WebInbox(skill="vip", hours="main")))
    await store.change("demo", draft("replies", "refund:en", None, Reply(wordings=("Soon.",))))
    await following.look()
    assert changed == ["demo"]
    assert following.inbox("demo", "web").skill == "vip"
    assert following.hours("demo", "web") == WORKDAYS
    assert following.said("demo").replies == {"refund:en": Reply(wordings=("Soon.",))}
    assert following.inbox("other", "web") is None
    await redis.config_resetstat()
    await following.look()
    stats = await redis.info("commandstats")
    assert {name for name in stats if "config" not in name} <= {"cmdstat_get", "cmdstat_info"}
    await store.change("demo", draft("inboxes", "web", WebInbox(skill="vip", hours="main"), None))
    await following.look()
    assert following.inbox("demo", "web") is None


async def test_a_store_that_went_back_is_followed_there(store, redis):
    await store.change("demo", draft("inboxes", "web", None, WebInbox(skill="a")))
    following = Following(redis, ("demo",))
    await following.look()
    await redis.flushall()
    await following.look()
    assert following.inbox("demo", "web") is None


async def test_who_follows_goes_on_by_itself(store, redis):
    following = Following(redis, ("demo",), poll_s=0.01)
    async with following.kept(), asyncio.timeout(5):
        await store.change("demo", draft("inboxes", "web", None, WebInbox(skill="a")))
        while following.inbox("demo", "web") is None:
            await asyncio.sleep(0.01)


# -- the store does what the pure functions say

_steps = st.lists(
    st.tuples(
        st.sampled_from(["skills", "canned"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=12,
)


def _value(section, number):
    if not number:
        return None
    return Skill(description=str(number)) if section == "skills" else CannedText(text=str(number))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
async def test_the_store_makes_the_changes_that_the_model_makes(store, redis, steps):
    await redis.flushall()
    entries = {}
    for section, name, before, after in steps:
        wanted = draft(section, name, _value(section, before), _value(section, after))
        current = entries.get((section, name))
        if current == wanted.before:
            await store.change("demo", wanted)
            entries = applied(entries, wanted)
        else:
            with pytest.raises(Outdated) as refused:
                await store.change("demo", wanted)
            assert refused.value.current == current
            with pytest.raises(Outdated):
                applied(entries, wanted)
        for each in ("skills", "canned"):
            there = {name: value for (where, name), value in entries.items() if where == each}
            assert await store.entries("demo", each) == there
