"""Everything that one run needs, put together: generators with their orders, who watches, who strikes, the conductor.

A rig is for one system and makes as many runs as one likes, each with generators of its own.
"""

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from cluster.load.orders import MOST_SOCKETS, AgentLogin, Orders
from cluster.load.run.conductor import Conductor, Moment, Ran
from cluster.load.run.crew import Crew, generators_for
from cluster.load.run.needs import sockets
from cluster.load.run.observer import Observer
from cluster.load.run.preparation import Prepared
from cluster.load.run.strikes import Population, Strikes
from cluster.load.scenario.tables import CHANNELS, Scenario

#: Sockets from one loopback address: half of what `limits.sockets_per_address` allows by default.
_SOCKETS_AN_ADDRESS = 1_000


class Site(NamedTuple):
    """The system under load, as it is seen from beside it.

    Args:
        prepared: what generators must know.
        population: its processes; None: another system, or one that tells nothing.
        relays: target -> process id of the relay before it.
        target: which adapter drives it.
        local: whether it is on this machine, so that many source addresses reach it.
        also: name -> process id of what else belongs to it.
    """

    prepared: Prepared
    population: Population | None = None
    relays: Mapping[str, int] = {}
    target: str = "raydesk"
    local: bool = True
    also: Mapping[str, int] = {}


class Rig:
    """Runs scenarios against one site.

    Args:
        site: the system.
        generators: how many; 0: as the scenario asks for.
    """

    def __init__(self, site: Site, generators: int = 0) -> None:
        self._site = site
        self._generators = generators

    async def run(
        self, scenario: Scenario, run: str, *, window: int = 0, tell: Callable[[Moment], None] = lambda _: None
    ) -> Ran:
        """Run a scenario once.

        Args:
            scenario: what happens.
            run: its name, `run_name` makes one.
            window: 0: the open model; else see `Orders`.
            tell: hears each second how it stands.

        Raises:
            CannotGenerate: something could not be done.
        """
        async with contextlib.AsyncExitStack() as stack:
            crew = await stack.enter_async_context(Crew(self.orders(scenario, run, window)))
            others = {**await crew.pids(), "conductor": os.getpid(), **self._site.also}
            others |= {f"relay before {target}": pid for target, pid in self._site.relays.items()}
            observer = Observer(self._site.population, others)
            return await Conductor(scenario, crew.members, observer, self._strikes(), tell).run()

    def orders(self, scenario: Scenario, run: str, window: int = 0) -> Sequence[Orders]:
        """Return what each generator is told."""
        count = self._generators or generators_for(scenario, MOST_SOCKETS, os.cpu_count() or 1)
        prepared = self._site.prepared
        addresses = -(-sockets(scenario) // (count * _SOCKETS_AN_ADDRESS)) if self._site.local else 0
        return [
            Orders(
                run=run,
                scenario=scenario,
                generator=number,
                generators=count,
                base=prepared.base,
                account=prepared.account,
                inboxes=prepared.inboxes,
                agents=prepared.agents,
                key=prepared.key,
                webhook=prepared.webhook,
                addresses=addresses,
                target=self._site.target,
                window=window,
            )
            for number in range(count)
        ]

    def _strikes(self) -> Callable[[Callable[[], float]], Strikes] | None:
        population = self._site.population
        if population is None:
            return None
        return lambda now: Strikes(population, self._site.relays, now)


def run_name() -> str:
    """Make a name of a run that no other one has."""
    return "l" + secrets.token_hex(4)


def strangers(scenario: Scenario, base: str) -> Prepared:
    """Return what generators must know of a system that is not raydesk and has nothing to be prepared."""
    prepared = Prepared(base, "load", "")
    prepared.inboxes = dict.fromkeys(CHANNELS, "load")
    prepared.agents = tuple(AgentLogin(name=f"agent-{number}") for number in range(scenario.desks.agents))
    return prepared
