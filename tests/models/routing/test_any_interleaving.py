"""Whatever is lost, late, doubled or crashes: capacity holds, nobody is forgotten, the longest waiting goes first."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from models.domain.commands import Offer
from models.domain.conversation import HELD_STATES, OPEN_STATES
from models.routing.dispatcher import Dispatcher
from models.routing.roster import Profile
from models.routing.terms import Read, Terms
from tests.models.routing.truthful_router import ACCOUNT, TruthfulRouter

SKILLS = ("", "tax", "vat")
TEAM = {
    profile.name: profile
    for profile in (
        Profile(name="ada", capacity=1),
        Profile(name="ben", capacity=2, skills=frozenset({"tax"})),
        Profile(name="cem", capacity=1, skills=frozenset({"tax", "vat"})),
        Profile(name="sue", capacity=0, skills=frozenset({"tax", "vat"})),
    )
}
NAMES = sorted(TEAM)
GATEWAYS = ("g0", "g1")
TERMS = Terms()
STEPS_MS = (1, 400, 1_100, 5_000, 11_000, 31_000)
PICK = st.integers(0, 1_000)
MATE = st.sampled_from(NAMES)


class AnyInterleaving(RuleBasedStateMachine):
    """Drives one dispatcher against a truthful router over a network that may do anything but lie."""

    def __init__(self):
        super().__init__()
        self.now = 1_000_000
        self.router = TruthfulRouter()
        self.desks = {gateway: set() for gateway in GATEWAYS}
        self.silent_since = dict.fromkeys(GATEWAYS, None)
        self.presence = {}
        self.orders = []  # asked, and not yet at the router or the store
        self.strays = []  # their answers are given up, they may arrive nevertheless
        self.snapshots = []  # read from the store, not yet told
        self.touched = set()
        self.opened = 0

    @initialize()
    def crash(self):
        """The dispatcher dies at any point; the next one fences it off and loads what the routers know."""
        self.strays += [order for order in self.orders if not isinstance(order, Read)]
        self.orders, self.snapshots = [], []
        self.touched.clear()
        self.router.epoch += 1
        self.core = Dispatcher(ACCOUNT, self.router.epoch, TERMS)
        self.core.profiles_set(TEAM.values(), self.now)
        for agent, status in self.presence.items():
            self.core.presence_set(agent, status, self.now)
        for record in self.router.in_state(*OPEN_STATES):
            self.core.place(self.router.placement(record.id), self.now)
        self.hear(self.core.begin(self.now))

    def hear(self, orders):
        """Check each order against what the dispatcher can know, and send it on its way."""
        offers = [order for order in orders if isinstance(order, Offer)]
        asked = {order.conversation for order in (*self.orders, *offers)}
        for offer in offers:
            if (offer.conversation, offer.revision) not in self.touched:
                self.check_that_nobody_was_passed_over(offer, asked)
        for order in orders:
            if not isinstance(order, Read):
                self.touched.add((order.conversation, self.core.revision(order.conversation)))
        self.orders += orders

    def check_that_nobody_was_passed_over(self, offer, asked):
        chosen = self.router.records[offer.conversation]
        for other in self.router.in_state("waiting"):
            in_line = (
                other.skill == chosen.skill
                and not other.excluded
                and other.id not in asked
                and self.core.revision(other.id) == other.revision
                and (other.id, other.revision) not in self.touched
            )
            if in_line and chosen.revision == offer.revision:
                later = (other.waiting_since_ms, other.id) > (chosen.waiting_since_ms, chosen.id)
                assert later, f"{other.id} waits longer than {chosen.id}"

    # contacts and agents

    @rule(
        skill=st.sampled_from(SKILLS), preferred=st.sampled_from(["", *NAMES]), waited=st.sampled_from((0, 3, 50_000))
    )
    def a_contact_writes(self, skill, preferred, waited):
        self.opened += 1
        self.router.open(f"s{self.opened:04}", self.now - waited, skill, preferred)

    @rule(agent=MATE, gateway=st.sampled_from(GATEWAYS), opens=st.booleans())
    def a_desk_opens_or_closes(self, agent, gateway, opens):
        (self.desks[gateway].add if opens else self.desks[gateway].discard)(agent)
        self.report(gateway)

    @rule(gateway=st.sampled_from(GATEWAYS))
    def a_gateway_falls_silent_or_speaks_again(self, gateway):
        self.silent_since[gateway] = self.now if self.silent_since[gateway] is None else None
        self.report(gateway)

    def report(self, gateway):
        if self.silent_since[gateway] is None:
            self.hear(self.core.desks_reported(gateway, self.desks[gateway], self.now))

    @rule(agent=MATE, status=st.sampled_from(("online", "away", "offline")))
    def an_agent_chooses_presence(self, agent, status):
        self.presence[agent] = status
        self.hear(self.core.presence_set(agent, status, self.now))

    @precondition(lambda self: self.router.in_state(*HELD_STATES))
    @rule(pick=PICK, deed=st.sampled_from(("accept", "accept", "decline", "resolve", "snooze", "transfer")))
    def an_agent_acts(self, pick, deed):
        held = self.router.in_state(*HELD_STATES)
        conversation = held[pick % len(held)].id
        if deed == "snooze":
            self.router.snooze(conversation, self.now + 700)
        elif deed == "transfer":
            self.router.transfer(conversation, SKILLS[pick % len(SKILLS)])
        else:
            getattr(self.router, deed)(conversation)

    @precondition(lambda self: self.router.in_state("waiting"))
    @rule(pick=PICK, skill=st.sampled_from(SKILLS))
    def a_supervisor_moves_a_waiting_conversation(self, pick, skill):
        waiting = self.router.in_state("waiting")
        self.router.transfer(waiting[pick % len(waiting)].id, skill)

    # the network

    @rule(step=st.sampled_from(STEPS_MS))
    def time_passes(self, step):
        self.now += step
        for gateway in GATEWAYS:
            self.report(gateway)
        self.hear(self.core.tick(self.now))

    def take(self, pile, pick):
        return pile.pop(pick % len(pile))

    @precondition(lambda self: self.router.news)
    @rule(pick=PICK, fate=st.sampled_from(("arrives", "arrives", "arrives", "doubled", "lost")))
    def news_travels(self, pick, fate):
        placement = self.take(self.router.news, pick)
        if fate == "doubled":
            self.router.news.append(placement)
        if fate != "lost":
            self.hear(self.core.place(placement, self.now))

    @precondition(lambda self: self.orders)
    @rule(pick=PICK, fate=st.sampled_from(("answered", "answered", "answered", "answer lost", "never arrives", "late")))
    def an_order_travels(self, pick, fate):
        order = self.take(self.orders, pick)
        if isinstance(order, Read):
            if fate == "answered":
                self.read(order.conversation)
            elif fate == "late":
                self.snapshots.append(self.router.placement(order.conversation))
            return
        reply = self.apply(order) if fate.startswith("answer") else None
        if fate == "late":
            self.strays.append(order)
        self.hear(self.core.command_answered(order, reply if fate == "answered" else None, self.now))

    @precondition(lambda self: self.strays)
    @rule(pick=PICK)
    def a_stray_order_arrives(self, pick):
        self.apply(self.take(self.strays, pick))

    @precondition(lambda self: self.snapshots)
    @rule(pick=PICK)
    def a_late_read_is_told(self, pick):
        placement = self.take(self.snapshots, pick)
        self.hear(self.core.reread(placement.conversation, placement, self.now))

    @rule()
    def the_dispatcher_dies(self):
        self.crash()

    @rule()
    def the_indexes_are_compared(self):
        for conversation in self.core.differences(
            [record.id for record in self.router.in_state("waiting")],
            {record.id: record.agent for record in self.router.in_state(*HELD_STATES)},
            [record.id for record in self.router.in_state("snoozed")],
        ):
            self.read(conversation)

    def read(self, conversation):
        self.hear(self.core.reread(conversation, self.router.placement(conversation), self.now))

    def apply(self, command):
        agents = {record.id: record.agent for record in self.router.records.values()}
        reply = self.router.apply(command)
        record = self.router.records[command.conversation]
        if isinstance(command, Offer) and agents[record.id] != record.agent:
            profile = TEAM[command.agent]
            assert len(self.router.held_by(profile.name)) <= profile.capacity, "capacity exceeded"
            assert not record.skill or record.skill in profile.skills, "offered without the skill"
        return reply

    # what always holds

    @invariant()
    def census_agrees_with_the_revisions_that_it_heard(self):
        states = {record.id: record for record in self.router.records.values()}
        if all(self.core.revision(each) == record.revision for each, record in states.items()):
            census = self.core.census()
            assert census.waiting == len(self.router.in_state("waiting"))
            assert census.held == len(self.router.in_state(*HELD_STATES))

    @rule()
    def everything_comes_to_rest(self):
        """Deliver all, let agents accept: then nobody waits for whom a suitable agent has room."""
        for _ in range(45):
            while self.strays or self.orders or self.router.news or self.snapshots:
                self.deliver_all()
            self.the_indexes_are_compared()
            self.time_passes(1_100)
        for record in self.router.in_state("waiting"):
            assert not [name for name in NAMES if self.could_take(name, record)], f"{record.id} was forgotten"
        for record in self.router.in_state(*HELD_STATES):
            assert self.is_here(record.agent), f"{record.id} stays with {record.agent}, who is gone"

    def deliver_all(self):
        while self.strays:
            self.a_stray_order_arrives(0)
        while self.router.news:
            self.news_travels(0, "arrives")
        while self.orders:
            self.an_order_travels(0, "answered")
        while self.snapshots:
            self.a_late_read_is_told(0)
        for record in self.router.in_state("offered"):
            if self.is_here(record.agent):
                self.router.accept(record.id)

    def is_here(self, name):
        desks = any(name in self.desks[each] for each in GATEWAYS if self.silent_since[each] is None)
        return desks and self.presence.get(name, "online") != "offline"

    def could_take(self, name, record):
        profile = TEAM[name]
        return (
            self.is_here(name)
            and self.presence.get(name, "online") == "online"
            and (not record.skill or record.skill in profile.skills)
            and len(self.router.held_by(name)) < profile.capacity
        )

    def teardown(self):
        if hasattr(self, "core"):
            self.everything_comes_to_rest()


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(
    max_examples=300,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
