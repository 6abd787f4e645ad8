"""Visitors and desks over a link that the test holds: what is sent again, what is not, and what is written down."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from cluster.load.clients.clock import Agenda, Clock
from cluster.load.clients.desks import Desk
from cluster.load.clients.notes import Notes
from cluster.load.clients.office import Office
from cluster.load.clients.opener import Opener
from cluster.load.clients.visitors import Visitor, Ward
from cluster.load.orders import AgentLogin
from cluster.load.scenario.dialogues import Dialogues
from cluster.load.scenario.tables import Desks
from cluster.load.targets.said import Held, Receipt, Record, Refusal, Said, Written
from cluster.load.truth.audit import Audit
from cluster.load.truth.ledger import Ledger
from cluster.load.truth.message_ids import MessageIds
from cluster.load.truth.recorder import Recorder


class Link:
    """Notes what is done with it."""

    def __init__(self) -> None:
        self.sent: list[Written] = []
        self.done: list[tuple[object, ...]] = []

    def send(self, messages: Sequence[Written]) -> None:
        self.sent += messages

    def answer(self, conversation: str, written: Written) -> None:
        self.sent.append(written)

    def __getattr__(self, name: str):
        return lambda *values, **named: self.done.append((name, *values, *named.values()))


class World:
    """Clients without a system."""

    def __init__(self, habits: Desks | None = None, *, steadfast: bool = False, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.clock.begin(self.clock.wall_s())
        self.agenda = Agenda(self.clock)
        recorder = Recorder(0.0, 60.0)
        self.notes = Notes(self.clock, MessageIds("k"), Ledger("k", 2), Ledger("k", 1), recorder)
        self.opener = Opener(self.clock, self.agenda, recorder, 100.0)
        self.office = Office(
            target=None,
            opener=self.opener,
            notes=self.notes,
            agenda=self.agenda,
            habits=habits or Desks(),
            words=Dialogues([["yes"]], 1),
            colleagues=["ann", "bob"],
            random=np.random.default_rng(1),
            tagged=False,
            ends_us=60_000_000,
            steadfast=steadfast,
        )
        self.ward = Ward(target=None, opener=self.opener, notes=self.notes, agenda=self.agenda if steadfast else None)

    def visitor(self) -> Visitor:
        return Visitor(1, self.ward)

    def desk(self) -> Desk:
        return Desk(0, AgentLogin(name="ann"), self.office)

    def writes(self, visitor: Visitor, *numbers: int) -> None:
        for number in numbers:
            self.notes.messages.intend(1, number)
            visitor.write(self.notes.write(1, number, 0, "hello"))
        visitor.flush()

    def audit(self):
        return Audit(self.notes.messages.facts()).run()


def test_what_is_not_confirmed_leaves_again_first_and_under_its_old_id():
    world, first, second = World(), Link(), Link()
    visitor = world.visitor()
    visitor.on_open(first, "")
    world.writes(visitor, 0, 1, 2)
    visitor.on_receipt(1, Receipt("c", 2))
    visitor.on_lost()
    world.writes(visitor, 3)
    visitor.on_open(second, "")
    assert [each.number for each in second.sent] == [0, 2, 3]
    assert second.sent[0].id == first.sent[0].id
    for number in (0, 2, 3):
        visitor.on_receipt(number, Receipt("c", number + 1, number == 0))
    found = world.audit()
    assert (found.intended, found.accepted, found.resent, found.duplicates, visitor.unconfirmed) == (4, 4, 2, 1, 0)


def test_what_was_refused_does_not_leave_again_and_is_told():
    world, link = World(), Link()
    visitor = world.visitor()
    visitor.on_open(link, "")
    world.writes(visitor, 0, 1)
    visitor.on_refused(0, Refusal("unavailable", again=True))
    visitor.on_refused(1, Refusal("too_large"))
    visitor.on_lost()
    visitor.on_open(again := Link(), "")
    assert again.sent == []
    found = world.audit()
    assert (found.refused, found.unaccounted) == (2, 0)
    assert world.notes.refusals == {"unavailable": 1, "too_large": 1}


def test_a_refusal_of_what_left_twice_does_not_say_that_nothing_is_stored():
    world = World()
    visitor, desk = world.visitor(), world.desk()
    visitor.on_open(Link(), "")
    world.writes(visitor, 0)
    visitor.on_lost()
    visitor.on_open(link := Link(), "")
    desk.on_open(Link())
    desk.on_offered(Held(Record("c"), [Said("c", 1, source_id=link.sent[0].id)]))
    visitor.on_refused(0, Refusal("conflict"))
    assert world.audit().contradicted == 0


def test_a_receipt_for_nothing_is_a_mishap():
    world = World()
    visitor = world.visitor()
    visitor.on_open(Link(), "")
    visitor.on_receipt(5, Receipt("c", 1))
    assert world.audit().mishaps == 1


@pytest.mark.parametrize(
    ("told", "cursor"),
    [
        ([Receipt("c", 1), Receipt("c", 2)], "c-2"),
        ([Receipt("c", 1), Receipt("c", 3)], "c-1"),
        ([Said("c", 2, "agent")], "c-2"),
        ([Receipt("c", 1), Receipt("d", 1)], "d-1"),
    ],
)
def test_a_cursor_is_never_beyond_a_gap(told, cursor):
    world, asked = World(), []

    class Target:
        async def visitor(self, writer, hears, cursor):
            asked.append(cursor)

    world.ward.target = Target()
    visitor = world.visitor()
    visitor.on_open(Link(), "")
    world.writes(visitor, *range(len(told)))
    for number, each in enumerate(told):
        if isinstance(each, Said):
            visitor.on_said(each)
        else:
            visitor.on_receipt(number, each)
    asyncio.run(visitor.open())
    assert asked == [cursor]


def test_a_desk_reads_what_an_offer_does_not_bring_and_asks_again_after_a_break():
    world, link = World(), Link()
    desk = world.desk()
    desk.on_open(link)
    desk.on_offered(Held(Record("c", 1, "offered"), [Said("c", 8), Said("c", 9)]))
    assert link.done == [("read_back", "c", 8, 7), ("accept", "c")]
    desk.on_lost()
    desk.on_open(again := Link())
    assert again.done == [("read_back", "c", 8, 7)]
    desk.on_page("c", 8, [Said("c", seq) for seq in range(1, 8)])
    desk.on_lost()
    desk.on_open(third := Link())
    assert third.done == []


def test_an_answer_without_receipt_is_said_again_and_one_that_was_refused_is_not():
    world, link = World(Desks(answer_share=1.0)), Link()
    desk = world.desk()
    world.office.habits = Desks(answer_share=1.0, answer_after=Desks().accept_after)
    desk.on_open(link)
    desk.on_offered(Held(Record("c"), []))
    for seq in (1, 2):
        desk.on_said(Said("c", seq, source_id=world.notes.ids.write(1, seq - 1, 0)))
    world.agenda.work(world.clock.now_us() + 1)
    assert [each.number for each in link.sent] == [0, 1]
    desk.on_refused(0, Refusal("conflict"))
    desk.on_lost()
    desk.on_open(again := Link())
    assert [each.number for each in again.sent] == [1]
    desk.on_receipt(1, Receipt("c", 4))
    found = Audit(world.notes.answers.facts()).run()
    assert (found.accepted, found.refused, found.resent) == (1, 1, 1)


def test_nobody_answers_what_has_gone():
    world, link = World(), Link()
    world.office.habits = Desks(answer_share=1.0, answer_after=Desks().accept_after)
    desk = world.desk()
    desk.on_open(link)
    desk.on_offered(Held(Record("c"), []))
    desk.on_said(Said("c", 1, source_id=world.notes.ids.write(1, 0, 0)))
    desk.on_removed(Record("c", 2))
    world.agenda.work(world.clock.now_us() + 1)
    assert link.sent == []


def told_later(world: World, seconds: float) -> None:
    world.agenda.work(world.clock.now_us() + int(seconds * 1e6))


def test_the_steadfast_hold_back_until_all_is_answered_and_send_again_from_the_oldest_on():
    world, link = World(steadfast=True), Link()
    visitor = world.visitor()
    visitor.on_open(link, "")
    world.writes(visitor, 0, 1, 2)
    visitor.on_refused(1, Refusal("unavailable", again=True, retry_after_s=2.0))
    world.writes(visitor, 3)
    assert [each.number for each in link.sent] == [0, 1, 2]
    told_later(world, 2.0)
    assert [each.number for each in link.sent] == [0, 1, 2]
    visitor.on_receipt(0, Receipt("c", 1))
    visitor.on_receipt(2, Receipt("c", 2))
    told_later(world, 2.1)
    assert [each.number for each in link.sent] == [0, 1, 2, 1, 3]
    assert link.sent[1].id == link.sent[3].id
    for number, seq in ((1, 3), (3, 4)):
        visitor.on_receipt(number, Receipt("c", seq))
    found = world.audit()
    assert (found.intended, found.accepted, found.refused, found.resent, visitor.unconfirmed) == (4, 4, 0, 1, 0)
    assert world.notes.unanswered == 0


def test_the_steadfast_give_up_what_is_refused_for_good():
    world = World(steadfast=True)
    visitor = world.visitor()
    visitor.on_open(Link(), "")
    world.writes(visitor, 0)
    visitor.on_refused(0, Refusal("too_large"))
    told_later(world, 5.0)
    assert (visitor.unconfirmed, world.audit().refused) == (0, 1)


def test_a_break_sends_what_was_held_back_and_nothing_twice():
    world, second = World(steadfast=True), Link()
    visitor = world.visitor()
    visitor.on_open(Link(), "")
    world.writes(visitor, 0)
    visitor.on_refused(0, Refusal("unavailable", again=True))
    visitor.on_lost()
    visitor.on_open(second, "")

    async def later() -> None:
        told_later(world, 1.0)

    asyncio.run(later())
    assert [each.number for each in second.sent] == [0]


def test_a_steadfast_agent_says_again_what_was_refused_for_the_moment():
    world, link = World(Desks(answer_share=1.0, answer_after=Desks().accept_after), steadfast=True), Link()
    desk = world.desk()
    desk.on_open(link)
    desk.on_offered(Held(Record("c"), []))
    desk.on_said(Said("c", 1, source_id=world.notes.ids.write(1, 0, 0)))
    told_later(world, 0.1)
    desk.on_refused(0, Refusal("unavailable", again=True))
    assert (desk.unanswered, world.notes.unanswered) == (1, 1)
    told_later(world, 1.1)
    assert [each.number for each in link.sent] == [0, 0]
    desk.on_refused(0, Refusal("conflict"))
    assert (desk.unanswered, world.notes.unanswered) == (0, 0)


def test_what_a_visitor_is_told_again_that_it_said_it_had_is_doubled():
    world = World()
    visitor = world.visitor()
    world.ward.target = Opening()
    answer = world.notes.answer(0, 0, 0, "yes", tagged=False)
    world.notes.answer_leaves(0, answer)
    world.notes.answer_receipt(0, answer, Receipt("c", 2))
    said = Said("c", 2, "agent", source_id=answer.id)
    asyncio.run(visitor.open())
    visitor.on_open(Link(), "")
    visitor.on_said(said)
    assert Audit(world.notes.answers.facts()).run().faults == {}
    visitor.on_lost()
    asyncio.run(visitor.open())
    visitor.on_open(Link(), "c-2")
    visitor.on_missed([said], fresh=True)
    assert Audit(world.notes.answers.facts()).run().faults == {}
    visitor.on_missed([said], fresh=False)
    assert Audit(world.notes.answers.facts()).run().faults == {"doubled": 1}


class Opening:
    async def visitor(self, writer, hears, cursor):
        """Open nothing."""


def test_an_answer_that_comes_back_to_two_desks_is_doubled():
    world = World()
    answer = world.notes.answer(0, 0, 0, "yes", tagged=False)
    world.notes.answer_leaves(0, answer)
    for _ in range(2):
        desk = world.desk()
        desk.on_open(Link())
        desk.on_offered(Held(Record("c"), []))
        desk.on_said(Said("c", 1, "agent", source_id=answer.id))
    world.notes.answer_receipt(0, answer, Receipt("c", 1))
    assert Audit(world.notes.answers.facts()).run().doubled == 1


def test_how_long_a_desk_was_told_nothing_is_noted_until_the_last_message_is_due():
    clock = SetClock()
    world = World(clock=clock)
    world.office.ends_us = 10_000_000
    desk = world.desk()
    desk.on_open(Link())
    for cursor, clock.at_us in enumerate((1_000_000, 1_010_000, 4_500_000), 1):
        desk.on_entry(cursor)
    desk.close()
    recorder = world.notes.recorder
    recorder.fold()
    assert recorder.longest_between_ms("silence", 0.5, 1.2) == pytest.approx(1_000.0)
    assert recorder.longest_between_ms("silence", 1.5, 4.0) == 0.0
    assert recorder.longest_between_ms("silence", 4.0, 5.0) == pytest.approx(3_490.0)
    assert recorder.longest_between_ms("silence", 5.0, 10.0) == pytest.approx(5_500.0)


class SetClock(Clock):
    """Goes only when it is set."""

    at_us = 0

    def now_us(self) -> int:
        return self.at_us
