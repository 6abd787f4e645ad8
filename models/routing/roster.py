"""The agents of one account: what they can do, whether they are there, and what they hold.

* Load is the *set* of conversations that occupy an agent, never a count: taking or freeing one
  twice changes nothing, so capacity can neither be exceeded nor leak.
* Presence is chosen (online, away, offline); being there needs a desk as well. Each gateway tells
  which agents' desks it holds; a gateway that falls silent holds none.
* Capacity decides who gets conversations, not the role: a supervisor with a capacity takes part,
  an agent with capacity 0 does not.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from models.routing.bench import Bench, Candidates, Standing
from models.routing.ranking import Ranking

Status = Literal["online", "away", "offline"]
_NOBODY: frozenset[str] = frozenset()


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What the account's directory says about an agent.

    Args:
        name: unique in the account.
        skills: what the agent knows; conversations without a skill go to anybody.
        capacity: how many conversations may be offered or assigned at a time; 0 takes no part.
    """

    name: str
    skills: frozenset[str] = frozenset()
    capacity: int = 0


class Agent:
    """One agent as the dispatcher sees it; read it, and change it through the ``Roster`` alone."""

    __slots__ = (
        "capacity",
        "counted",
        "gateways",
        "gone_since_ms",
        "load",
        "name",
        "profile",
        "skills",
        "standing",
        "status",
    )

    def __init__(self, name: str, now_ms: int) -> None:
        """Begin with no profile and no desk, online as soon as a desk opens."""
        self.name = name
        self.profile: Profile | None = None
        self.skills: frozenset[str] = frozenset()
        self.capacity = 0
        self.status: Status = "online"
        self.gateways: set[str] = set()
        self.load: set[str] = set()
        self.gone_since_ms: int | None = now_ms
        self.standing: Standing = (0.0, 0, name)
        #: whether they are among those who are counted as there and online.
        self.counted = False

    @property
    def known(self) -> bool:
        """Whether the directory knows them."""
        return self.profile is not None

    @property
    def here(self) -> bool:
        """Whether what they hold stays with them: known, a desk is open, and not offline by choice."""
        return self.known and bool(self.gateways) and self.status != "offline"

    @property
    def available(self) -> bool:
        """Whether they may be given more, room aside."""
        return self.here and self.status == "online"

    @property
    def open(self) -> bool:
        """Whether they may be given one more conversation now."""
        return self.available and len(self.load) < self.capacity


