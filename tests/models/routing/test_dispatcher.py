"""What a dispatcher decides, one promise at a time."""

import pytest

from models.domain.commands import Done, Offer, Refusal, Release
from models.domain.conversation import Placement
from models.routing.dispatcher import Dispatcher
from models.routing.policy import LeastLoaded
from models.routing.roster import Profile, Roster
from models.routing.terms import Read, Terms

TERMS = Terms()
CONFLICT = Refusal(name="conflict", detail="this conversation changed")


def waiting(conversation, since=0, revision=1, **fields):
    return Placement(
        account="demo",
        conversation=conversation,
        revision=revision,
        state="waiting",
        waiting_since_ms=since,
        **fields,
    )


def held(conversation, agent, revision=2, since=0, state="assigned", **fields):
    return Placement(
        account="demo",
        conversation=conversation,
        revision=revision,
        state=state,
        agent=agent,
        waiting_since_ms=since,
        **fields,
    )


def offered(orders):
    return [(order.conversation, order.agent) for order in orders if isinstance(order, Offer)]


def dispatcher(*profiles, desks=None, now=0):
    core = Dispatcher("demo", 7, TERMS)
    core.profiles_set(profiles, now)
    core.begin(now)
    core.desks_reported("g0", [profile.name for profile in profiles] if desks is None else desks, now)
    return core


def roster_of(*profiles):
    roster = Roster()
    roster.hire(profiles, 0)
    roster.report("g0", frozenset(profile.name for profile in profiles), 0)
    return roster


ADA = Profile(name="ada", capacity=1)
BEN = Profile(name="ben", capacity=4)


def test_an_offer_carries_epoch_revision_and_when_it_expires():
    (offer,) = dispatcher(ADA).place(waiting("s1", revision=5), 1_000)
    expected = Offer(account="demo", conversation="s1", agent="ada", epoch=7, expires_at_ms=31_000, revision=5)
    assert offer == expected


def test_freed_agent_gets_the_longest_waiting_conversation_in_the_same_call():
    core = dispatcher(ADA)
    core.place(held("s0", "ada"), 0)
    for conversation, since in (("s3", 30), ("s1", 10), ("s2", 20)):
        assert core.place(waiting(conversation, since), 40) == []
    assert offered(core.place(_resolved("s0"), 60)) == [("s1", "ada")]


def _resolved(conversation, revision=3):
    return Placement(account="demo", conversation=conversation, revision=revision, state="resolved")


def test_the_least_loaded_agent_relative_to_capacity_gets_it():
    core = dispatcher(Profile(name="ada", capacity=2), Profile(name="ben", capacity=10))
    core.place(held("s1", "ada"), 0)
    core.place(held("s2", "ben"), 0)
    core.place(held("s3", "ben"), 0)
    assert offered(core.place(waiting("s4"), 1)) == [("s4", "ben")]


def test_among_equals_the_longest_idle_gets_it_and_then_the_first_by_name():
    core = dispatcher(Profile(name="cem", capacity=9), Profile(name="ada", capacity=9), Profile(name="ben", capacity=9))
    core.place(held("s1", "ada"), 5)
    core.place(_resolved("s1"), 6)
    given = [offered(core.place(waiting(f"s{number}"), number))[0][1] for number in range(10, 13)]
    assert given == ["ben", "cem", "ada"]


def test_the_preferred_agent_gets_it_while_there_is_room_and_else_somebody_else():
    core = dispatcher(ADA, BEN)
    assert offered(core.place(waiting("s1", preferred="ada"), 0)) == [("s1", "ada")]
    assert offered(core.place(waiting("s2", preferred="ada"), 0)) == [("s2", "ben")]
    assert offered(core.place(waiting("s3", preferred="nobody"), 0)) == [("s3", "ben")]


def test_only_who_has_the_skill_gets_it():
    core = dispatcher(BEN, Profile(name="cem", capacity=1, skills=frozenset({"tax"})))
    assert offered(core.place(waiting("s1", skill="tax"), 0)) == [("s1", "cem")]
    assert core.place(waiting("s2", skill="tax"), 0) == []
    learned = Profile(name="ben", capacity=4, skills=frozenset({"tax"}))
    assert offered(core.profiles_set([learned], 0)) == [("s2", "ben")]


def test_capacity_decides_and_not_the_role():
    assert dispatcher(Profile(name="sue", capacity=0)).place(waiting("s1"), 0) == []


@pytest.mark.parametrize("status", ["away", "offline"])
def test_who_is_not_online_gets_nothing_and_all_that_waited_on_return(status):
    core = dispatcher(BEN)
    core.presence_set("ben", status, 0)
    assert core.place(waiting("s1"), 0) == []
    assert offered(core.presence_set("ben", "online", 1)) == [("s1", "ben")]


