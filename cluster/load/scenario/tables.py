"""The tables of a scenario's file, as types: what each key means, and what it may be.

Names of durations have no unit in the file, since the value has one.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from cluster.load.scenario.faults import Fault
from cluster.load.scenario.phases import Phase
from cluster.load.scenario.quantities import Duration, Rate, ThinkTime

Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Channel = Literal["web", "wechat", "rest", "bulk"]
CHANNELS: tuple[Channel, ...] = ("web", "wechat", "rest", "bulk")


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file, closed to unknown keys."""


class Mix(_Table, frozen=True, kw_only=True):
    """How the messages divide over the channels, as weights.

    Args:
        web: visitors' sockets.
        wechat: webhook calls, signed as the vendor signs.
        rest: ``POST /v1/messages``, one message a call.
        bulk: the same with many lines a call.
    """

    web: Weight = 1.0
    wechat: Weight = 0.0
    rest: Weight = 0.0
    bulk: Weight = 0.0

    def of(self, channel: Channel) -> float:
        """Return the weight of a channel."""
        return {"web": self.web, "wechat": self.wechat, "rest": self.rest, "bulk": self.bulk}[channel]


class Visitors(_Table, frozen=True, kw_only=True):
    """Contacts with a socket.

    Args:
        count: those who write.
        idle: those who only hold their socket.
        heartbeat_s: time between two pings of a socket on which nothing else is sent.
        connect_rate: how fast sockets are opened at the start.
        several_channels: share of the writing ones who also are a contact of another channel; the two are linked
            before the first message.
        reconnect_every: time until a visitor's socket breaks and is opened anew; none: never.
    """

    count: Count = 100
    idle: Count = 0
    heartbeat_s: Duration = field(name="heartbeat", default=Duration(30.0))
    connect_rate: Rate = Rate(500.0)
    several_channels: Share = 0.0
    reconnect_every: ThinkTime | None = None


class Contacts(_Table, frozen=True, kw_only=True):
    """Contacts without a socket, by the channel on which they write.

    Args:
        bulk_lines: most lines in one bulk call.
        bulk_wait_s: how long a line waits for others.
    """

    wechat: Count = 0
    rest: Count = 0
    bulk: Count = 0
    bulk_lines: Annotated[int, Meta(ge=1, le=10_000)] = 100
    bulk_wait_s: Duration = field(name="bulk_wait", default=Duration(0.05))


class Repeats(_Table, frozen=True, kw_only=True):
    """Webhook calls that the vendor makes again although it had the answer.

    Args:
        share: of the calls.
        most: how often one call is repeated; each number from 1 is as likely.
        within_s: how long after the first one, evenly.
    """

    share: Share = 0.0
    most: Annotated[int, Meta(ge=1, le=10)] = 1
    within_s: Duration = field(name="within", default=Duration(5.0))


class Desks(_Table, frozen=True, kw_only=True):
    """Agents and what they do.

    Args:
        agents: how many; each has one desk.
        capacity: conversations that one holds at once.
        accept_after: from the offer to its acceptance.
        decline_share: of the offers, declined instead.
        answer_share: of the contacts' messages, answered.
        answer_after: from the message to the answer.
        typing: whether they show that they type.
        transfer_share: of the answers, after which the conversation goes to another agent.
        resolve_share: of the answers, after which it is resolved.
        away_every: time at the desk between two absences; none: never.
        away_for: how long an absence lasts.
        reconnect_every: time until a desk's socket breaks and is opened anew; none: never.
    """

    agents: Count = 10
    capacity: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    accept_after: ThinkTime = ThinkTime("fixed", 0.0)
    decline_share: Share = 0.0
    answer_share: Share = 0.0
    answer_after: ThinkTime = ThinkTime("log_normal", 4.0, 2.0)
    typing: bool = False
    transfer_share: Share = 0.0
    resolve_share: Share = 0.0
    away_every: ThinkTime | None = None
    away_for: ThinkTime = ThinkTime("exponential", 10.0)
    reconnect_every: ThinkTime | None = None


class Words(_Table, frozen=True, kw_only=True):
    """What contacts write.

    Args:
        file: dialogues in JSONL, relative to the scenario's file; empty: made by the project's own grammar.
        languages: of the grammar.
        most: dialogues that are kept of a file, drawn at random, or made by the grammar.
    """

    file: str = ""
    languages: Annotated[tuple[Literal["zh", "en"], ...], Meta(min_length=1, max_length=2)] = ("zh", "en")
    most: Annotated[int, Meta(ge=1, le=100_000)] = 2_000


class SystemParts(_Table, frozen=True, kw_only=True):
    """What the system must have; `raydesk load --start` starts it so, and another one is checked for it.

    Args:
        bot: whether the bot answers first. Without it every conversation goes to an agent, whatever it says.
        gateways, routers: of a system that is started; 0: as many as its sockets and the cores ask for.
    """

    bot: bool = False
    gateways: Annotated[int, Meta(ge=0, le=64)] = 0
    routers: Annotated[int, Meta(ge=0, le=64)] = 0


class Scenario(_Table, frozen=True, kw_only=True):
    """A whole run.

    Args:
        about: what it proves.
        phases: the rate, one shape after the other.
        arrivals: ``poisson``: independent of one another; ``even``: at equal distances.
        seed: equal seeds give the same messages at the same times.
        warm_up_s: messages due before are audited and not timed.
        drain_s: how long to wait, at the end, for what is under way.
        steadfast: writers send again what was refused for the moment, in order and before anything newer, until it
            is taken. Without it a refusal is told and final, as a rush past what goes through is to end.
        read_back: what is read from the system's history at the end: ``missing``: what has a receipt and was shown
            nowhere; ``all``: every conversation, whole, with who has it.
        expect: conditions as for ``--expect``.
    """

    phases: Annotated[tuple[Phase, ...], Meta(min_length=1)]
    about: str = ""
    arrivals: Literal["poisson", "even"] = "poisson"
    seed: Annotated[int, Meta(ge=0)] = 1
    warm_up_s: Duration = field(name="warm_up", default=Duration(0.0))
    drain_s: Duration = field(name="drain", default=Duration(30.0))
    steadfast: bool = False
    read_back: Literal["missing", "all"] = "missing"
    mix: Mix = Mix()
    visitors: Visitors = Visitors()
    contacts: Contacts = Contacts()
    repeats: Repeats = Repeats()
    desks: Desks = Desks()
    words: Words = Words()
    system: SystemParts = SystemParts()
    faults: tuple[Fault, ...] = ()
    expect: str = ""

    @property
    def lasts_s(self) -> float:
        """How long messages are due."""
        return sum(float(phase.lasts_s) for phase in self.phases)

    def writers_on(self, channel: Channel) -> int:
        """Return how many identities write on a channel."""
        by_channel = {"wechat": self.contacts.wechat, "rest": self.contacts.rest, "bulk": self.contacts.bulk}
        return self.visitors.count if channel == "web" else by_channel[channel]
