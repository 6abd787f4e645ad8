"""The sections of what an admin changes, and what may stand in each.

============  ==========================================  ================================================
section       an entry is                                 its name
============  ==========================================  ================================================
``users``     somebody who may log in                     of the user
``teams``     agents who share skills                     of the team
``skills``    what a skill is about                       of the skill; agents and inboxes choose among them
``inboxes``   a web inbox, over the config file           of the inbox in the config file
``hours``     when somebody is there                      by which inboxes choose them
``canned``    an answer kept ready for agents             what agents type behind ``/``
``replies``   what the bot says, over the file of those   ``<intent>:<language>``
============  ==========================================  ================================================

`check_entry` says whether an entry may be so, given all others; `check_removal`, whether it may be taken away.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from models.administration.hours import Hours, check_hours
from models.administration.inboxes import WebInbox, check_inbox
from models.bot.replies import LANGUAGES, InvalidReplies, make_wordings
from models.domain.agent import User, check_user
from models.domain.commands import Role
from models.domain.errors import BadRequest, InvalidField, NotFound
from models.protocol.about import MOST_CANNED, CannedPut

Section = Literal["users", "teams", "skills", "inboxes", "hours", "canned", "replies"]
SECTIONS: tuple[Section, ...] = get_args(Section)
#: Entries of a section; each is read whole by those whom it concerns.
MOST: Mapping[Section, int] = {
    "users": 20_000,
    "teams": 200,
    "skills": 500,
    "inboxes": 1_000,
    "hours": 100,
    "canned": MOST_CANNED,
    "replies": 1_000,
}
MAX_NAME_CHARS = 64
MAX_DESCRIPTION_CHARS = 200
MOST_MEMBERS = 1_000
MOST_SKILLS = 50
#: As msgspec writes an index; ``[...]`` stands for any.
_PLACE = re.compile(r"\[(?:([0-9]+)|\.\.\.)\]")
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,62}[^\s\x00-\x1f\x7f])?")


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who may log in; the same facts as of a ``User``, whose name is that of the entry.

    Args:
        role: what it allows grows from ``agent`` over ``supervisor`` to ``admin``.
        skills: the agent's own; those of its teams come on top.
        capacity: conversations held at once; 0: as in the config file.
        active: whether a log-in is allowed.
    """

    role: Role = "agent"
    skills: tuple[str, ...] = ()
    capacity: int = 0
    active: bool = True


