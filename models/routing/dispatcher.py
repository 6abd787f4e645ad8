"""One account's dispatcher: from news about conversations and agents to commands for routers.

The routers own the conversations; what this class knows of them are placements, and its commands may
be refused, lost or late. What holds nevertheless:

* **Capacity.** Every conversation that may be on an agent's desk occupies a seat there: what the last
  placement says, and an offer from the moment it is decided until a later revision of the conversation
  shows what became of it. An offer names the revision that it was decided on and routers refuse one
  whose conversation has changed, so a later revision is proof. A lost answer frees nothing.
* **Nothing is forgotten.** An offer or release without a later placement is followed by a ``Read`` of
  the record, again and again until it is answered; if nothing changed, the same agent is asked again
  (its seat is kept anyway), or another one if it left.
* **Order.** The longest-waiting conversation of a lane goes first, wherever it came from. The return
  value of every call already contains what the freed capacity allows.

All methods are synchronous, take the Unix time in milliseconds and return the orders to carry out.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush

from models.domain.commands import AnyReply, Done, Offer, Release, ReleaseReason
from models.domain.conversation import HELD_STATES, HUMAN_STATES, Placement, State
from models.routing.policy import Lane, LeastLoaded, Policy
from models.routing.ranking import Ranking
from models.routing.roster import Profile, Roster, Status
from models.routing.terms import Census, Order, Read, Terms
from models.routing.work_queue import WorkQueue


class _Case:
    """One conversation: what was last heard of it, and what was asked about it since."""

    __slots__ = ("again_ms", "answered", "flight", "ghost", "placement", "rest_ms", "seats")

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.flight: Offer | Release | None = None  # asked, and no later revision heard of
        self.answered = False  # the router answered, or the answer is lost
        self.ghost = ""  # the agent of an earlier offer on this revision that may yet be carried out
        self.rest_ms = 0  # not to be asked about before
        self.again_ms = 0  # those who handed it back are not asked before
        self.seats: frozenset[str] = frozenset()


class Dispatcher:
    """The decisions of one account; holds back all orders until ``begin``."""

    def __init__(self, account: str, epoch: int, terms: Terms, policy: Policy | None = None) -> None:
        """Start knowing nothing; ``epoch`` marks the orders, ``policy`` is ``LeastLoaded`` unless given."""
        self.account = account
        self.epoch = epoch
        self._terms = terms
        self._policy: Policy = policy or LeastLoaded()
        self._roster = Roster()
        self._queue = WorkQueue()
        self._cases: dict[str, _Case] = {}
        self._due: Ranking[str, int] = Ranking()  # conversations to look at again
        self._absences: Ranking[str, int] = Ranking()  # agents whose grace ends
        self._stirred: set[Lane] = set()  # lanes that somebody joined since the last draining
        self._orders: list[Order] = []
        self._states: Counter[State] = Counter()
        self._offers = 0
        self._running = False

    def begin(self, now_ms: int) -> list[Order]:
        """Start deciding, once profiles, presences and placements are loaded; a second call changes nothing."""
        if not self._running:
            self._running = True
            for case in sorted(self._cases.values(), key=lambda case: self._policy.rank(case.placement)):
                self._settle(case, now_ms)
        return self._out(now_ms)

    def place(self, placement: Placement, now_ms: int) -> list[Order]:
        """Hear of a change; one that is not newer than what is known is ignored."""
        case = self._cases.get(placement.conversation)
        if case is None or placement.revision > case.placement.revision:
            self._learn(case, placement, now_ms)
        return self._out(now_ms)

    def reread(self, conversation: str, found: Placement | None, now_ms: int) -> list[Order]:
        """Hear what the store says now, ``None`` for no such record.

        Unlike ``place``, an unchanged revision is news as well: what was asked has not happened so far.
        """
        case = self._cases.get(conversation)
        if found is not None and (case is None or found.revision > case.placement.revision):
            self._learn(case, found, now_ms)
        elif case is not None and (case.flight is None or case.answered):
            if found is None:
                self._drop(case, now_ms)
            elif case.flight is not None:
                case.ghost = case.flight.agent if isinstance(case.flight, Offer) else case.ghost
                case.flight = None
                case.rest_ms = now_ms + self._terms.retry_ms
                self._settle(case, now_ms)
        return self._out(now_ms)

    def command_answered(self, command: Offer | Release, reply: AnyReply | None, now_ms: int) -> list[Order]:
        """Hear what became of an order; ``reply`` is ``None`` when the answer is lost."""
        case = self._cases.get(command.conversation)
        if case is not None and case.flight == command:
            case.answered = True
            self._due.put(command.conversation, now_ms + self._terms.retry_ms)
            if not isinstance(reply, Done):
                self._read(command.conversation)
        return self._out(now_ms)

    def desks_reported(self, gateway: str, agents: Iterable[str], now_ms: int) -> list[Order]:
        """Hear of all agents of this account who have a desk at ``gateway``."""
        self._watch(self._roster.report(gateway, frozenset(agents), now_ms))
        return self._out(now_ms)

    def desks_changed(self, gateway: str, opened: Iterable[str], closed: Iterable[str], now_ms: int) -> list[Order]:
        """Hear which agents came to have a desk at ``gateway``, and which have none left; neither: it lives."""
        self._watch(self._roster.change(gateway, frozenset(opened), frozenset(closed), now_ms))
        return self._out(now_ms)

    def hears(self, gateway: str) -> bool:
        """Tell whether ``gateway`` was heard of and has not fallen silent since; else only all its desks will do."""
        return self._roster.hears(gateway)

    def presence_set(self, agent: str, status: Status, now_ms: int) -> list[Order]:
        """Hear of the presence that an agent chose."""
        self._watch(self._roster.choose_presence(agent, status, now_ms))
        return self._out(now_ms)

    def profiles_set(self, profiles: Iterable[Profile], now_ms: int) -> list[Order]:
        """Hear of all agents of the account; those who are no longer among them count as gone."""
        self._watch(self._roster.hire(profiles, now_ms))
        return self._out(now_ms)

    def profiles_changed(self, profiles: Iterable[Profile], gone: Iterable[str], now_ms: int) -> list[Order]:
        """Hear of agents who came or changed, and of those who are ``gone``."""
        self._watch(self._roster.rehire(profiles, gone, now_ms))
        return self._out(now_ms)

    def tick(self, now_ms: int) -> list[Order]:
        """Look at what became due: silent gateways, graces, offers, snoozes, pauses. Looks at nothing else."""
        self._watch(self._roster.forget_gateways(now_ms - self._terms.gateway_silence_ms, now_ms))
        if self._running:
            for name in self._absences.take_until(now_ms):
                self._hand_over(name, now_ms)
            for conversation in self._due.take_until(now_ms):
                self._look_again(conversation, now_ms)
        return self._out(now_ms)

    def knows_agent(self, name: str) -> bool:
        """Tell whether ``name`` has a profile."""
        return name in self._roster and self._roster[name].known

    def here(self) -> list[str]:
        """List the agents who are there, sorted."""
        return self._roster.here()

    def revision(self, conversation: str) -> int:
        """Return the newest revision heard of, -1 for none."""
        case = self._cases.get(conversation)
        return -1 if case is None else case.placement.revision

    def differences(self, waiting: Collection[str], held: Mapping[str, str], snoozed: Collection[str]) -> list[str]:
        """List the conversations about which the store's indexes say something else than was heard here.

        A few are normal while news is on its way; those that stay were missed and need ``reread``.
        """
        places: dict[str, tuple[State, str]] = dict.fromkeys(waiting, ("waiting", ""))
        places |= dict.fromkeys(snoozed, ("snoozed", ""))
        places |= {conversation: ("assigned", agent) for conversation, agent in held.items()}
        known = {
            conversation: _place(case.placement)
            for conversation, case in self._cases.items()
            if case.placement.state in HUMAN_STATES
        }
        return sorted(each for each in places.keys() | known.keys() if places.get(each) != known.get(each))

    def census(self) -> Census:
        """Count agents and conversations."""
        oldest = self._queue.oldest()
        return Census(
            present=self._roster.count_available(),
            waiting=self._states["waiting"],
            held=sum(self._states[state] for state in HELD_STATES),
            snoozed=self._states["snoozed"],
            oldest_ms=oldest[0] if oldest else 0,
            offers=self._offers,
        )

    def _learn(self, case: _Case | None, placement: Placement, now_ms: int) -> None:
        """Take a later revision for the truth; whatever was asked on an earlier one is history."""
        if case is None:
            case = self._cases[placement.conversation] = _Case(placement)
            handed_back = True
        else:
            before = case.placement
            self._states[before.state] -= 1
            handed_back = before.state != "waiting" or case.flight is not None or before.excluded != placement.excluded
        self._states[placement.state] += 1
        if handed_back:
            case.again_ms = now_ms + self._terms.ask_again_ms
        case.placement, case.flight, case.ghost, case.rest_ms = placement, None, "", 0
        self._settle(case, now_ms)

    def _settle(self, case: _Case, now_ms: int) -> None:
        """Bring seats, queue and deadlines in line with the case, and order what is overdue."""
        self._take_seats(case, now_ms)
        placement = case.placement
        conversation = placement.conversation
        self._queue.discard(conversation)
        if case.flight is not None or not self._running:
            return
        self._due.discard(conversation)
        if case.rest_ms > now_ms and placement.state in HUMAN_STATES:
            self._due.put(conversation, case.rest_ms)
        elif placement.state == "waiting":
            self._line_up(case, now_ms)
        elif placement.state in HELD_STATES:
            self._keep(case, now_ms)
        elif placement.state == "snoozed":
            self._release_at(case, placement.snoozed_until_ms, "snooze_over", now_ms)
        else:
            self._due.put(conversation, now_ms + self._terms.forget_ms)

    def _take_seats(self, case: _Case, now_ms: int) -> None:
        wanted = {case.ghost} if case.ghost else set[str]()
        if case.placement.state in HELD_STATES:
            wanted.add(case.placement.agent)
        if isinstance(case.flight, Offer):
            wanted.add(case.flight.agent)
        for name in wanted - case.seats:
            self._roster.seat(name, case.placement.conversation, now_ms)
        for name in case.seats - wanted:
            self._roster.unseat(name, case.placement.conversation, now_ms)
        case.seats = frozenset(wanted)

    def _line_up(self, case: _Case, now_ms: int) -> None:
        placement = case.placement
        if case.ghost and self._roster[case.ghost].available:
            self._offer(case, case.ghost, now_ms)
            return
        barring = bool(placement.excluded) and case.again_ms > now_ms
        lane = self._policy.lane(placement, barring=barring)
        self._queue.put(placement.conversation, lane, self._policy.rank(placement))
        self._stirred.add(lane)
        if barring:
            self._due.put(placement.conversation, case.again_ms)

    def _keep(self, case: _Case, now_ms: int) -> None:
        """Leave a held conversation where it is, unless its agent is gone or its offer is over."""
        placement = case.placement
        gone_since_ms = self._roster[placement.agent].gone_since_ms
        if gone_since_ms is not None:
            grace_ends_ms = gone_since_ms + self._terms.away_grace_ms
            if grace_ends_ms <= now_ms:
                self._release_at(case, now_ms, "agent_away", now_ms)
                return
            self._absences.put(placement.agent, grace_ends_ms)
        if placement.state == "offered":
            self._release_at(case, placement.offer_expires_ms, "offer_expired", now_ms)

    def _release_at(self, case: _Case, at_ms: int, reason: ReleaseReason, now_ms: int) -> None:
        placement = case.placement
        if at_ms > now_ms:
            self._due.put(placement.conversation, at_ms)
            return
        agent = "" if reason == "snooze_over" else placement.agent
        self._send(
            case,
            Release(
                account=self.account,
                conversation=placement.conversation,
                agent=agent,
                epoch=self.epoch,
                reason=reason,
            ),
            now_ms,
        )

    def _offer(self, case: _Case, agent: str, now_ms: int) -> None:
        self._offers += 1
        self._send(
            case,
            Offer(
                account=self.account,
                conversation=case.placement.conversation,
                agent=agent,
                epoch=self.epoch,
                expires_at_ms=now_ms + self._terms.offer_timeout_ms,
                revision=case.placement.revision,
            ),
            now_ms,
        )

    def _send(self, case: _Case, command: Offer | Release, now_ms: int) -> None:
        case.flight, case.answered = command, False
        self._queue.discard(command.conversation)
        self._due.discard(command.conversation)
        self._take_seats(case, now_ms)
        self._orders.append(command)

    def _read(self, conversation: str) -> None:
        self._orders.append(Read(account=self.account, conversation=conversation))

    def _look_again(self, conversation: str, now_ms: int) -> None:
        case = self._cases[conversation]
        if case.flight is not None:
            self._due.put(conversation, now_ms + self._terms.retry_ms)
            self._read(conversation)
        elif case.placement.state in HUMAN_STATES:
            self._settle(case, now_ms)
        else:
            self._drop(case, now_ms)

    def _drop(self, case: _Case, now_ms: int) -> None:
        conversation = case.placement.conversation
        self._queue.discard(conversation)
        self._due.discard(conversation)
        for name in case.seats:
            self._roster.unseat(name, conversation, now_ms)
        self._states[case.placement.state] -= 1
        del self._cases[conversation]

    def _watch(self, names: Iterable[str]) -> None:
        """Start the grace of those who left, end that of those who came back."""
        for name in names:
            gone_since_ms = self._roster[name].gone_since_ms
            if gone_since_ms is None:
                self._absences.discard(name)
            else:
                self._absences.put(name, gone_since_ms + self._terms.away_grace_ms)

    def _hand_over(self, name: str, now_ms: int) -> None:
        """Release all that an agent holds whose grace has ended, longest waiting first."""
        cases = [self._cases[conversation] for conversation in self._roster[name].load]
        for case in sorted(cases, key=lambda case: self._policy.rank(case.placement)):
            if case.flight is None:
                self._settle(case, now_ms)

    def _out(self, now_ms: int) -> list[Order]:
        """Give the freed capacity to those who wait longest, and return all orders."""
        if not self._running:
            return []
        self._drain(now_ms)
        orders, self._orders = self._orders, []
        return orders

    def _drain(self, now_ms: int) -> None:
        """Offer until no lane that could have changed has both a conversation and an agent with room.

        Only lanes that somebody joined, or for which somebody came to have room, can have changed.
        """
        lanes = self._stirred | set(self._queue.lanes(self._roster.take_freed_skills()))
        self._stirred.clear()
        heads = [(first, lane) for lane in lanes if (first := self._queue.first(lane)) is not None]
        heapify(heads)
        while heads:
            (_, conversation), lane = heappop(heads)
            candidates = self._roster.candidates(lane.skill, lane.barred)
            if not candidates:
                continue
            case = self._cases[conversation]
            self._offer(case, self._policy.choose(case.placement, candidates), now_ms)
            if (first := self._queue.first(lane)) is not None:
                heappush(heads, (first, lane))


def _place(placement: Placement) -> tuple[State, str]:
    """Say where a conversation stands in the words of the store's indexes, which know no offers."""
    if placement.state in HELD_STATES:
        return "assigned", placement.agent
    return placement.state, ""
