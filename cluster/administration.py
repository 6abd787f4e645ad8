"""What an admin can see and change of an account: what the store has, over what the config file says.

Each change is checked against all that it refers to, and then handed to the store, which makes it only if the entry
still is what the admin saw. Between the check and the change somebody may take away what was referred to: an inbox
whose hours are gone is open, a team's member who is gone is nobody, so nothing breaks by it.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from cluster.settings import Settings
from cluster.settings_sections import InboxSettings
from cluster.store.administration import AdministrationStore
from models.administration.changes import Change, Draft, Note, Outdated, plain, reversal, version_of
from models.administration.inboxes import WebInbox
from models.administration.sections import (
    Known,
    Person,
    Reply,
    Section,
    Value,
    check_entry,
    check_removal,
    reply_name,
    value_of,
)
from models.bot.replies import LANGUAGES
from models.domain.errors import BadRequest, NotFound
from models.intent.taxonomy import Intent, Taxonomy

_SECRETS = ("token", "encoding_aes_key", "app_secret")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as an admin sees it.

    Args:
        name: of the entry.
        value: what counts now; null where there is nothing to change.
        version: names what an admin said, to be handed back with a change; empty: nobody said anything.
        said: whether an admin said it; else it comes from the config file, or from raydesk.
        about: what else there is to know; of a secret only whether it is set.
    """

    name: str
    value: dict[str, Any] | None
    version: str
    said: bool
    about: dict[str, str | bool] = msgspec.field(default_factory=dict[str, str | bool])


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the audit trail, and whether it can be taken back now."""

    change: Change
    undoable: bool


class Administration:
    """What an admin sees and does.

    Args:
        store: sections and trail.
        settings: of the whole system.
        taxonomy: the intents that the bot may speak to; None where there is no bot.
        replies: what it says to them where nobody said otherwise, by (intent, language).
    """

    def __init__(
        self,
        store: AdministrationStore,
        settings: Settings,
        *,
        taxonomy: Taxonomy | None,
        replies: Mapping[tuple[str, str], tuple[str, ...]],
    ) -> None:
        self._store = store
        self._inboxes = settings.inboxes
        intents = list(taxonomy or ())
        self._labels = {each.name: {"en": each.en, "zh": each.zh, "answerable": each.answerable} for each in intents}
        places = [(each.name, language) for each in intents for language in LANGUAGES if _is_spoken(each, replies)]
        self._replies = {reply_name(*place): Reply(wordings=replies.get(place, ())) for place in places}

    # -- seeing

    async def entries(self, account: str, section: Section) -> list[Entry]:
        """Return all entries of a section by name, those of the config file among them."""
        said = await self._store.entries(account, section)
        base = self._base(account, section)
        shown = [_entry(name, base.get(name), said.get(name)) for name in sorted({*base, *said})]
        if section == "inboxes":
            return self._with_vendors(account, [each for each in shown if each.name in base])
        if section == "replies":
            return [self._labelled(each) for each in shown if each.name in base]
        return shown

    async def changes(
        self, account: str, before: str, limit: int, wanted: Mapping[str, str]
    ) -> tuple[list[Listed], str]:
        """Return a page of the audit trail, newest first, and where the next one begins.

        Args:
            account: tenant.
            before: where an earlier page ended; empty: the newest.
            limit: how many at most.
            wanted: what ``section``, ``name`` and ``by`` must be; an empty one may be anything.
        """
        filters = {field: value for field, value in wanted.items() if value}

        def fits(change: Change) -> bool:
            return all(getattr(change, field) == value for field, value in filters.items())

        found, more = await self._store.changes(account, before, limit, fits)
        current = await self._store.some(account, [(change.section, change.name) for change in found])
        return [Listed(change=one, undoable=_undoable(one, now)) for one, now in zip(found, current, strict=True)], more

    # -- changing

    async def put(  # noqa: PLR0913 - by name
        self, account: str, section: Section, name: str, *, given: Any, version: str, by: str, password: str = ""
    ) -> Change | None:
        """Let an entry be something else; returns the change, None where it is so already.

        Args:
            account: tenant.
            section, name: the entry.
            given: the new value, as JSON has it.
            version: of what the admin saw; empty: nobody had said anything.
            by: the admin.
            password: of a new user.

        Raises:
            InvalidField: something about it is not allowed.
            NotFound: nothing can stand under this name.
            Outdated: somebody changed it since.
            Conflict: the section is full.
        """
        value = value_of(section, given)
        current = await self._current(account, section, name, version)
        check_entry(section, name, value, await self._known(account))
        if value == current:
            return None
        return await self._change(account, section, name, current, value, by=by, password=password)

    async def remove(self, account: str, section: Section, name: str, *, version: str, by: str) -> Change:
        """Take back what was said; the config file counts again, where it says something.

        Raises:
            NotFound: nobody said anything.
            BadRequest: others need it, or it is a user, who is deactivated instead.
            Outdated: somebody changed it since.
        """
        if section == "users":
            raise BadRequest("old messages name their agents: deactivate the user instead")
        current = await self._current(account, section, name, version)
        if current is None:
            raise NotFound("there is nothing under this name")
        check_removal(section, name, await self._known(account))
        return await self._change(account, section, name, current, None, by=by)

    async def set_password(self, account: str, name: str, password: str, *, by: str) -> Change:
        """Give a user another password; sessions that began before cannot be renewed.

        Raises:
            NotFound: no such user.
            BadRequest: the password is not allowed.
        """
        current = await self._store.entry(account, "users", name)
        if current is None:
            raise NotFound(f"no user {name!r}")
        return await self._change(account, "users", name, current, current, by=by, password=password, note="password")

    async def undo(self, account: str, change: str, *, by: str) -> Change:
        """Take a change back.

        Raises:
            NotFound: there is no such change.
            BadRequest: it cannot be taken back, or what it would bring back is not allowed any more.
            Outdated: somebody changed the entry since.
        """
        draft = reversal(await self._store.change_of(account, change), by)
        current = await self._store.entry(account, draft.section, draft.name)
        if current != draft.before:
            raise Outdated("somebody changed this since; the newer change comes first", current)
        known = await self._known(account)
        if draft.after is None:
            check_removal(draft.section, draft.name, known)
        else:
            check_entry(draft.section, draft.name, draft.after, known)
        return await self._store.change(account, draft)

    # -- how

    async def _current(self, account: str, section: Section, name: str, version: str) -> Value | None:
        current = await self._store.entry(account, section, name)
        if version_of(current) != version:
            raise Outdated("somebody changed this since", current)
        return current

    async def _change(  # noqa: PLR0913 - by name
        self,
        account: str,
        section: Section,
        name: str,
        before: Value | None,
        after: Value | None,
        *,
        by: str,
        password: str = "",
        note: Note = "",
    ) -> Change:
        draft = Draft(section=section, name=name, before=before, after=after, by=by, note=note)
        return await self._store.change(account, draft, password)

    async def _known(self, account: str) -> Known:
        users = cast("dict[str, Person]", await self._store.entries(account, "users"))
        said = cast("dict[str, WebInbox]", await self._store.entries(account, "inboxes"))
        base = cast("dict[str, WebInbox]", self._base(account, "inboxes"))
        return Known(
            users=users,
            inboxes={name: said.get(name, value) for name, value in base.items()},
            hours=frozenset(await self._store.entries(account, "hours")),
            intents=frozenset(self._labels),
        )

    def _base(self, account: str, section: Section) -> Mapping[str, Value]:
        """Return what counts where nobody said anything."""
        if section == "inboxes":
            mine = {name: inbox for name, inbox in self._inboxes.items() if inbox.account == account}
            return {name: _web_inbox(inbox) for name, inbox in mine.items() if inbox.channel == "web"}
        return self._replies if section == "replies" else {}

    def _with_vendors(self, account: str, shown: list[Entry]) -> list[Entry]:
        others = [
            Entry(name=name, value=None, version="", said=False, about=_facts(inbox))
            for name, inbox in sorted(self._inboxes.items())
            if inbox.account == account and inbox.channel != "web"
        ]
        return [msgspec.structs.replace(each, about={"channel": "web"}) for each in shown] + others

    def _labelled(self, entry: Entry) -> Entry:
        intent, _, language = entry.name.rpartition(":")
        about: dict[str, str | bool] = {"intent": intent, "language": language, **self._labels.get(intent, {})}
        return msgspec.structs.replace(entry, about=about)


def _entry(name: str, base: Value | None, said: Value | None) -> Entry:
    value = base if said is None else said
    return Entry(name=name, value=plain(value), version=version_of(said), said=said is not None)


def _undoable(change: Change, current: Value | None) -> bool:
    try:
        return reversal(change, "").before == current
    except BadRequest:
        return False


def _is_spoken(intent: Intent, replies: Mapping[tuple[str, str], tuple[str, ...]]) -> bool:
    """Tell whether anything is said to an intent, be it by the bot or as a suggestion."""
    return intent.answerable or any((intent.name, language) in replies for language in LANGUAGES)


def _web_inbox(inbox: InboxSettings) -> WebInbox:
    return WebInbox(skill=inbox.skill, origins=tuple(inbox.origins.split()))


def _facts(inbox: InboxSettings) -> dict[str, str | bool]:
    """Return what an admin may know of a vendor's inbox: of its secrets, whether they are set."""
    facts: dict[str, str | bool] = {"channel": inbox.channel, "skill": inbox.skill}
    if inbox.channel == "wechat":
        secrets = {name: bool(getattr(inbox, name).get_secret_value()) for name in _SECRETS}
        facts |= {"app_id": inbox.app_id, "mode": inbox.mode, **secrets}
    return facts


def administered(inbox: InboxSettings, said: WebInbox) -> InboxSettings:
    """Return what counts of an inbox: what an admin said, over the config file."""
    return inbox.model_copy(update={"skill": said.skill, "origins": " ".join(said.origins)})