class Team(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Agents who share skills.

    Args:
        description: for people.
        skills: that all its members have.
        members: names of users.
    """

    description: str = ""
    skills: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


class Skill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a skill is about, for people."""

    description: str = ""


class CannedText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a canned answer says."""

    text: str


class Reply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bot says to an intent in a language, those with placeholders first; none: a human goes on."""

    wordings: tuple[str, ...] = ()


Value = Person | Team | Skill | WebInbox | Hours | CannedText | Reply
KINDS: Mapping[Section, type[Value]] = {
    "users": Person,
    "teams": Team,
    "skills": Skill,
    "inboxes": WebInbox,
    "hours": Hours,
    "canned": CannedText,
    "replies": Reply,
}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry may refer to.

    Args:
        users: everybody of the account.
        inboxes: what counts for each web inbox of the account now.
        hours: names.
        intents: names of those that the bot can answer.
    """

    users: Mapping[str, Person] = msgspec.field(default_factory=dict[str, Person])
    inboxes: Mapping[str, WebInbox] = msgspec.field(default_factory=dict[str, WebInbox])
    hours: frozenset[str] = frozenset()
    intents: frozenset[str] = frozenset()


def person_of(user: User) -> Person:
    """Return what an entry says of a user."""
    return Person(role=user.role, skills=user.skills, capacity=user.capacity, active=user.active)


def user_of(name: str, person: Person) -> User:
    """Return the user of an entry."""
    return User(name=name, **msgspec.structs.asdict(person))


def reply_name(intent: str, language: str) -> str:
    """Return the name of the entry for an intent in a language."""
    return f"{intent}:{language}"


def value_of(section: Section, given: Any) -> Value:
    """Read an entry from plain values, as JSON has them.

    Raises:
        InvalidField: it has not the form of this section's.
    """
    try:
        value = msgspec.convert(given, KINDS[section])
        # JSON can escape half a character, which no UTF-8 can hold
        msgspec.json.encode(value)
    except msgspec.ValidationError as error:
        said = str(error).encode(errors="replace").decode()
        detail, _, path = said.partition(" - at `$")
        raise InvalidField(detail, _PLACE.sub(r".\1", path).strip("`.")) from None
    except UnicodeEncodeError:
        raise InvalidField("not valid Unicode", "") from None
    return value


def check_entry(section: Section, name: str, value: Value, known: Known) -> None:
    """Check an entry that is to stand in a section.

    Raises:
        InvalidField: something about it is not allowed.
        NotFound: nothing can stand under this name.
    """
    match value:
        case Person():
            _check_person(name, value, known)
        case CannedText():
            _check_canned(name, value)
        case Reply():
            _check_reply(name, value, known)
        case WebInbox():
            _check_web_inbox(name, value, known)
        case Team() | Skill() | Hours():
            _check_name(name)
            _check_own(value, known)


def check_removal(section: Section, name: str, known: Known) -> None:
    """Check that an entry may be taken away.

    Raises:
        BadRequest: others need it.
    """
    if section == "hours":
        users = sorted(inbox for inbox, said in known.inboxes.items() if said.hours == name)
        if users:
            raise BadRequest(f"the inbox {users[0]} keeps these hours; give it others first")
    if section == "users":
        _check_an_admin_stays(name, None, known)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidField(f"1 to {MAX_NAME_CHARS} characters, without a space at the ends", "name")


def _check_own(value: Team | Skill | Hours, known: Known) -> None:
    if isinstance(value, Hours):
        check_hours(value)
        return
    if len(value.description) > MAX_DESCRIPTION_CHARS:
        raise InvalidField(f"at most {MAX_DESCRIPTION_CHARS} characters", "description")
    if isinstance(value, Team):
        _check_skills(value.skills)
        if len(value.members) > MOST_MEMBERS or len(set(value.members)) < len(value.members):
            raise InvalidField(f"at most {MOST_MEMBERS} members, each once", "members")
        stranger = next((place for place, name in enumerate(value.members) if name not in known.users), None)
        if stranger is not None:
            raise InvalidField("there is no user of this name", f"members.{stranger}")


def _check_skills(skills: tuple[str, ...]) -> None:
    if len(skills) > MOST_SKILLS or len(set(skills)) < len(skills):
        raise InvalidField(f"at most {MOST_SKILLS} skills, each once", "skills")
    if not all(map(_NAME.fullmatch, skills)):
        raise InvalidField(f"a skill is 1 to {MAX_NAME_CHARS} characters", "skills")


def _check_person(name: str, person: Person, known: Known) -> None:
    _check_skills(person.skills)
    if not 0 <= person.capacity <= 1_000:
        raise InvalidField("0 (as in the config file) to 1000", "capacity")
    try:
        check_user(user_of(name, person))
    except BadRequest as error:
        raise InvalidField(error.detail, "name") from None
    _check_an_admin_stays(name, person, known)


def _check_an_admin_stays(name: str, person: Person | None, known: Known) -> None:
    """Refuse what leaves an account without anybody who could take it back."""
    if name not in known.users or not _is_admin(known.users[name]):
        return
    after = {user: each for user, each in known.users.items() if user != name} | ({name: person} if person else {})
    if not any(map(_is_admin, after.values())):
        raise InvalidField("the last admin stays one; make somebody else an admin first", "role")


def _is_admin(person: Person) -> bool:
    return person.role == "admin" and person.active


def _check_canned(name: str, canned: CannedText) -> None:
    try:
        msgspec.convert({"name": name, "text": canned.text}, CannedPut)
    except msgspec.ValidationError as error:
        if "$.name" in str(error):
            detail = "1 to 32 characters without a space, and no / at the head"
            raise InvalidField(detail, "name") from None
        raise InvalidField("1 to 4000 characters", "text") from None


def _check_reply(name: str, reply: Reply, known: Known) -> None:
    intent, _, language = name.rpartition(":")
    if intent not in known.intents or language not in LANGUAGES:
        raise NotFound("the bot has no such intent, or does not speak this language")
    if not reply.wordings:
        return
    try:
        make_wordings(list(reply.wordings))
    except InvalidReplies as error:
        raise InvalidField(str(error), "wordings") from None


def _check_web_inbox(name: str, inbox: WebInbox, known: Known) -> None:
    if name not in known.inboxes:
        raise NotFound("the config file has no such web inbox in this account")
    check_inbox(inbox)
    if inbox.skill and not _NAME.fullmatch(inbox.skill):
        raise InvalidField(f"a skill is 1 to {MAX_NAME_CHARS} characters", "skill")
    if inbox.hours and inbox.hours not in known.hours:
        raise InvalidField("there are no hours of this name", "hours")
