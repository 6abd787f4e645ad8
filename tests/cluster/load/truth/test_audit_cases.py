"""Single cases that a random run seldom has: each says which facts make which finding."""

import numpy as np
import pytest

from cluster.load.truth.audit import Audience, Audit
from cluster.load.truth.facts import Shown, merged
from cluster.load.truth.findings import Findings
from cluster.load.truth.ledger import Ledger, key_of
from cluster.load.truth.readers import DeskReader, VisitorReader

CASE = "s1"


def ledger_of(messages: int, *, writers: int = 1) -> Ledger:
    ledger = Ledger("r", writers)
    for number in range(messages):
        ledger.intend(0, number)
        ledger.sent(0, number)
    return ledger


def audited(*ledgers: Ledger, audience: Audience | None = None) -> Findings:
    return Audit(merged([ledger.facts() for ledger in ledgers]), audience=audience).run()


def test_what_only_a_wrong_desk_was_shown_is_lost_and_misplaced():
    ledger = ledger_of(1)
    ledger.receipt(0, 0, CASE, 1)
    DeskReader(ledger, 3).live(CASE, 1, key_of(0, 0))
    assert audited(ledger).faults == {"lost": 1, "misplaced": 1}


def test_what_two_desks_were_pushed_is_doubled():
    ledger = ledger_of(1)
    ledger.receipt(0, 0, CASE, 2)
    for desk, revision in ((0, 1), (1, 2)):
        reader = DeskReader(ledger, desk)
        reader.offered(CASE, revision, [(1, -1)])
        reader.live(CASE, 2, key_of(0, 0))
        reader.removed(CASE, revision + 1)
    assert audited(ledger).faults == {"doubled": 1}


def test_what_was_pushed_late_to_one_who_had_been_shown_it_is_doubled_and_not_reordered():
    ledger = ledger_of(1)
    ledger.receipt(0, 0, CASE, 3)
    visitor = VisitorReader(ledger, 0)
    visitor.context(CASE, [(3, key_of(0, 0)), (4, -1)])
    visitor.live(CASE, 3, key_of(0, 0))
    assert audited(ledger).faults == {"doubled": 1}


def test_what_was_pushed_late_is_reordered_though_it_comes_again_with_a_snapshot():
    ledger = ledger_of(1)
    ledger.receipt(0, 0, CASE, 1)
    visitor = VisitorReader(ledger, 0)
    visitor.live(CASE, 2, -1)
    visitor.live(CASE, 1, key_of(0, 0))
    visitor.context(CASE, [(1, key_of(0, 0))])
    assert audited(ledger).faults == {"reordered": 1}


def test_what_stands_in_two_places_is_doubled_whichever_of_them_the_receipt_names():
    first, second = ledger_of(1), Ledger("r", 1)
    second.receipt(0, 0, CASE, 1)
    first.shown(key_of(0, 0), first.place(CASE, 2), 0, Shown.CONTEXT)
    first.shown(key_of(0, 0), first.place(CASE, 1), 1, Shown.CONTEXT)
    assert audited(first, second).faults == {"doubled": 1}


def test_two_messages_under_one_number_are_misplaced():
    ledger = ledger_of(2)
    for number in range(2):
        ledger.receipt(0, number, CASE, 1)
        ledger.shown(key_of(0, number), ledger.place(CASE, 1), number, Shown.LIVE)
    assert audited(ledger).faults == {"misplaced": 1}


def test_a_refusal_that_a_later_receipt_overtakes_is_no_contradiction():
    ledger = ledger_of(1)
    ledger.refused(0, 0, stored=False)
    ledger.resent(0, 0)
    ledger.receipt(0, 0, CASE, 1)
    ledger.shown(key_of(0, 0), ledger.place(CASE, 1), 0, Shown.LIVE)
    found = audited(ledger)
    assert (found.faults, found.accepted, found.refused, found.resent) == ({}, 1, 0, 1)


