"""The audit finds what it is for: each test breaks one thing in an otherwise sound run."""

import pytest

from tests.chaos.audit import Audit, Findings, longest_silence_s, longest_wait_s
from tests.chaos.ledger import Ledger

CASE = "case"


def sound_run() -> tuple[Ledger, dict[str, list[tuple[int, str, str]]], dict[str, str]]:
    """Four messages: two shown to ann with the offer, one live, and after a transfer one more to bob."""
    ledger = Ledger()
    ledger.visitors.add("web0")
    for number in range(4):
        ledger.sent("web0", f"web0:{number}", float(number))
    stored = [(1, "contact", "web0:0"), (2, "contact", "web0:1"), (3, "contact", "web0:2"), (4, "contact", "web0:3")]
    for seq, _, source_id in stored:
        ledger.confirmed(source_id, CASE, seq, duplicate=False)
    ledger.entry("ann", 1, 0.5)
    ledger.offered("ann", CASE, 2, [(1, "web0:0"), (2, "web0:1")], 0.5)
    ledger.entry("ann", 2, 0.6)
    ledger.live("ann", CASE, 3, "web0:2", 0.6)
    ledger.entry("ann", 3, 0.7)
    ledger.removed("ann", CASE, 4, "transferred")
    ledger.entry("bob", 1, 0.8)
    ledger.offered("bob", CASE, 5, [(2, "web0:1"), (3, "web0:2")], 0.8)
    ledger.entry("bob", 2, 0.9)
    ledger.live("bob", CASE, 4, "web0:3", 0.9)
    return ledger, {CASE: stored}, {CASE: "bob"}


def audited(run: tuple[Ledger, dict[str, list[tuple[int, str, str]]], dict[str, str]]) -> Findings:
    return Audit(*run).run()


def test_a_sound_run_has_no_fault():
    found = audited(sound_run())
    assert found.faults == {}
    assert (found.written, found.accepted, found.delivered, found.transfers) == (4, 4, 4, 1)


def test_a_receipt_for_what_is_not_stored_is_a_loss():
    ledger, stored, held = sound_run()
    ledger.sent("web0", "web0:4", 4.0)
    ledger.confirmed("web0:4", CASE, 5, duplicate=False)
    assert set(audited((ledger, stored, held)).faults) == {"lost"}


def test_a_stored_message_that_no_desk_showed_is_a_loss():
    ledger, stored, held = sound_run()
    ledger.sent("web0", "web0:4", 4.0)
    ledger.confirmed("web0:4", CASE, 5, duplicate=False)
    stored[CASE].append((5, "contact", "web0:4"))
    assert set(audited((ledger, stored, held)).faults) == {"lost"}


def test_a_receipt_that_names_another_place_is_a_loss():
    ledger, stored, held = sound_run()
    ledger.receipts["web0:3"] = (CASE, 3)
    assert set(audited((ledger, stored, held)).faults) == {"lost"}


def test_a_message_stored_twice_is_doubled():
    ledger, stored, held = sound_run()
    stored[CASE].append((5, "contact", "web0:0"))
    assert "doubled" in audited((ledger, stored, held)).faults


def test_a_message_shown_twice_at_one_desk_is_doubled():
    ledger, stored, held = sound_run()
    ledger.entry("bob", 3, 1.0)
    ledger.live("bob", CASE, 4, "web0:3", 1.0)
    assert set(audited((ledger, stored, held)).faults) == {"doubled"}


def test_a_message_shown_live_at_two_desks_is_found():
    ledger, stored, held = sound_run()
    ledger.entry("ann", 4, 1.0)
    ledger.live("ann", CASE, 4, "web0:3", 1.0)
    assert {"doubled", "misplaced"} <= set(audited((ledger, stored, held)).faults)


def test_an_entry_of_a_log_that_comes_twice_is_doubled():
    ledger, stored, held = sound_run()
    ledger.entry("bob", 2, 1.0)
    assert set(audited((ledger, stored, held)).faults) == {"doubled"}


def test_a_gap_in_a_log_is_out_of_order():
    ledger, stored, held = sound_run()
    ledger.entry("bob", 4, 1.0)
    assert set(audited((ledger, stored, held)).faults) == {"reordered"}


def test_messages_stored_in_another_order_than_written_are_reordered():
    ledger, stored, held = sound_run()
    ledger.written["web0"] = ["web0:0", "web0:2", "web0:1", "web0:3"]
    assert set(audited((ledger, stored, held)).faults) == {"reordered"}


def test_messages_shown_in_another_order_than_stored_are_reordered():
    ledger, stored, held = sound_run()
    stored[CASE] += [(5, "contact", "web0:4"), (6, "contact", "web0:5")]
    for seq in (6, 5):
        ledger.entry("bob", 9 - seq, 1.0)
        ledger.live("bob", CASE, seq, f"web0:{seq - 1}", 1.0)
    assert "reordered" in audited((ledger, stored, held)).faults


def test_a_message_shown_where_the_conversation_is_not_is_misplaced():
    ledger, stored, held = sound_run()
    ledger.entry("eve", 1, 1.0)
    ledger.live("eve", CASE, 4, "web0:3", 1.0)
    assert "misplaced" in audited((ledger, stored, held)).faults


def test_words_of_another_message_are_misplaced():
    ledger, stored, held = sound_run()
    stored[CASE][3] = (4, "contact", "web9:0")
    assert "misplaced" in audited((ledger, stored, held)).faults


def test_a_conversation_on_two_desks_at_once_is_misplaced():
    ledger, stored, held = sound_run()
    notes = ledger.desks["ann"]
    notes[:] = [note for note in notes if note.kind != "removed"]
    assert "misplaced" in audited((ledger, stored, held)).faults


def test_another_holder_in_the_store_is_misplaced():
    ledger, stored, _ = sound_run()
    assert set(audited((ledger, stored, {CASE: "ann"})).faults) == {"misplaced"}


@pytest.mark.parametrize("reason", ["agent_away", "offer_expired"])
def test_a_conversation_taken_from_an_agent_by_time_is_told(reason):
    ledger, stored, held = sound_run()
    notes = ledger.desks["ann"]
    notes[:] = [note._replace(detail=reason) if note.kind == "removed" else note for note in notes]
    assert set(audited((ledger, stored, held)).faults) == {"handed_on"}


@pytest.mark.parametrize(("times", "fault"), [(0, "answers_lost"), (1, ""), (2, "answers_doubled")])
def test_answers_are_shown_once(times, fault):
    ledger, stored, held = sound_run()
    stored[CASE].append((5, "agent", "bob:1"))
    ledger.answered["bob:1"] = (CASE, 5)
    for _ in range(times):
        ledger.answers_shown["bob:1"].append((5, "event"))
    assert set(audited((ledger, stored, held)).faults) == ({fault} if fault else set())


def test_silence_is_that_of_the_quietest_desk():
    shown = {"ann": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "bob": [0.5, 1.0, 4.5]}
    assert longest_silence_s(shown, 1.5, 5.0) == pytest.approx(3.5)
    assert longest_silence_s({"ann": []}, 1.0, 3.0) == pytest.approx(2.0)


def test_a_wait_counts_for_the_stretch_in_which_it_is():
    begun = {"a": 0.0, "b": 1.0, "c": 1.5}
    ended = {"a": 9.0, "b": 1.2, "c": 4.0}
    assert longest_wait_s(begun, ended, 0.5, 3.0) == pytest.approx(1.5)