def test_who_declined_is_asked_again_only_after_a_pause_and_others_at_once():
    core = dispatcher(ADA)
    assert core.place(waiting("s1", excluded=("ada",)), 0) == []
    core.desks_reported("g0", ["ada"], TERMS.ask_again_ms - 1)
    assert core.tick(TERMS.ask_again_ms - 1) == []
    assert offered(core.tick(TERMS.ask_again_ms)) == [("s1", "ada")]
    core = dispatcher(ADA, BEN)
    assert offered(core.place(waiting("s1", excluded=("ben",)), 0)) == [("s1", "ada")]


def test_after_the_pause_whoever_did_not_decline_still_goes_first():
    policy = LeastLoaded()
    placement = waiting("s1", preferred="ada", excluded=("ada",))
    lane = policy.lane(placement, barring=False)
    candidates = roster_of(ADA, BEN).candidates(lane.skill, lane.barred)
    assert {agent.name for agent in candidates} == {"ada", "ben"}
    assert policy.choose(placement, candidates) == "ben"


def test_a_declining_agent_does_not_keep_others_waiting_behind_what_it_declined():
    core = dispatcher(ADA)
    core.place(waiting("s1", since=1, excluded=("ada",)), 10)
    assert offered(core.place(waiting("s2", since=2), 10)) == [("s2", "ada")]


def test_a_late_placement_is_ignored():
    core = dispatcher(ADA)
    core.place(held("s1", "ada", revision=5), 0)
    assert core.place(waiting("s1", revision=4), 0) == []
    core.place(_resolved("s1", revision=6), 0)
    assert core.place(waiting("s1", revision=4), 1) == []


def test_an_offer_in_flight_counts_against_capacity():
    core = dispatcher(ADA)
    assert offered(core.place(waiting("s1"), 0)) == [("s1", "ada")]
    assert core.place(waiting("s2"), 0) == []


def test_a_refused_offer_keeps_its_seat_until_the_store_tells_the_truth():
    core = dispatcher(ADA)
    (offer,) = core.place(waiting("s1"), 0)
    core.place(waiting("s2"), 0)
    assert core.command_answered(offer, CONFLICT, 1) == [Read(account="demo", conversation="s1")]
    assert offered(core.reread("s1", _resolved("s1", revision=2), 2)) == [("s2", "ada")]


def test_a_lost_answer_keeps_its_seat_and_the_same_agent_is_asked_again():
    core = dispatcher(ADA)
    (offer,) = core.place(waiting("s1"), 0)
    core.place(waiting("s2"), 0)
    assert core.command_answered(offer, None, 1) == [Read(account="demo", conversation="s1")]
    assert core.reread("s1", waiting("s1"), 2) == []
    assert offered(core.tick(2 + TERMS.retry_ms)) == [("s1", "ada")]


def test_after_a_lost_answer_another_agent_is_asked_when_the_first_has_gone():
    core = dispatcher(ADA, BEN)
    (offer,) = core.place(waiting("s1", preferred="ada"), 0)
    core.command_answered(offer, None, 1)
    core.reread("s1", waiting("s1", preferred="ada"), 2)
    core.desks_reported("g0", ["ben"], 3)
    assert offered(core.tick(2 + TERMS.retry_ms)) == [("s1", "ben")]
    core.place(held("s1", "ben", revision=2), 2_000)
    assert offered(core.desks_reported("g0", ["ada", "ben"], 2_001)) == []
    assert offered(core.place(waiting("s2", preferred="ada"), 2_002)) == [("s2", "ada")]


def test_a_read_is_repeated_until_it_is_answered():
    core = dispatcher(ADA)
    (offer,) = core.place(waiting("s1"), 0)
    read = Read(account="demo", conversation="s1")
    assert core.command_answered(offer, None, 0) == [read]
    assert core.tick(TERMS.retry_ms) == [read]
    assert core.tick(TERMS.retry_ms + 1) == []
    assert core.tick(2 * TERMS.retry_ms) == [read]


def test_an_accepted_order_without_placement_is_read_from_the_store():
    core = dispatcher(ADA)
    (offer,) = core.place(waiting("s1"), 0)
    assert core.command_answered(offer, Done(conversation="s1"), 1) == []
    assert core.tick(1 + TERMS.retry_ms) == [Read(account="demo", conversation="s1")]


def test_an_answer_that_comes_after_its_placement_changes_nothing():
    core = dispatcher(ADA)
    (offer,) = core.place(waiting("s1"), 0)
    core.place(held("s1", "ada", state="offered", offer_expires_ms=offer.expires_at_ms), 1)
    assert core.command_answered(offer, None, 2) == []
    assert core.census().held == 1


