"""Desks as gateways report them: whatever is lost, late or repeated, both sides soon agree."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.routing.desk_reports import OpenDesks, ReportedDesks

ANN, BEN = ("demo", "ann"), ("demo", "ben")


def hear(desks, reported, known):
    """Carry the next report over, and its answer back; returns it."""
    report = desks.report()
    follows = reported.follows(report)
    if follows:
        if report.continues is None:
            known.clear()
        known |= set(report.opened)
        known -= set(report.closed)
        reported.taken(report)
    desks.heard(known=follows)
    return report


def test_all_are_told_once_and_then_what_changed():
    desks, reported, known = OpenDesks("g0", life=1), ReportedDesks(), set()
    desks.open(ANN)
    assert hear(desks, reported, known).opened == [ANN]
    assert desks.settled
    desks.open(BEN)
    desks.open(ANN)
    assert not desks.settled
    assert hear(desks, reported, known).opened == [BEN]
    desks.close(ANN)
    assert desks.settled
    desks.close(ANN)
    report = hear(desks, reported, known)
    assert (report.opened, report.closed, len(desks)) == ([], [ANN], 1)


def test_a_desk_that_came_and_went_between_two_reports_is_not_opened():
    desks, reported, known = OpenDesks("g0", life=1), ReportedDesks(), set()
    hear(desks, reported, known)
    desks.open(ANN)
    desks.close(ANN)
    hear(desks, reported, known)
    assert not known


def test_an_old_report_of_all_is_not_taken_for_a_new_one():
    desks, reported = OpenDesks("g0", life=1), ReportedDesks()
    late, new = desks.report(), desks.report()
    reported.taken(new)
    assert not reported.follows(late)
    assert reported.follows(OpenDesks("g0", life=2).report())


class Reporting(RuleBasedStateMachine):
    """A gateway that restarts, a dispatcher that restarts, and calls of which any half may be lost, or late."""

    def __init__(self):
        super().__init__()
        self.life = 1
        self.desks = OpenDesks("g0", self.life)
        self.reported = ReportedDesks()
        self.known = set()
        self.open = []
        self.late = []

    def carry(self, report):
        if not self.reported.follows(report):
            return False
        if report.continues is None:
            self.known.clear()
        self.known |= set(report.opened)
        self.known -= set(report.closed)
        self.reported.taken(report)
        return True

    @rule(agent=st.sampled_from("abc"))
    def desk_opens(self, agent):
        self.open.append(("demo", agent))
        self.desks.open(("demo", agent))

    @rule(place=st.integers(0, 9))
    def desk_closes(self, place):
        if self.open:
            self.desks.close(self.open.pop(place % len(self.open)))

    @rule()
    def report_is_heard(self):
        self.desks.heard(known=self.carry(self.desks.report()))

    @rule()
    def answer_is_lost(self):
        self.carry(self.desks.report())

    @rule()
    def report_is_late(self):
        self.late.append(self.desks.report())

    @rule(place=st.integers(0, 9))
    def late_report_arrives(self, place):
        if self.late:
            self.carry(self.late.pop(place % len(self.late)))

    @rule()
    def dispatcher_restarts(self):
        self.reported, self.known = ReportedDesks(), set()

    @rule()
    def gateway_restarts(self):
        self.life += 1
        self.desks, self.open = OpenDesks("g0", self.life), []

    @invariant()
    def two_reports_that_are_heard_put_all_right(self):
        for _ in range(2):
            self.desks.heard(known=self.carry(self.desks.report()))
        assert self.known == set(self.open)
        assert len(self.desks) == len(self.open)


Reporting.TestCase.settings = settings(deadline=None)
TestReporting = Reporting.TestCase
