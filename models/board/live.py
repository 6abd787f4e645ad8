"""The moment as supervisors see it: made from what the store's indexes, the records and the processes say.

Nothing here is counted twice or guessed: what was not read is told as left out, and what nobody answered for is None.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from models.board.hours import Row
from models.board.system import System
from models.domain.agent import User
from models.domain.conversation import ConversationRecord
from models.domain.message import Author
from models.routing.roster import Status
from models.timeline.waits import waits_since

#: Conversations that are shown, the most urgent ones; the numbers are of all that were read.
MOST_CASES = 100
_PREVIEW_CHARS = 120
_NEVER = 1 << 62


class Heard(msgspec.Struct, frozen=True, gc=False):
    """The part of a stored message that the board looks at."""

    seq: int
    author: Author
    at_ms: int
    text: str = ""
    author_id: str = ""
    internal: bool = False


class Open(msgspec.Struct, frozen=True):
    """An open conversation as it was read.

    Args:
        record: its record.
        length: how many messages it has.
        newest: the newest of them, newest first.
    """

    record: ConversationRecord
    length: int
    newest: Sequence[Heard]


class Chosen(msgspec.Struct, frozen=True):
    """The presence that an agent chose, why, and when."""

    status: Status = "online"
    reason: str = ""
    at_ms: int = 0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the store said of an account at one moment.

    Args:
        at_ms: the moment.
        waiting, waiting_late, with_bot, snoozed: how many in all.
        held: agent -> how many it holds in all, offers among them.
        open: the conversations that were read: those that wait longest, and those that agents hold.
        not_read: how many others wait or are held.
        users, chosen: who may log in, and the presence that they chose.
        here: who is there; None when nobody could say.
        hour, before: what was counted in this hour and in the one before.
        system: how the processes do.
    """

    at_ms: int
    waiting: int
    waiting_late: int
    held: Mapping[str, int]
    with_bot: int
    snoozed: int
    open: Sequence[Open]
    not_read: int
    users: Sequence[User]
    chosen: Mapping[str, Chosen]
    here: Collection[str] | None
    hour: Row
    before: Row
    system: System


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An open conversation."""

    id: Annotated[str, Meta(description="The SessionID.")]
    contact: Annotated[str, Meta(description="Id of the contact.")]
    name: Annotated[str, Meta(description="The account's own name of a user; empty for somebody anonymous.")]
    state: Annotated[str, Meta(description="`waiting`, `offered` or `assigned`.")]
    agent: Annotated[str, Meta(description="Who has it; or empty.")]
    skill: Annotated[str, Meta(description="The skill that its agent must have; or empty.")]
    channel: Annotated[str, Meta(description="Where the contact wrote last.")]
    intent: Annotated[str, Meta(description="What the contact wants, by its name; or empty.")]
    opened_at_ms: Annotated[int, Meta(description="Unix time at which it began, in milliseconds.")]
    since_ms: Annotated[int | None, Meta(description="Since when the contact waits; null: it does not.")]
    late: Annotated[bool, Meta(description="Whether it waits longer than it should.")]
    author: Annotated[str, Meta(description="Who spoke last: `contact`, `agent`, `bot`; or empty.")]
    text: Annotated[str, Meta(description="The beginning of what was said last.")]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The conversations that ask for one skill, and who could take them."""

    skill: Annotated[str, Meta(description="The skill; empty: those that any agent can take.")]
    waiting: Annotated[int, Meta(description="How many wait for an agent, of those that were read.")]
    held: Annotated[int, Meta(description="How many agents have, of those that were read.")]
    late: Annotated[int, Meta(description="In how many of both the contact waits longer than it should.")]
    oldest_ms: Annotated[int | None, Meta(description="Since when the first in line waits; null: nobody does.")]
    agents: Annotated[int | None, Meta(description="Agents who could be given one, full or not; null: not known.")]
    free: Annotated[int | None, Meta(description="How many conversations they have room for; null: not known.")]


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may log in."""

    name: Annotated[str, Meta(description="The name.")]
    role: Annotated[str, Meta(description="`agent`, `supervisor` or `admin`.")]
    skills: Annotated[tuple[str, ...], Meta(description="The skill groups that they belong to.")]
    status: Annotated[Status, Meta(description="The presence that they chose last.")]
    reason: Annotated[str, Meta(description="Why, in their words.")]
    since_ms: Annotated[int | None, Meta(description="Since when; null: they never chose.")]
    here: Annotated[bool | None, Meta(description="Whether a desk of theirs is open; null: not known.")]
    capacity: Annotated[int, Meta(description="How many conversations they may hold at once.")]
    held: Annotated[int, Meta(description="How many they hold, offers among them.")]
    offered: Annotated[int, Meta(description="How many of them are offers.")]
    late: Annotated[int, Meta(description="In how many the contact waits longer than it should.")]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The account in a few numbers."""

    waiting: Annotated[int, Meta(description="Conversations that wait for an agent.")]
    waiting_late: Annotated[int, Meta(description="Those of them that wait longer than they should.")]
    oldest_ms: Annotated[int | None, Meta(description="Since when the first in line waits; null: nobody does.")]
    held: Annotated[int, Meta(description="Conversations that agents have, offers among them.")]
    held_late: Annotated[int, Meta(description="Those in which the contact waits longer than it should.")]
    with_bot: Annotated[int, Meta(description="Conversations that the bot has.")]
    snoozed: Annotated[int, Meta(description="Conversations that are laid aside.")]
    here: Annotated[int | None, Meta(description="Agents who are there; null: not known.")]
    free: Annotated[int | None, Meta(description="Conversations that they have room for; null: not known.")]
    not_read: Annotated[int, Meta(description="Conversations that are in the totals and in no group or list.")]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """An account at one moment."""

    at_ms: Annotated[int, Meta(description="The moment, as Unix time in milliseconds.")]
    answer_within_s: Annotated[float, Meta(description="Seconds within which a contact shall get an answer.")]
    totals: Totals
    groups: Annotated[list[Group], Meta(description="By skill, the one that waits longest first.")]
    agents: Annotated[list[Agent], Meta(description="Those who are there first, then by name.")]
    cases: Annotated[list[Case], Meta(description=f"The most urgent conversations, at most {MOST_CASES}.")]
    hour: Annotated[Row, Meta(description="What was counted in this hour so far.")]
    before: Annotated[Row, Meta(description="What was counted in the hour before.")]
    system: Annotated[System, Meta(description="How the processes do; the same for all accounts.")]