def test_an_offer_that_expires_is_released_once():
    core = dispatcher(ADA)
    core.place(held("s1", "ada", state="offered", offer_expires_ms=500), 0)
    assert core.tick(499) == []
    expected = Release(account="demo", conversation="s1", agent="ada", epoch=7, reason="offer_expired")
    assert core.tick(500) == [expected]
    assert core.tick(501) == []


def test_a_snoozed_conversation_comes_back_in_time():
    core = dispatcher(ADA)
    snoozed = Placement(account="demo", conversation="s1", revision=2, state="snoozed", snoozed_until_ms=700)
    assert core.place(snoozed, 0) == []
    assert core.tick(699) == []
    expected = Release(account="demo", conversation="s1", agent="", epoch=7, reason="snooze_over")
    assert core.tick(700) == [expected]


def test_who_stays_away_past_the_grace_is_relieved_of_all_in_waiting_order():
    core = dispatcher(BEN)
    for conversation, since in (("s3", 30), ("s1", 10), ("s2", 20)):
        core.place(held(conversation, "ben", since=since), 0)
    core.desks_reported("g0", [], 1_000)
    assert core.tick(1_000 + TERMS.away_grace_ms - 1) == []
    released = core.tick(1_000 + TERMS.away_grace_ms)
    assert [(order.conversation, order.reason) for order in released] == [
        ("s1", "agent_away"),
        ("s2", "agent_away"),
        ("s3", "agent_away"),
    ]


def test_who_returns_within_the_grace_keeps_all():
    core = dispatcher(ADA)
    core.place(held("s1", "ada"), 0)
    core.desks_reported("g0", [], 0)
    core.desks_reported("g1", ["ada"], TERMS.away_grace_ms - 1)
    core.desks_reported("g1", ["ada"], TERMS.away_grace_ms + 5_000)
    assert core.tick(TERMS.away_grace_ms + 5_000) == []


def test_who_is_away_with_an_open_desk_keeps_what_they_hold():
    core = dispatcher(ADA)
    core.place(held("s1", "ada"), 0)
    core.presence_set("ada", "away", 0)
    for now in range(0, 3 * TERMS.away_grace_ms, 2_000):
        core.desks_reported("g0", ["ada"], now)
        assert core.tick(now) == []


def test_a_silent_gateway_holds_no_desks():
    core = dispatcher(ADA)
    core.tick(TERMS.gateway_silence_ms - 1)
    assert core.census().present == 1
    core.tick(TERMS.gateway_silence_ms)
    assert core.census().present == 0
    assert core.place(waiting("s1"), 7_000) == []


def test_what_comes_to_somebody_long_gone_is_released_at_once():
    core = dispatcher(ADA, desks=[])
    core.tick(TERMS.away_grace_ms)
    (release,) = core.place(held("s1", "ada"), TERMS.away_grace_ms + 1)
    assert release.reason == "agent_away"


def test_nothing_is_ordered_before_begin_and_the_longest_waiting_goes_first_then():
    core = Dispatcher("demo", 1, TERMS)
    core.profiles_set([ADA], 0)
    core.desks_reported("g0", ["ada"], 0)
    assert core.place(waiting("s2", 2), 3) == core.place(waiting("s1", 1), 3) == core.tick(4) == []
    assert offered(core.begin(5)) == [("s1", "ada")]


def test_differences_name_what_the_store_knows_otherwise():
    core = dispatcher(desks=[])
    core.place(waiting("s1"), 0)
    core.place(held("s2", "ada"), 0)
    core.place(held("s3", "ada", state="offered"), 0)
    assert core.differences(["s1"], {"s2": "ada", "s3": "ada"}, []) == []
    assert core.differences(["s4"], {"s2": "ben", "s3": "ada"}, ["s1"]) == ["s1", "s2", "s4"]


def test_closed_conversations_are_forgotten_in_the_end():
    core = dispatcher(ADA)
    core.place(held("s1", "ada"), 0)
    core.place(_resolved("s1"), 0)
    assert core.revision("s1") == 3
    core.tick(TERMS.forget_ms)
    assert core.revision("s1") == -1


def test_what_the_bot_holds_is_nobodys_to_take_and_no_difference():
    core = dispatcher(BEN)
    bots = Placement(account="demo", conversation="a", revision=1, state="bot")
    assert core.place(bots, 1) == []
    assert core.differences([], {}, []) == []
    assert (core.census().waiting, core.census().held) == (0, 0)
    assert core.tick(TERMS.forget_ms + 2) == []
    assert core.revision("a") == -1


def test_what_the_bot_handed_over_is_offered():
    core = dispatcher(BEN)
    core.place(Placement(account="demo", conversation="a", revision=1, state="bot"), 1)
    assert offered(core.place(waiting("a", since=1, revision=2), 2)) == [("a", "ben")]