@pytest.mark.parametrize("stored", [True, False])
def test_whoever_was_told_not_now_and_gave_up_is_refused_and_accounted_for(stored):
    ledger = ledger_of(1)
    ledger.refused(0, 0, stored=stored)
    found = audited(ledger)
    assert (found.faults, found.refused, found.unaccounted) == ({}, 1, 0)


def test_not_now_may_be_stored_all_the_same():
    ledger = ledger_of(1)
    ledger.refused(0, 0, stored=True)
    ledger.shown(key_of(0, 0), ledger.place(CASE, 1), 0, Shown.LIVE)
    assert audited(ledger).faults == {}


def test_a_conversation_may_come_to_a_desk_at_the_revision_at_which_it_leaves_another():
    ledger = ledger_of(0)
    ledger.stay(CASE, 0, 1, 5)
    ledger.stay(CASE, 1, 5, 0)
    assert audited(ledger).faults == {}
    ledger.stay(CASE, 2, 6, 7)
    assert audited(ledger).faults == {"held_twice": 1}


def test_who_owns_a_conversation_of_another_run_is_not_known():
    ledger = ledger_of(1)
    ledger.receipt(0, 0, "s7", 4)
    VisitorReader(ledger, 1).live("s7", 4, key_of(0, 0))
    persons = np.arange(2, dtype=np.int32)
    assert audited(ledger, audience=Audience({}, persons)).faults == {}
    assert audited(ledger, audience=Audience({"s7": 1}, persons)).faults == {}
    assert audited(ledger, audience=Audience({"s7": 0}, persons)).faults == {"misplaced": 1}


def test_a_page_fills_a_gap_and_an_unfilled_one_is_told():
    for filled, faults in ((True, {}), (False, {"gaps": 2})):
        ledger = ledger_of(0)
        desk = DeskReader(ledger, 0)
        desk.offered(CASE, 1, [(1, -1)])
        desk.live(CASE, 4, -1)
        if filled:
            desk.page(CASE, [(2, -1), (3, -1)])
        desk.close()
        assert audited(ledger).faults == faults


def test_what_a_desk_was_not_told_of_while_it_was_cut_off_is_a_gap_until_it_is_read():
    for filled, faults in ((True, {}), (False, {"gaps": 1})):
        ledger = ledger_of(0)
        desk = DeskReader(ledger, 0)
        desk.offered(CASE, 1, [(1, -1)])
        desk.snapshot(9, [CASE])
        desk.offered(CASE, 1, [(3, -1), (4, -1)])
        if filled:
            desk.page(CASE, [(2, -1)])
        desk.live(CASE, 5, -1)
        desk.close()
        assert audited(ledger).faults == faults


def test_a_number_before_all_that_a_desk_was_shown_is_late_there():
    ledger = ledger_of(1)
    ledger.receipt(0, 0, CASE, 3)
    desk = DeskReader(ledger, 0)
    desk.offered(CASE, 1, [(4, -1), (5, -1)])
    desk.live(CASE, 3, key_of(0, 0))
    assert audited(ledger).faults == {"reordered": 1}


def test_a_page_of_a_conversation_that_a_desk_never_had_is_misplaced():
    ledger = ledger_of(1)
    ledger.receipt(0, 0, CASE, 1)
    ledger.shown(key_of(0, 0), ledger.place(CASE, 1), 0, Shown.LIVE)
    DeskReader(ledger, 1).page(CASE, [(1, key_of(0, 0))])
    assert audited(ledger).faults == {"misplaced": 1}


def test_messages_that_come_together_come_one_after_the_other():
    ledger = ledger_of(0)
    DeskReader(ledger, 0).offered(CASE, 1, [(1, -1), (3, -1)])
    found = audited(ledger)
    assert found.faults == {"mishaps": 1}
    assert found.examples["mishaps"] == ["desk 0: messages came together as [1, 3], not one after the other"]


def test_an_older_page_does_not_hide_what_comes_again():
    ledger = ledger_of(0)
    visitor = VisitorReader(ledger, 0)
    visitor.live("s2", 5, -1)
    visitor.context("s1", [(1, -1), (2, -1)])
    visitor.live("s2", 5, -1)
    assert audited(ledger).faults == {"foreign_again": 1}


