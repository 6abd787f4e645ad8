"""Changes and their reversals: nothing is overwritten unseen, and what was taken back is as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.administration.changes import Change, Draft, Entries, Outdated, applied, plain, reversal, version_of
from models.administration.inboxes import Greeting, WebInbox
from models.administration.sections import CannedText, Person, Reply, Section, Skill, Team, Value, value_of
from models.administration.teams import team_skills, with_team_skills
from models.domain.agent import User
from models.domain.errors import BadRequest

names = st.sampled_from(["a", "b", "c"])
texts = st.text(max_size=5)
some = st.lists(texts, max_size=3).map(tuple)
VALUES: dict[Section, st.SearchStrategy[Value]] = {
    "users": st.builds(Person, role=st.sampled_from(["agent", "admin"]), skills=some, capacity=st.integers(0, 9)),
    "teams": st.builds(Team, description=texts, skills=some, members=some),
    "skills": st.builds(Skill, description=texts),
    "inboxes": st.builds(WebInbox, title=texts, skill=texts, greeting=st.builds(Greeting, en=texts, zh=texts)),
    "canned": st.builds(CannedText, text=texts),
    "replies": st.builds(Reply, wordings=some),
}
places = st.tuples(st.sampled_from(sorted(VALUES)), names)


@st.composite
def placed(draw: st.DrawFn) -> tuple[Section, str, Value | None]:
    section, name = draw(places)
    return section, name, draw(st.none() | VALUES[section])


def happened(draft: Draft, number: int) -> Change:
    """Return what the store makes of a draft that it carried out."""
    return Change(
        id=f"{number}-0",
        at_ms=number,
        by=draft.by,
        section=draft.section,
        name=draft.name,
        before=plain(draft.before),
        after=plain(draft.after),
        undoes=draft.undoes,
        note=draft.note,
    )


def filled(many: list[tuple[Section, str, Value | None]]) -> Entries:
    return {(section, name): value for section, name, value in many if value is not None}


def is_final(change: Change) -> bool:
    return change.section == "users" and change.after is None


@given(st.lists(placed(), max_size=6), placed())
def test_a_change_and_its_reversal_leave_everything_as_it_was(many, one):
    entries = filled(many)
    section, name, value = one
    draft = Draft(section=section, name=name, before=entries.get((section, name)), after=value, by="ann")
    after = applied(entries, draft)
    assert after.get((section, name)) == value
    change = happened(draft, 1)
    if is_final(change) and change.before is not None:
        return  # a removed user has lost the password
    back = reversal(change, "ben")
    assert (back.undoes, back.by) == ("1-0", "ben")
    assert applied(after, back) == entries


@given(st.lists(placed(), max_size=6), placed(), placed())
def test_a_change_that_began_with_something_else_does_not_happen(many, one, other):
    entries = filled(many)
    section, name, value = one
    current = entries.get((section, name))
    wrong = other[2]
    if wrong == current:
        return
    with pytest.raises(Outdated) as refused:
        applied(entries, Draft(section=section, name=name, before=wrong, after=value, by="ann"))
    assert refused.value.current == current


@given(st.lists(placed(), max_size=6))
def test_the_trail_alone_tells_what_stands_everywhere(many):
    entries: Entries = {}
    trail: list[Change] = []
    for number, (section, name, value) in enumerate(many):
        draft = Draft(section=section, name=name, before=entries.get((section, name)), after=value, by="ann")
        entries = applied(entries, draft)
        trail.append(happened(draft, number))
    told = {(change.section, change.name): change.after for change in trail}
    assert {place: value_of(place[0], value) for place, value in told.items() if value is not None} == entries


class TwoAdmins(RuleBasedStateMachine):
    """Two admins, each with what they saw last; whatever they do, neither overwrites the other unseen."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: Entries = {}
        self.seen: dict[str, Entries] = {"ann": {}, "ben": {}}
        self.trail: list[Change] = []

    @rule(who=st.sampled_from(["ann", "ben"]))
    def look(self, who: str) -> None:
        self.seen[who] = self.entries

    @rule(who=st.sampled_from(["ann", "ben"]), what=placed())
    def change(self, who: str, what: tuple[Section, str, Value | None]) -> None:
        section, name, value = what
        place = (section, name)
        draft = Draft(section=section, name=name, before=self.seen[who].get(place), after=value, by=who)
        stale = self.seen[who].get(place) != self.entries.get(place)
        try:
            self.entries = applied(self.entries, draft)
        except Outdated:
            assert stale
        else:
            assert not stale
            self.trail.append(happened(draft, len(self.trail)))

    @rule(who=st.sampled_from(["ann", "ben"]), which=st.integers(0, 20))
    def undo(self, who: str, which: int) -> None:
        if which >= len(self.trail) or is_final(self.trail[which]):
            return
        change = self.trail[which]
        place = (change.section, change.name)
        changed_since = plain(self.entries.get(place)) != change.after
        draft = reversal(change, who)
        try:
            self.entries = applied(self.entries, draft)
        except Outdated:
            assert changed_since
        else:
            assert not changed_since
            self.trail.append(happened(draft, len(self.trail)))

    @invariant()
    def the_trail_tells_all(self) -> None:
        told = {(change.section, change.name): change.after for change in self.trail}
        assert {place: value for place, value in told.items() if value is not None} == {
            place: plain(value) for place, value in self.entries.items()
        }


TestTwoAdmins = TwoAdmins.TestCase


def test_a_version_names_the_contents():
    assert version_of(None) == ""
    assert version_of(Skill(description="a")) == version_of(Skill(description="a"))
    assert version_of(Skill(description="a")) != version_of(Skill(description="b"))


def test_a_password_cannot_be_taken_back():
    person = Person(role="agent")
    draft = Draft(section="users", name="ann", before=person, after=person, by="zoe", note="password")
    with pytest.raises(BadRequest, match="password"):
        reversal(happened(draft, 1), "zoe")


def test_a_user_who_was_removed_does_not_come_back_without_a_password():
    draft = Draft(section="users", name="ann", before=Person(role="agent"), after=None, by="zoe")
    with pytest.raises(BadRequest, match="password"):
        reversal(happened(draft, 1), "zoe")


def test_an_agent_knows_what_it_knows_and_what_its_teams_know():
    teams = [
        Team(skills=("returns", "billing"), members=("ann", "ben")),
        Team(skills=("billing", "french"), members=("ann",)),
        Team(skills=("chess",), members=()),
    ]
    skills = team_skills(teams)
    ann = with_team_skills(User(name="ann", skills=("orders", "billing"), capacity=3), skills)
    assert ann == User(name="ann", skills=("orders", "billing", "french", "returns"), capacity=3)
    assert with_team_skills(User(name="ben"), skills).skills == ("billing", "returns")
    assert with_team_skills(User(name="cat", skills=("x",)), skills) == User(name="cat", skills=("x",))
