"""All clients of one generator, made from its orders: who writes, who reads, and how they are looked after."""

import asyncio
from collections.abc import Callable
from functools import partial

import numpy as np

from cluster.load.clients.backends import Backend, BulkBackend
from cluster.load.clients.clock import Agenda
from cluster.load.clients.desks import Desk
from cluster.load.clients.notes import Notes
from cluster.load.clients.office import Office
from cluster.load.clients.opener import Opener
from cluster.load.clients.schedule import Due
from cluster.load.clients.vendor import VENDOR_WAIT_S, Vendor
from cluster.load.clients.visitors import Visitor, Ward
from cluster.load.orders import CannotGenerate, Orders
from cluster.load.scenario.dialogues import Dialogues
from cluster.load.scenario.faults import Storm
from cluster.load.scenario.people import People
from cluster.load.scenario.tables import CHANNELS
from cluster.load.targets.http import HttpDoor
from cluster.load.targets.target import Target

#: How often each desk confirms what it was shown.
ACK_S = 0.25


class Crowd:
    """One generator's clients.

    Args:
        orders: of the generator.
        people: who writes.
        target: the system.
        notes: what all write down.
        agenda: what all mean to do.
        words: what all say.
    """

    def __init__(
        self, orders: Orders, people: People, target: Target, notes: Notes, agenda: Agenda, words: Dialogues
    ) -> None:
        scenario = orders.scenario
        self._orders = orders
        self._notes = notes
        self._agenda = agenda
        self._words = words
        self._random = np.random.default_rng([scenario.seed, orders.generator, 7])
        rate = float(scenario.visitors.connect_rate) / orders.generators
        self.opener = Opener(notes.clock, agenda, notes.recorder, rate, orders.generators)
        ward = Ward(
            target=target,
            opener=self.opener,
            notes=notes,
            answered=self._hunger if orders.window else None,
            agenda=agenda if scenario.steadfast else None,
        )
        web = people.group("web")
        mine = range(orders.generator, web.size, orders.generators)
        #: writer // generators -> visitor.
        self.writing = [Visitor(writer, ward) for writer in mine]
        idle = range(orders.generator, scenario.visitors.idle, orders.generators)
        self.visitors = self.writing + [Visitor(-1 - place, ward) for place in idle]
        self.office = Office(
            target=target,
            opener=self.opener,
            notes=notes,
            agenda=agenda,
            habits=scenario.desks,
            words=words,
            colleagues=[login.name for login in orders.agents],
            random=self._random,
            tagged=bool(scenario.mix.wechat),
            ends_us=int(scenario.lasts_s * 1e6),
            steadfast=scenario.steadfast,
        )
        agents = range(orders.generator, len(orders.agents), orders.generators)
        self.desks = [Desk(agent, orders.agents[agent], self.office) for agent in agents]
        self._doors: list[HttpDoor] = []
        #: which channel's writers begin at which number.
        self._until = [(group.first + group.size, group.channel) for group in people.groups]
        self._by_channel: dict[str, Backend] = {}
        self._hungry: dict[int, Visitor] = {}
        self.vendor: Vendor | None = None

    async def start(self, group: asyncio.TaskGroup) -> None:
        """Get backends ready; their tasks live in the group."""
        self._doors = [HttpDoor(self._orders.base), HttpDoor(self._orders.base, VENDOR_WAIT_S)]
        for door in self._doors:
            await door.start()
        orders, mix = self._orders, self._orders.scenario.mix
        if mix.rest:
            self._by_channel["rest"] = Backend(orders, self._doors[0], self._notes, group)
        if mix.bulk:
            self._by_channel["bulk"] = BulkBackend(orders, self._doors[0], self._notes, group)
        if mix.wechat and orders.webhook is not None:
            self.vendor = Vendor(orders, self._doors[1], self._notes, group, orders.webhook)
            self._by_channel["wechat"] = self.vendor

    async def aclose(self) -> None:
        """Let go of what backends hold; safe twice."""
        for door in self._doors:
            await door.aclose()

    # -- writing

    def write(self, due: Due) -> None:
        """Have messages sent; what one visitor sends in a tick leaves in one write."""
        generators, web = self._orders.generators, self._until[0][0]
        say, make, writing = self._words.text, self._notes.write, self.writing
        touched: list[Visitor] = []
        for writer, number, due_us in zip(*due, strict=True):
            written = make(writer, number, due_us, say(writer, number))
            if writer < web:
                visitor = writing[writer // generators]
                if visitor.write(written):
                    touched.append(visitor)
            else:
                self._backend(writer).write(writer, written)
        for visitor in touched:
            visitor.flush()

    def _backend(self, writer: int) -> Backend:
        for until, channel in self._until:
            if writer < until:
                return self._by_channel[channel]
        raise ValueError(f"writer {writer}: there are {self._until[-1][0]}")

    def repeat(self, repeats: list[tuple[int, int, int]]) -> None:
        """Have the vendor call again."""
        if self.vendor is None:
            return
        now_us = self._notes.clock.now_us()
        for writer, number, at_us in repeats:
            self.vendor.to_repeat[writer, number] = self.vendor.to_repeat.get((writer, number), 0) + 1
            self._agenda.after(max(at_us - now_us, 0) / 1e6, partial(self.vendor.repeat, writer, number))

    # -- the closed loop

    def fill(self) -> None:
        """Let every visitor keep its number of messages unconfirmed; later those that were answered."""
        for visitor in list(self._hungry.values()) if self._hungry else []:
            self._feed(visitor)
        self._hungry.clear()

    def begin_closed(self) -> None:
        """Let all begin."""
        self._hungry = {visitor.writer: visitor for visitor in self.writing}

    def _hunger(self, visitor: Visitor) -> None:
        self._hungry[visitor.writer] = visitor

    def _feed(self, visitor: Visitor) -> None:
        now_us = self._notes.clock.now_us()
        lacking = self._orders.window - visitor.unconfirmed
        for _ in range(lacking):
            number = visitor.number
            visitor.number += 1
            self._notes.messages.intend(visitor.writer, number)
            text = self._words.text(visitor.writer, number)
            visitor.write(self._notes.write(visitor.writer, number, now_us, text))
        if lacking > 0:
            self._notes.recorder.offer(np.full(lacking, now_us / 1e6))
            visitor.flush()

    # -- looking after them

    async def look(self) -> None:
        """Beat hearts and confirm, each client once in its time, evenly spread; until cancelled."""
        step_s = 0.05
        heartbeat_s = max(float(self._orders.scenario.visitors.heartbeat_s), step_s)
        rounds: list[tuple[list[Callable[[], None]], float]] = [
            ([visitor.look for visitor in self.visitors], heartbeat_s),
            ([desk.look for desk in self.desks], ACK_S),
            ([desk.beat for desk in self.desks], heartbeat_s),
        ]
        at = [0.0] * len(rounds)
        while True:
            await asyncio.sleep(step_s)
            for place, (clients, every_s) in enumerate(rounds):
                begin = int(at[place])
                at[place] += len(clients) * step_s / every_s
                for each in range(begin, int(at[place])):
                    clients[each % len(clients)]()
                if at[place] >= len(clients) > 0:
                    at[place] %= len(clients)

    def come_and_go(self) -> None:
        """Let visitors and agents begin to lose their links and to go away, as often as the scenario says."""
        for desk in self.desks:
            desk.come_and_go()
        if self._orders.scenario.visitors.reconnect_every is not None:
            for visitor in self.visitors:
                self._break_later(visitor)

    def _break_later(self, visitor: Visitor) -> None:
        every = self._orders.scenario.visitors.reconnect_every
        if every is not None and not self.office.closing:
            self._agenda.after(every.draw(self._random), partial(self._break, visitor))

    def _break(self, visitor: Visitor) -> None:
        if self.office.closing:
            return
        if visitor.link is not None:
            visitor.link.drop()
        self._break_later(visitor)

    def hit_by(self, storm: Storm, seed: int) -> list[tuple[float, Visitor | Desk]]:
        """Draw which of the whole run's sockets a storm hits, and when; returns those that are here."""
        scenario = self._orders.scenario
        counts = (scenario.visitors.count, scenario.visitors.idle, len(self._orders.agents))
        visitors, desks = counts[0] + counts[1], counts[2]
        first, total = {"visitors": (0, visitors), "desks": (visitors, desks), "all": (0, visitors + desks)}[storm.who]
        random = np.random.default_rng([seed, 11])
        chosen = first + random.permutation(total)[: storm.count or total]
        when_s = random.random(len(chosen)) * float(storm.within_s)
        here: dict[int, Visitor | Desk] = {}
        generator, generators = self._orders.generator, self._orders.generators
        for place, visitor in enumerate(self.writing):
            here[generator + place * generators] = visitor
        for place, visitor in enumerate(self.visitors[len(self.writing) :]):
            here[counts[0] + generator + place * generators] = visitor
        for place, desk in enumerate(self.desks):
            here[visitors + generator + place * generators] = desk
        return [(float(at), here[int(each)]) for at, each in zip(when_s, chosen, strict=True) if int(each) in here]

    # -- how they are

    @property
    def sockets(self) -> int:
        """How many links are open."""
        return sum(client.link is not None for client in [*self.visitors, *self.desks])

    @property
    def unanswered(self) -> int:
        """How many messages and answers are neither confirmed nor refused, those that have not left among them."""
        return (
            sum(visitor.unconfirmed for visitor in self.writing)
            + sum(desk.unanswered for desk in self.desks)
            + sum(backend.waiting for backend in self._by_channel.values())
        )


def check(orders: Orders, people: People) -> None:
    """Find what the orders lack.

    Raises:
        CannotGenerate: it is named.
    """
    scenario = orders.scenario
    if scenario.visitors.idle and "web" not in orders.inboxes:
        raise CannotGenerate("inboxes: found none for idle visitors; needed: one of the channel web")
    for channel in CHANNELS:
        if people.group(channel).size and scenario.mix.of(channel) and channel not in orders.inboxes:
            raise CannotGenerate(f"inboxes: found none for {channel}; needed, since mix.{channel} is not 0")
    if scenario.mix.wechat and orders.webhook is None:
        raise CannotGenerate("webhook: found none; needed, since mix.wechat is not 0")
    others = [channel for channel in CHANNELS[1:] if scenario.mix.of(channel)]
    if others and orders.target != "raydesk":
        raise CannotGenerate(f"mix: found {', '.join(others)}; allowed for the target {orders.target}: web alone")
    if (scenario.mix.rest or scenario.mix.bulk or people.linked()) and not orders.key:
        raise CannotGenerate("key: found none; needed by backends and for links")
