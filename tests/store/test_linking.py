"""Linking over the real core and the real store: what was written anywhere stands in one conversation."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis

from cluster import linking
from cluster.clients import RouterClient
from cluster.linking import Linker
from cluster.store import keys
from models.domain.commands import Adopt, AnyCommand, Export, Move, Part, Receipt, Receive, Resolve
from models.domain.conversation import ContactRecord, ConversationRecord
from models.domain.errors import Conflict, NotFound, Unavailable
from models.domain.identity import Identity
from models.domain.ids import user_contact_id
from models.domain.message import Message
from tests.fakes import LocalRouter

pytestmark = pytest.mark.anyio
WECHAT = Identity(account="demo", channel="wechat", inbox="wechat", external_id="oABC")
WEB = Identity(account="demo", channel="web", inbox="web", external_id="v123")
USER = user_contact_id("demo", "u-1")
OTHER = user_contact_id("demo", "u-2")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def redis(empty_store_url: str, anyio_backend: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(empty_store_url) as client:
        yield client


@pytest.fixture
def local(redis: Redis) -> LocalRouter:
    return LocalRouter(redis)


@pytest.fixture
def router(local: LocalRouter) -> RouterClient:
    return RouterClient(local.carry, shards=1, batch_bytes=80_000, queue_limit=1000, deadline_s=2)


async def write(router: RouterClient, who: Identity, text: str, contact: str = "") -> Receipt:
    return await router.receive(
        Receive(
            account=who.account,
            contact=contact or who.contact,
            channel=who.channel,
            inbox=who.inbox,
            external_id=who.external_id,
            source_id=text,
            text=text,
            received_at_ms=1,
        )
    )


async def texts(redis: Redis, conversation: str) -> list[str]:
    found = await redis.lrange(keys.session("demo", conversation), 0, -1)
    return [msgspec.json.decode(data, type=Message).text for data in reversed(found)]


async def test_two_channels_become_one_conversation(router: RouterClient, redis: Redis) -> None:
    await write(router, WECHAT, "from wechat")
    await write(router, WEB, "from the page")
    linker = Linker(router)
    assert await linker.link(WECHAT, USER) == USER
    assert await linker.link(WEB, USER) == USER
    later = await write(router, WECHAT, "again from wechat")
    assert await texts(redis, later.conversation) == ["from wechat", "from the page", "again from wechat"]


async def test_a_link_that_exists_changes_nothing(router: RouterClient, local: LocalRouter, redis: Redis) -> None:
    first = await write(router, WECHAT, "hello")
    linker = Linker(router)
    await linker.link(WECHAT, USER)
    del local.commands[:]
    assert await linker.link(WECHAT, USER) == USER
    assert [type(command) for command in local.commands] == [Export]
    after = await write(router, WECHAT, "more")
    assert first.conversation != after.conversation
    assert await texts(redis, after.conversation) == ["hello", "more"]


async def test_somebody_who_never_wrote_can_be_linked(router: RouterClient, redis: Redis) -> None:
    await Linker(router).link(WEB, USER)
    receipt = await write(router, WEB, "first words")
    record = msgspec.json.decode(await redis.get(keys.conversation("demo", receipt.conversation)))
    assert record["contact"] == USER


async def test_what_is_written_between_the_steps_is_not_lost(
    router: RouterClient, local: LocalRouter, redis: Redis
) -> None:
    await write(router, WECHAT, "one")
    written: list[str] = []

    async def write_before_the_first_two_moves(command: AnyCommand) -> None:
        if isinstance(command, Move) and len(written) < 2:
            written.append(f"late {len(written)}")
            message = Receive(
                account="demo",
                contact=WECHAT.contact,
                channel="wechat",
                inbox="wechat",
                external_id="oABC",
                source_id=written[-1],
                text=written[-1],
                received_at_ms=1,
            )
            await local.apply([message])

    local.before = write_before_the_first_two_moves
    await Linker(router).link(WECHAT, USER)
    receipt = await write(router, WECHAT, "last")
    assert await texts(redis, receipt.conversation) == ["one", "late 0", "late 1", "last"]


async def test_a_contact_that_writes_at_every_try_is_told_to_come_again(
    router: RouterClient, local: LocalRouter
) -> None:
    async def write_before_every_move(command: AnyCommand) -> None:
        if isinstance(command, Move):
            text = f"late {len(local.commands)}"
            await local.apply(
                [
                    Receive(
                        account="demo",
                        contact=WECHAT.contact,
                        channel="wechat",
                        inbox="wechat",
                        external_id="oABC",
                        source_id=text,
                        text=text,
                        received_at_ms=1,
                    )
                ]
            )

    local.before = write_before_every_move
    with pytest.raises(Unavailable):
        await Linker(router).link(WECHAT, USER)
    assert sum(isinstance(command, Adopt) for command in local.commands) == linking.MAX_TRIES
    local.before = None
    assert await Linker(router).link(WECHAT, USER) == USER


async def test_a_link_that_broke_half_way_is_completed_by_the_next_one(
    router: RouterClient, local: LocalRouter, redis: Redis
) -> None:
    await write(router, WECHAT, "one")

    async def break_at_the_move(command: AnyCommand) -> None:
        if isinstance(command, Move):
            raise Unavailable("router:0 is down")

    short = RouterClient(local.carry, shards=1, batch_bytes=80_000, queue_limit=1000, deadline_s=0.1)
    local.before = break_at_the_move
    with pytest.raises(Unavailable):
        await Linker(short).link(WECHAT, USER)
    local.before = None
    await Linker(router).link(WECHAT, USER)
    receipt = await write(router, WECHAT, "two")
    assert await texts(redis, receipt.conversation) == ["one", "two"]


async def test_an_identity_of_one_user_is_not_given_to_another(router: RouterClient) -> None:
    await Linker(router).link(WECHAT, USER)
    with pytest.raises(Conflict, match="another user"):
        await Linker(router).link(WECHAT, OTHER)


async def test_a_contact_is_not_linked_to_itself(router: RouterClient, local: LocalRouter) -> None:
    assert await Linker(router).link(WEB, WEB.contact) == WEB.contact
    assert local.commands == []


async def test_a_target_that_moved_is_followed(router: RouterClient) -> None:
    user = Identity(account="demo", channel="user", inbox="", external_id="u-1")
    assert user.contact == USER
    await Linker(router).link(user, OTHER)
    assert await Linker(router).link(WEB, USER) == OTHER
    assert await Linker(router).link(WEB, USER) == OTHER
    assert await Linker(router).link(WEB, OTHER) == OTHER


# -- joining by an agent, and parting --------------------------------------------------------------------


@pytest.fixture
async def two(router: RouterClient) -> tuple[str, str]:
    """The conversations of two contacts of which nobody knows that they are one."""
    return (await write(router, WECHAT, "from wechat")).conversation, (
        await write(router, WEB, "from web")
    ).conversation


async def person(redis: Redis, contact: str) -> ContactRecord:
    return msgspec.json.decode(await redis.get(keys.contact("demo", contact)), type=ContactRecord)


async def record(redis: Redis, conversation: str) -> ConversationRecord:
    return msgspec.json.decode(await redis.get(keys.conversation("demo", conversation)), type=ConversationRecord)


async def test_two_contacts_joined_are_one_and_it_is_known_who_said_so(
    router: RouterClient, redis: Redis, two: tuple[str, str]
) -> None:
    await Linker(router).join("demo", WECHAT.contact, WEB.contact, "ann")
    later = await write(router, WECHAT, "again")
    assert later.conversation == two[1]
    assert await texts(redis, two[1]) == ["from web", "from wechat", "again"]
    found = await person(redis, WEB.contact)
    assert [each.channel for each in found.identities] == ["web", "wechat"]
    assert [(each.contact, each.by, each.undone_ms) for each in found.joined] == [(WECHAT.contact, "ann", 0)]
    with pytest.raises(Conflict, match="one contact already"):
        await Linker(router).join("demo", WECHAT.contact, WEB.contact, "ann")


async def test_parted_contacts_are_two_again_and_each_goes_on_with_its_own(
    router: RouterClient, redis: Redis, two: tuple[str, str]
) -> None:
    linker = Linker(router)
    await linker.join("demo", WECHAT.contact, WEB.contact, "ann")
    await write(router, WECHAT, "while joined")
    await linker.part("demo", WECHAT.contact, WEB.contact, "bob")
    # this client remembers where wechat had gone; another one does not
    assert (await write(router, WECHAT, "wechat again")).conversation == two[0]
    assert (await write(router, WEB, "web again")).conversation == two[1]
    assert (await write(router, WEB, "and again")).conversation == two[1]
    assert await texts(redis, two[0]) == ["from wechat", "conversation.reopened", "wechat again"]
    assert await texts(redis, two[1]) == ["from web", "from wechat", "while joined", "web again", "and again"]
    assert (await record(redis, two[0])).state == "waiting"
    assert (await record(redis, two[0])).preferred == "bob"
    assert [each.channel for each in (await record(redis, two[1])).threads] == ["web"]
    found = await person(redis, WEB.contact)
    assert [each.channel for each in found.identities] == ["web"]
    assert [(each.by, each.undone_by) for each in found.joined] == [("ann", "bob")]
    assert found.joined[0].undone_ms


async def test_what_was_parted_can_be_joined_again(router: RouterClient, redis: Redis, two: tuple[str, str]) -> None:
    linker = Linker(router)
    for time in range(2):
        await linker.join("demo", WECHAT.contact, WEB.contact, "ann")
        assert (await write(router, WECHAT, f"joined {time}")).conversation == two[1]
        await linker.part("demo", WECHAT.contact, WEB.contact, "ann")
        assert (await write(router, WECHAT, f"parted {time}")).conversation == two[0]
    assert [bool(each.undone_ms) for each in (await person(redis, WEB.contact)).joined] == [True, True]


async def test_a_part_that_broke_half_way_is_completed_by_the_next_one(
    router: RouterClient, local: LocalRouter, redis: Redis, two: tuple[str, str]
) -> None:
    linker = Linker(router)
    await linker.join("demo", WECHAT.contact, WEB.contact, "ann")

    async def break_at_the_part(command: AnyCommand) -> None:
        if isinstance(command, Part):
            raise Unavailable("router:0 is down")

    short = RouterClient(local.carry, shards=1, batch_bytes=80_000, queue_limit=1000, deadline_s=0.1)
    local.before = break_at_the_part
    with pytest.raises(Unavailable):
        await Linker(short).part("demo", WECHAT.contact, WEB.contact, "ann")
    local.before = None
    await linker.part("demo", WECHAT.contact, WEB.contact, "ann")
    assert (await write(router, WECHAT, "at home")).conversation == two[0]
    await linker.part("demo", WECHAT.contact, WEB.contact, "ann")


async def test_a_conversation_that_was_all_the_others_ends_when_they_part(router: RouterClient, redis: Redis) -> None:
    home = await write(router, WECHAT, "hello")
    await Linker(router).link(WEB, USER)
    assert (await write(router, WEB, "an old case")).conversation
    user_case = (await person(redis, USER)).open
    await router.ask(Resolve(account="demo", conversation=user_case, by="sue", role="supervisor"))
    linker = Linker(router)
    await linker.join("demo", WECHAT.contact, USER, "ann")
    carried = (await person(redis, USER)).open
    await linker.part("demo", WECHAT.contact, USER, "ann")
    assert (await record(redis, carried)).state == "resolved"
    assert (await record(redis, home.conversation)).state == "waiting"
    assert (await person(redis, USER)).open == ""


async def test_only_what_an_agent_joined_is_parted(router: RouterClient, two: tuple[str, str]) -> None:
    linker = Linker(router)
    with pytest.raises(NotFound):
        await linker.part("demo", WECHAT.contact, WEB.contact, "ann")
    with pytest.raises(NotFound):
        await linker.join("demo", USER, WEB.contact, "ann")
