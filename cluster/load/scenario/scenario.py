"""A scenario: who writes what, on which channels, at which rate, to which agents, and what breaks meanwhile.

It is a TOML file. Whatever in it is unknown or impossible stops the load before it starts, with the file, the key,
what was found and what is allowed (`cluster/load/scenario/errors.py`). Names of durations have no unit in the file,
since the value has one.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta, field

from cluster.load.scenario.errors import ScenarioError, problem_of
from cluster.load.scenario.expect import InvalidExpectation, parse_expectations
from cluster.load.scenario.faults import Fault, Storm
from cluster.load.scenario.phases import Bursts, Phase
from cluster.load.scenario.quantities import DURATIONS, RATES, THINK_TIMES, Duration, Rate, ThinkTime

SHIPPED = Path(__file__).parent / "shipped"
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


def load_scenario(name: str) -> Scenario:
    """Read a shipped scenario by its name, or any by the path of its file.

    Raises:
        ScenarioError: there is none, or something in it is wrong; one line for each problem.
    """
    path = SHIPPED / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        known = ", ".join(sorted(each.stem for each in SHIPPED.glob("*.toml")))
        reason = error.strerror or "cannot be read"
        raise ScenarioError(f"{name}: {reason}; allowed: a file, or one of {known}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{name}: found bytes that are no text; allowed: TOML in UTF-8") from None
    return parse_scenario(text, str(path))


def parse_scenario(text: str, source: str) -> Scenario:
    """Read a scenario from TOML.

    Args:
        text: the file's.
        source: its path, for errors and for the files it names.

    Raises:
        ScenarioError: something in it is wrong; one line for each problem.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{source}: no TOML: {error}") from None
    try:
        scenario = msgspec.convert(raw, Scenario, dec_hook=_quantity)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{source}: {problem_of(error, raw, Scenario)}") from None
    if scenario.words.file:
        file = str(Path(source).parent / scenario.words.file)
        scenario = msgspec.structs.replace(scenario, words=msgspec.structs.replace(scenario.words, file=file))
    check(scenario, source)
    return scenario


def check(scenario: Scenario, source: str) -> None:
    """Find what contradicts itself; to be called again when the command line has changed something.

    Raises:
        ScenarioError: with one line for each problem.
    """
    problems = [*_people_problems(scenario), *_time_problems(scenario)]
    try:
        parse_expectations(scenario.expect)
    except InvalidExpectation as error:
        problems.append(f"expect: {error}")
    if problems:
        raise ScenarioError(*(f"{source}: {problem}" for problem in problems))


def _people_problems(scenario: Scenario) -> list[str]:
    problems: list[str] = []
    weights: dict[Channel, float] = {channel: scenario.mix.of(channel) for channel in CHANNELS}
    if not any(weights.values()):
        problems.append("mix: found no weight above 0; allowed: at least one")
    for channel, weight in weights.items():
        if weight and not scenario.writers_on(channel):
            key = "visitors.count" if channel == "web" else f"contacts.{channel}"
            problems.append(f"{key}: found 0; allowed: at least 1, since mix.{channel} is {weight:g}")
    others = scenario.contacts.wechat + scenario.contacts.rest + scenario.contacts.bulk
    linked = round(scenario.visitors.several_channels * scenario.visitors.count)
    if linked > others:
        problems.append(
            f"visitors.several_channels: found {scenario.visitors.several_channels:g}, which is {linked} visitors; "
            f"allowed: as many as there are contacts on other channels, {others}"
        )
    if scenario.repeats.share and not scenario.mix.wechat:
        problems.append("repeats.share: found a share of webhook calls; allowed: 0, since mix.wechat is 0")
    if not scenario.desks.agents:
        problems.append("desks.agents: found 0; allowed: at least 1, or nobody sees what is written")
    return problems


def _time_problems(scenario: Scenario) -> list[str]:
    problems: list[str] = []
    for number, phase in enumerate(scenario.phases):
        if phase.lasts_s <= 0:
            problems.append(f"phases[{number}].lasts: found 0s; allowed: more")
        if isinstance(phase, Bursts) and not 0 < phase.each_s <= phase.every_s:
            problems.append(
                f"phases[{number}].each: found {phase.each_s}; allowed: above 0, up to every, which is {phase.every_s}"
            )
    lasts = Duration(scenario.lasts_s)
    if scenario.warm_up_s >= lasts:
        problems.append(f"warm_up: found {scenario.warm_up_s}; allowed: less than all phases together, {lasts}")
    for number, fault in enumerate(scenario.faults):
        if fault.at_s >= lasts:
            problems.append(f"faults[{number}].at: found {fault.at_s}; allowed: before the end of the run, {lasts}")
        if isinstance(fault, Storm) and fault.count > _sockets(scenario, fault.who):
            most = _sockets(scenario, fault.who)
            problems.append(f"faults[{number}].count: found {fault.count}; allowed: up to {most}, as many as there are")
    return problems


def _sockets(scenario: Scenario, who: str) -> int:
    visitors = scenario.visitors.count + scenario.visitors.idle
    return {"visitors": visitors, "desks": scenario.desks.agents, "all": visitors + scenario.desks.agents}[who]


def _quantity(kind: type[object], found: object) -> object:
    """Read the types of `cluster/load/scenario/quantities.py`, for msgspec."""
    words = {Duration: DURATIONS, Rate: RATES, ThinkTime: THINK_TIMES}[cast("type[Duration]", kind)]
    if not isinstance(found, str):
        raise ValueError(words)
    return cast("type[Duration]", kind).parse(found)
