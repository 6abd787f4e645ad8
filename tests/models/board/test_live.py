"""The moment as supervisors see it: who waits too long, who has room, and what nobody could say."""

from collections import Counter

import pytest

from models.board.hours import row_of
from models.board.live import MOST_CASES, Board, Chosen, Found, Heard, Open, board_of
from models.board.system import system_of
from models.domain.agent import User
from models.domain.bot import Insight
from models.domain.conversation import ConversationRecord, Thread

NOW_MS = 10_000_000
USERS = (
    User(name="ann", skills=("billing", "orders"), capacity=2),
    User(name="bob", skills=("orders",)),
    User(name="eve", active=False),
)


def conversation(name: str, *said: tuple, state="waiting", since_s=10, **fields) -> Open:
    record = ConversationRecord(
        id=name,
        contact=f"c{name}",
        state=state,
        opened_at_ms=1,
        waiting_since_ms=NOW_MS - since_s * 1000,
        threads=(Thread(channel="web", inbox="web", external_id=fields.pop("external_id", "v1")),),
        **fields,
    )
    said = said or (("contact", since_s, "hello"),)
    newest = [
        Heard(seq=len(said) - n, author=author, at_ms=NOW_MS - ago_s * 1000, text=text, internal=author == "agent note")
        for n, (author, ago_s, text) in enumerate(reversed(said))
    ]
    return Open(record, len(newest), newest)


def board(*opened: Open, here=("ann", "bob"), **more) -> Board:
    waiting = sum(each.record.state == "waiting" for each in opened)
    found = {
        "at_ms": NOW_MS,
        "waiting": waiting,
        "waiting_late": 0,
        "held": Counter(each.record.agent for each in opened if each.record.state != "waiting"),
        "not_read": 0,
        "with_bot": 3,
        "snoozed": 1,
        "open": opened,
        "users": USERS,
        "chosen": {},
        "here": here,
        "hour": row_of(0, {}),
        "before": row_of(0, {}),
        "system": system_of({}, {}, checked=0, missing=0),
    }
    return board_of(Found(**(found | more)), answer_within_s=120, default_capacity=5)


def test_the_most_urgent_stands_first_and_who_waits_for_nothing_last():
    shown = board(
        conversation("a", ("contact", 50, "hi"), ("agent", 20, "yes?"), state="assigned", agent="ann"),
        conversation("b", since_s=30),
        conversation(
            "c",
            ("contact", 300, "hi"),
            ("agent", 290, "?"),
            ("contact", 200, "so"),
            state="assigned",
            agent="bob",
            since_s=300,
        ),
    )
    assert [(case.id, case.since_ms and (NOW_MS - case.since_ms) // 1000, case.late) for case in shown.cases] == [
        ("c", 200, True),
        ("b", 30, False),
        ("a", None, False),
    ]
    assert (shown.totals.held_late, shown.totals.held, shown.totals.waiting) == (1, 2, 1)
    assert shown.cases[0].text == "so"


def test_a_group_shows_who_waits_and_who_could_help():
    shown = board(
        conversation("a", skill="billing", since_s=130),
        conversation("b", skill="billing", since_s=20),
        conversation("c", skill="orders", state="assigned", agent="ann"),
    )
    groups = {group.skill: group for group in shown.groups}
    billing = groups["billing"]
    assert (billing.waiting, billing.late, billing.held, billing.agents, billing.free) == (2, 1, 0, 1, 1)
    assert billing.oldest_ms == NOW_MS - 130_000
    assert (groups["orders"].held, groups["orders"].agents, groups["orders"].free) == (1, 2, 6)
    assert (groups[""].agents, groups[""].free) == (2, 6)
    assert shown.groups[0].skill == "billing"


def test_agents_show_load_presence_and_capacity_and_who_left_is_not_shown():
    shown = board(
        conversation("a", state="offered", agent="bob", offer_expires_ms=1),
        conversation("b", state="assigned", agent="bob", since_s=500),
        here=("bob",),
        chosen={"bob": Chosen("away", "Lunch", 7)},
    )
    bob, ann = shown.agents
    assert (bob.name, bob.held, bob.offered, bob.late, bob.capacity) == ("bob", 2, 1, 1, 5)
    assert (bob.status, bob.reason, bob.since_ms, bob.here) == ("away", "Lunch", 7, True)
    assert (ann.name, ann.here, ann.capacity, ann.since_ms) == ("ann", False, 2, None)
    # who is away takes no more
    assert (shown.totals.here, shown.totals.free) == (1, 0)


def test_what_the_dispatcher_could_not_say_is_not_zero():
    shown = board(conversation("a"), here=None)
    assert (shown.totals.here, shown.totals.free) == (None, None)
    assert {agent.here for agent in shown.agents} == {None}
    assert (shown.groups[0].agents, shown.groups[0].free) == (None, None)


def test_what_was_not_read_is_told():
    shown = board(conversation("a"), waiting=7_001, not_read=7_000)
    assert (shown.totals.waiting, shown.totals.not_read) == (7_001, 7_000)
    many = board(*(conversation(f"a{n}", since_s=n) for n in range(MOST_CASES + 20)))
    assert len(many.cases) == MOST_CASES
    assert many.totals.not_read == 0
    assert many.groups[0].waiting == MOST_CASES + 20


def test_a_case_tells_who_and_what():
    user = conversation("a", external_id="user:42", insight=Insight(intent="refund", confidence=0.9))
    (case,) = board(user).cases
    assert (case.name, case.intent, case.channel, case.author, case.text) == ("42", "refund", "web", "contact", "hello")


@pytest.mark.parametrize(
    ("told", "losses"),
    [
        ({}, (0, 0, 0, 0)),
        (
            {
                "router": [{"counts": {"duplicates": 2, "turns_failed": 1}}, {"counts": {"duplicates": 3}}],
                "gateway": [{"refused": 4, "sockets": 2, "desks": 1}],
                "dispatcher": [{"accounts": {"a": {"repaired": 1}, "b": {"repaired": 2}}}],
            },
            (4, 1, 5, 3),
        ),
    ],
)
def test_losses_are_what_the_processes_know(told, losses):
    found = system_of(told, {"router": 2}, checked=9, missing=1).losses
    assert (found.refused, found.unknown, found.duplicates, found.repaired) == losses
    assert (found.checked, found.missing) == (9, 1)


def test_latencies_add_up_over_processes():
    told = {"router": [{"lately": {"append": {"40": 99}}}, {"lately": {"append": {"60": 1}, "batch_size": {"1": 5}}}]}
    (append,) = system_of(told, {"router": 3}, checked=0, missing=0).latencies
    assert (append.stage, append.n) == ("append", 100)
    assert append.p50_ms == append.p99_ms < 10
    told["router"][1]["lately"]["append"]["60"] = 2
    assert system_of(told, {}, checked=0, missing=0).latencies[0].p99_ms > 60
