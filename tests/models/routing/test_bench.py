"""Agents with room in their order: the sorted list says what looking at everybody would."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from models.domain.conversation import Placement
from models.routing.bench import Bench, Candidates
from models.routing.policy import LeastLoaded
from models.routing.roster import Profile, Roster


@dataclass
class Somebody:
    name: str
    standing: tuple[float, int, str]


steps = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 3)), max_size=40)


@given(steps, st.frozensets(st.sampled_from("abcdef")))
def test_they_stand_in_their_order_whoever_came_moved_and_went(steps, barred):
    bench, there = Bench(), {}
    for name, load in steps:
        if load is None:
            bench.discard(name)
            there.pop(name, None)
        else:
            there[name] = Somebody(name, (load / 4, 7, name))
            bench.put(there[name])
    assert [each.name for each in bench] == sorted(there, key=lambda name: there[name].standing)
    candidates = Candidates(bench, barred)
    assert [each.name for each in candidates] == [each.name for each in bench if each.name not in barred]
    assert bool(candidates) == bool(there.keys() - barred)
    assert {name for name in "abcdef" if name in candidates} == there.keys() - barred


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), min_size=1),
    st.frozensets(st.sampled_from("abcdef")),
    st.sampled_from(["", *"abcdef"]),
)
def test_the_choice_is_that_of_a_look_at_everybody(loads, excluded, preferred):
    bench = Bench()
    for name, load in loads.items():
        bench.put(Somebody(name, (load / 4, 7, name)))
    placement = Placement(
        account="demo",
        conversation="s1",
        revision=1,
        state="waiting",
        waiting_since_ms=0,
        excluded=tuple(excluded),
        preferred=preferred,
    )
    willing = [name for name in loads if name not in excluded] or list(loads)
    best = preferred if preferred in willing else min(willing, key=lambda name: (loads[name], name))
    assert LeastLoaded().choose(placement, Candidates(bench, frozenset())) == best


def test_those_who_are_there_are_counted_through_every_change():
    roster = Roster()
    roster.hire([Profile(name=name, capacity=1) for name in "abc"], 0)
    assert roster.count_available() == 0
    roster.report("g0", frozenset("abz"), 1)
    assert roster.count_available() == 2
    roster.change("g0", frozenset("c"), frozenset("a"), 2)
    assert roster.count_available() == 2
    roster.choose_presence("b", "away", 3)
    assert roster.count_available() == 1
    roster.rehire([Profile(name="z", capacity=0)], ["c"], 4)
    assert roster.count_available() == 1
    roster.forget_gateways(4, 5)
    assert roster.count_available() == 0