class Roster:
    """Every agent of one account, indexed by the skills of those who have room."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._agents: dict[str, Agent] = {}
        self._open: dict[str, Bench[Agent]] = {}
        self._available = 0
        self._indexed: dict[str, frozenset[str]] = {}
        self._desks: dict[str, set[str]] = {}
        self._heard: Ranking[str, int] = Ranking()
        self._freed: set[str] = set()

    def __getitem__(self, name: str) -> Agent:
        """Return a known agent.

        Raises:
            KeyError: nothing was ever said about ``name``.
        """
        return self._agents[name]

    def __contains__(self, name: str) -> bool:
        """Tell whether anything was ever said about ``name``."""
        return name in self._agents

    def count_available(self) -> int:
        """Count those who are there and online, with room or without."""
        return self._available

    def here(self) -> list[str]:
        """List those who are there, sorted."""
        return sorted(agent.name for agent in self._agents.values() if agent.here)

    def candidates(self, skill: str, barred: frozenset[str] = _NOBODY) -> Candidates[Agent]:
        """List those with room who have ``skill`` (empty: all with room) and are not ``barred``."""
        bench = self._open.get(skill)
        return Candidates(Bench() if bench is None else bench, barred)

    def take_freed_skills(self) -> set[str]:
        """Return the skills of those who came to have room since the last call; ``""`` among them if any."""
        skills: set[str] = set()
        for name in self._freed:
            skills |= self._indexed.get(name, _NOBODY)
        self._freed.clear()
        return skills

    def hire(self, profiles: Iterable[Profile], now_ms: int) -> list[str]:
        """Replace all profiles; who is no longer among them counts as gone. Return whose presence changed."""
        by_name = {profile.name: profile for profile in profiles}
        return self.rehire(by_name.values(), self._agents.keys() - by_name.keys(), now_ms)

    def rehire(self, profiles: Iterable[Profile], gone: Iterable[str], now_ms: int) -> list[str]:
        """Replace some profiles, and take away those of who is ``gone``. Return whose presence changed."""
        by_name: dict[str, Profile | None] = dict.fromkeys(gone)
        by_name |= {profile.name: profile for profile in profiles}
        changed: list[str] = []
        for name, profile in sorted(by_name.items()):
            agent = self._agent(name, now_ms)
            if profile == agent.profile:
                continue
            agent.profile = profile
            agent.skills = profile.skills if profile else frozenset()
            agent.capacity = profile.capacity if profile else 0
            changed += self._refresh(agent, now_ms)
        return changed

    def choose_presence(self, name: str, status: Status, now_ms: int) -> list[str]:
        """Note the presence that an agent chose. Return whose presence changed."""
        agent = self._agent(name, now_ms)
        agent.status = status
        return self._refresh(agent, now_ms)

    def report(self, gateway: str, names: frozenset[str], now_ms: int) -> list[str]:
        """Note all agents with a desk at ``gateway``. Return whose presence changed."""
        before = self._desks.get(gateway, _NOBODY)
        return self.change(gateway, names - before, frozenset(before - names), now_ms)

    def change(self, gateway: str, opened: frozenset[str], closed: frozenset[str], now_ms: int) -> list[str]:
        """Note agents who came to have a desk at ``gateway``, or have none left. Return whose presence changed."""
        here = self._desks.setdefault(gateway, set())
        self._heard.put(gateway, now_ms)
        changed: list[str] = []
        for name in sorted(opened | closed):
            agent = self._agent(name, now_ms)
            if name in opened:
                here.add(name)
                agent.gateways.add(gateway)
            else:
                here.discard(name)
                agent.gateways.discard(gateway)
            changed += self._refresh(agent, now_ms)
        return changed

    def hears(self, gateway: str) -> bool:
        """Tell whether ``gateway`` was heard of and has not fallen silent since."""
        return gateway in self._heard

    def forget_gateways(self, heard_until_ms: int, now_ms: int) -> list[str]:
        """Drop the desks of gateways last heard by then. Return whose presence changed."""
        changed: list[str] = []
        for gateway in self._heard.take_until(heard_until_ms):
            changed += self.report(gateway, _NOBODY, now_ms)
            self._heard.discard(gateway)
            del self._desks[gateway]
        return changed

    def seat(self, name: str, conversation: str, now_ms: int) -> None:
        """Let ``conversation`` occupy ``name``; twice is once."""
        agent = self._agent(name, now_ms)
        if conversation not in agent.load:
            agent.load.add(conversation)
            self._reload(agent, now_ms)

    def unseat(self, name: str, conversation: str, now_ms: int) -> None:
        """Let ``conversation`` no longer occupy ``name``; twice is once."""
        agent = self._agent(name, now_ms)
        if conversation in agent.load:
            agent.load.discard(conversation)
            self._reload(agent, now_ms)

    def _agent(self, name: str, now_ms: int) -> Agent:
        agent = self._agents.get(name)
        if agent is None:
            agent = self._agents[name] = Agent(name, now_ms)
        return agent

    def _reload(self, agent: Agent, now_ms: int) -> None:
        agent.standing = (len(agent.load) / max(agent.capacity, 1), now_ms, agent.name)
        self._index(agent)

    def _refresh(self, agent: Agent, now_ms: int) -> list[str]:
        agent.standing = (len(agent.load) / max(agent.capacity, 1), *agent.standing[1:])
        self._index(agent)
        if agent.counted != agent.available:
            agent.counted = agent.available
            self._available += 1 if agent.counted else -1
        if agent.here == (agent.gone_since_ms is None):
            return []
        agent.gone_since_ms = None if agent.here else now_ms
        return [agent.name]

    def _index(self, agent: Agent) -> None:
        before = self._indexed.get(agent.name, _NOBODY)
        after = agent.skills | {""} if agent.open else _NOBODY
        for skill in before - after:
            self._open[skill].discard(agent.name)
        for skill in after:
            self._open.setdefault(skill, Bench()).put(agent)
        if before == after:
            return
        if after - before:
            self._freed.add(agent.name)
        if after:
            self._indexed[agent.name] = after
        else:
            self._indexed.pop(agent.name, None)