def test_what_comes_anew_without_what_was_shown_of_it_is_a_mishap():
    ledger = ledger_of(0)
    desk = DeskReader(ledger, 0)
    desk.offered(CASE, 1, [(1, -1), (2, -1)])
    desk.snapshot(9, [CASE])
    desk.offered(CASE, 1, [(1, -1)])
    found = audited(ledger)
    assert found.faults == {"mishaps": 1}
    assert found.examples["mishaps"] == ["desk 0: s1 came anew up to 1, and 2 had been shown of it"]


@pytest.mark.parametrize(("after", "faults"), [(3, {}), (4, {"doubled": 1}), (9, {"doubled": 1, "foreign_again": 1})])
def test_a_visitor_who_comes_back_is_told_what_follows_its_cursor_and_nothing_before(after, faults):
    ledger = ledger_of(1)
    ledger.receipt(0, 0, CASE, 4)
    visitor = VisitorReader(ledger, 0)
    visitor.live(CASE, 4, key_of(0, 0))
    visitor.context(CASE, [(4, key_of(0, 0)), (5, -1)], after=after)
    assert audited(ledger).faults == faults


@pytest.mark.parametrize("times", [0, 1, 2])
def test_an_answer_is_pushed_to_one_desk_once(times):
    ledger = ledger_of(1)
    ledger.receipt(0, 0, CASE, 1)
    ledger.shown(key_of(0, 0), ledger.place(CASE, 1), 0, Shown.LIVE)
    for _ in range(times):
        ledger.pushed_back(key_of(0, 0))
    assert audited(ledger).faults == ({"doubled": 1} if times > 1 else {})


@pytest.mark.parametrize(
    ("read", "stored", "faults"), [(False, False, {}), (True, True, {}), (True, False, {"lost": 1})]
)
def test_what_was_shown_and_is_not_in_a_history_that_was_read_whole_is_lost(read, stored, faults):
    first, second = ledger_of(1), Ledger("r", 1)
    first.receipt(0, 0, CASE, 1)
    first.shown(key_of(0, 0), first.place(CASE, 1), 0, Shown.LIVE)
    second.place("another", 1)
    if stored:
        second.stored(0, 0, CASE, 1)
    if read:
        second.read_whole(CASE)
    found = audited(first, second)
    assert found.faults == faults
    assert (found.accepted, found.delivered, found.lost) == (1, 0 if faults else 1, len(faults))


@pytest.mark.parametrize(
    ("revision", "holder", "faults"),
    [
        (5, 1, {}),
        (8, 1, {}),
        (4, 0, {}),
        (5, 0, {"held_elsewhere": 1}),
        (5, -1, {"held_elsewhere": 1}),
        (4, 1, {"held_elsewhere": 1}),
    ],
)
def test_a_conversation_is_on_the_desk_that_the_systems_record_names(revision, holder, faults):
    first, second = ledger_of(0), Ledger("r", 1)
    first.stay(CASE, 0, 1, 5)
    first.stay(CASE, 1, 5, 0)
    second.place("another", 1)
    second.held_by(CASE, revision, holder)
    found = audited(first, second)
    assert found.faults == faults
    if faults:
        assert found.examples["held_elsewhere"][0].startswith("s1: ")


def test_a_conversation_that_waits_is_on_no_desk():
    ledger = ledger_of(0)
    ledger.held_by(CASE, 3, -1)
    assert audited(ledger).faults == {}
    ledger.held_by(CASE, 3, 1)
    assert audited(ledger).faults == {"held_elsewhere": 1}


def test_what_was_taken_from_a_desk_by_time_is_counted_and_no_fault():
    ledger = ledger_of(0)
    desk = DeskReader(ledger, 0)
    for revision, by_time in ((1, True), (3, False)):
        desk.offered(CASE, revision, [])
        desk.removed(CASE, revision + 1, by_time=by_time)
    found = audited(ledger)
    assert (found.faults, found.handed_on) == ({}, 1)