def board_of(found: Found, *, answer_within_s: float, default_capacity: int) -> Board:
    """Show what was found.

    Args:
        found: at one moment.
        answer_within_s: seconds within which a contact shall get an answer.
        default_capacity: of agents whose user has none of its own.
    """
    late_before_ms = found.at_ms - int(answer_within_s * 1000)
    cases = sorted((_case(each, late_before_ms) for each in found.open), key=_urgency)
    held: dict[str, list[Case]] = {}
    for case in cases:
        if case.state != "waiting":
            held.setdefault(case.agent, []).append(case)
    agents = [_agent(user, found, held.get(user.name, ()), default_capacity) for user in found.users if user.active]
    waiting = [case.since_ms for case in cases if case.state == "waiting" and case.since_ms]
    return Board(
        at_ms=found.at_ms,
        answer_within_s=answer_within_s,
        totals=Totals(
            waiting=found.waiting,
            waiting_late=found.waiting_late,
            oldest_ms=min(waiting, default=None),
            held=sum(found.held.values()),
            held_late=sum(case.late for case in cases if case.state != "waiting"),
            with_bot=found.with_bot,
            snoozed=found.snoozed,
            here=None if found.here is None else sum(agent.here is True for agent in agents),
            free=_room(agents) if found.here is not None else None,
            not_read=found.not_read,
        ),
        groups=_groups(cases, agents, known=found.here is not None),
        agents=sorted(agents, key=lambda agent: (not agent.here, agent.status != "online", agent.name)),
        cases=cases[:MOST_CASES],
        hour=found.hour,
        before=found.before,
        system=found.system,
    )


def _case(each: Open, late_before_ms: int) -> Case:
    record = each.record
    since_ms = record.waiting_since_ms
    if record.state != "waiting":
        since_ms = waits_since(record, each.newest, whole=len(each.newest) >= each.length)
    last = next((said for said in each.newest if not said.internal and said.author != "system"), None)
    thread = record.threads[-1] if record.threads else None
    external_id = thread.external_id if thread else ""
    return Case(
        id=record.id,
        contact=record.contact,
        name=external_id.removeprefix("user:") if external_id.startswith("user:") else "",
        state=record.state,
        agent=record.agent,
        skill=record.skill,
        channel=thread.channel if thread else "",
        intent=record.insight.intent if record.insight else "",
        opened_at_ms=record.opened_at_ms,
        since_ms=since_ms or None,
        late=bool(since_ms) and since_ms < late_before_ms,
        author=last.author if last else "",
        text=last.text[:_PREVIEW_CHARS] if last else "",
    )


def _urgency(case: Case) -> tuple[int, str]:
    return case.since_ms or _NEVER, case.id


def _agent(user: User, found: Found, own: Sequence[Case], default_capacity: int) -> Agent:
    chosen = found.chosen.get(user.name, Chosen())
    return Agent(
        name=user.name,
        role=user.role,
        skills=user.skills,
        status=chosen.status,
        reason=chosen.reason,
        since_ms=chosen.at_ms or None,
        here=None if found.here is None else user.name in found.here,
        capacity=user.capacity or default_capacity,
        held=found.held.get(user.name, 0),
        offered=sum(case.state == "offered" for case in own),
        late=sum(case.late for case in own),
    )


def _room(agents: Sequence[Agent]) -> int:
    return sum(max(0, agent.capacity - agent.held) for agent in agents if agent.here and agent.status == "online")


def _groups(cases: Sequence[Case], agents: Sequence[Agent], *, known: bool) -> list[Group]:
    """Put together who waits for a skill and who has it; one that nobody asks for shows who would be there."""
    by_skill: dict[str, list[Case]] = {skill: [] for agent in agents for skill in agent.skills} | {"": []}
    for case in cases:
        by_skill.setdefault(case.skill, []).append(case)
    groups: list[Group] = []
    for skill, own in by_skill.items():
        waiting = [case for case in own if case.state == "waiting"]
        able = [agent for agent in agents if not skill or skill in agent.skills]
        ready = [agent for agent in able if agent.here and agent.status == "online"]
        groups.append(
            Group(
                skill=skill,
                waiting=len(waiting),
                held=len(own) - len(waiting),
                late=sum(case.late for case in own),
                oldest_ms=min((case.since_ms for case in waiting if case.since_ms), default=None),
                agents=len(ready) if known else None,
                free=_room(able) if known else None,
            )
        )
    return sorted(groups, key=lambda group: (group.oldest_ms or _NEVER, -group.held, group.skill))
