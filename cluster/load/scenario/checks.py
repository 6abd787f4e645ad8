"""What contradicts itself in a scenario: found before anything starts, and told all at once."""

from cluster.load.scenario.errors import ScenarioError
from cluster.load.scenario.expect import InvalidExpectation, parse_expectations
from cluster.load.scenario.faults import Storm
from cluster.load.scenario.phases import Bursts
from cluster.load.scenario.quantities import Duration
from cluster.load.scenario.tables import CHANNELS, Channel, Scenario


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
