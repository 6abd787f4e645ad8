"""What may stand in the sections, and what is said of what may not."""

import pytest

from models.administration.hours import Hours
from models.administration.inboxes import Greeting, WebInbox
from models.administration.sections import (
    KINDS,
    MOST,
    SECTIONS,
    CannedText,
    Known,
    Person,
    Reply,
    Skill,
    Team,
    check_entry,
    check_removal,
    person_of,
    user_of,
    value_of,
)
from models.domain.agent import User
from models.domain.errors import BadRequest, InvalidField, NotFound

ADMIN = Person(role="admin")
KNOWN = Known(
    users={"zoe": ADMIN, "ann": Person(role="agent")},
    inboxes={"web": WebInbox(hours="main"), "shop": WebInbox()},
    hours=frozenset({"main", "night"}),
    intents=frozenset({"refund"}),
)
CLOSED = ((),) * 7


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("users", "new", Person(role="agent", skills=("billing",), capacity=3)),
        ("users", "ann", Person(role="agent", active=False)),
        ("teams", "night shift", Team(description="22 to 6", skills=("billing",), members=("ann", "zoe"))),
        ("skills", "退货", Skill(description="Returns, 退货")),
        ("inboxes", "web", WebInbox(title="Shop", skill="billing", origins=("https://shop.example",), hours="night")),
        ("hours", "main", Hours(zone="UTC", week=CLOSED)),
        ("canned", "hi/there", CannedText(text="Hello!")),
        ("replies", "refund:en", Reply(wordings=("For {order_number}.", "Money back."))),
        ("replies", "refund:zh", Reply()),
    ],
)
def test_what_is_right_is_taken(section, name, value):
    check_entry(section, name, value, KNOWN)


@pytest.mark.parametrize(
    ("section", "name", "value", "field"),
    [
        ("users", "no space", Person(role="agent"), "name"),
        ("users", "new", Person(role="agent", capacity=-1), "capacity"),
        ("users", "new", Person(role="agent", skills=("",)), "skills"),
        ("users", "new", Person(role="agent", skills=("a", "a")), "skills"),
        ("teams", " x", Team(), "name"),
        ("teams", "x\n", Team(), "name"),
        ("teams", "x" * 65, Team(), "name"),
        ("teams", "x", Team(members=("ann", "bob")), "members.1"),
        ("teams", "x", Team(members=("ann", "ann")), "members"),
        ("teams", "x", Team(description="x" * 201), "description"),
        ("skills", "x", Skill(description="x" * 201), "description"),
        ("inboxes", "web", WebInbox(title="x" * 65), "title"),
        ("inboxes", "web", WebInbox(hours="none"), "hours"),
        ("inboxes", "web", WebInbox(skill="x" * 65), "skill"),
        ("inboxes", "web", WebInbox(origins=("https://a.example", "shop.example/x")), "origins.1"),
        ("inboxes", "web", WebInbox(origins=tuple(f"https://{n:0>60}.example" for n in range(80))), "origins"),
        ("inboxes", "web", WebInbox(greeting=Greeting(zh="x" * 501)), "greeting.zh"),
        ("hours", "main", Hours(zone="Mars", week=CLOSED), "zone"),
        ("canned", "two words", CannedText(text="x"), "name"),
        ("canned", "/x", CannedText(text="x"), "name"),
        ("canned", "x", CannedText(text=""), "text"),
        ("replies", "refund:en", Reply(wordings=("For {order}.",)), "wordings"),
        ("replies", "refund:en", Reply(wordings=("For {order_number}.",)), "wordings"),
        ("replies", "refund:en", Reply(wordings=("x" * 301,)), "wordings"),
    ],
)
def test_what_is_wrong_is_refused_at_its_field(section, name, value, field):
    with pytest.raises(InvalidField) as refused:
        check_entry(section, name, value, KNOWN)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("inboxes", "other", WebInbox()),
        ("replies", "weather:en", Reply()),
        ("replies", "refund:fr", Reply()),
        ("replies", "refund", Reply()),
    ],
)
def test_nothing_stands_where_nothing_can(section, name, value):
    with pytest.raises(NotFound):
        check_entry(section, name, value, KNOWN)


@pytest.mark.parametrize("after", [Person(role="supervisor"), Person(role="admin", active=False), None])
def test_the_last_admin_stays_one(after):
    def change(known):
        if after is None:
            check_removal("users", "zoe", known)
        else:
            check_entry("users", "zoe", after, known)

    with pytest.raises(InvalidField, match="last admin"):
        change(KNOWN)
    change(Known(users={**KNOWN.users, "yan": ADMIN}))


def test_hours_that_an_inbox_keeps_stay():
    with pytest.raises(BadRequest, match="web"):
        check_removal("hours", "main", KNOWN)
    check_removal("hours", "night", KNOWN)


@pytest.mark.parametrize(
    ("section", "given", "field"),
    [
        ("users", {"role": "god"}, "role"),
        ("users", {"role": "agent", "password_hash": "x"}, ""),
        ("teams", {"members": "ann"}, "members"),
        ("teams", {"members": ["ann", 7]}, "members.1"),
        ("inboxes", {"greeting": {"fr": "x"}}, "greeting"),
        ("hours", {"zone": "UTC"}, ""),
        ("skills", [], ""),
        ("skills", {"description": "\ud800"}, ""),
        ("skills", {"\ud800": 1}, ""),
    ],
)
def test_what_has_another_form_is_refused(section, given, field):
    with pytest.raises(InvalidField) as refused:
        value_of(section, given)
    assert refused.value.field == field
    refused.value.detail.encode()


def test_every_section_has_a_kind_and_a_bound():
    assert set(SECTIONS) == set(KINDS) == set(MOST)


def test_a_person_has_the_facts_of_a_user():
    user = User(name="ann", role="supervisor", skills=("a",), capacity=2, active=False)
    assert user_of("ann", person_of(user)) == user
