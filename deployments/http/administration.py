"""``/v1/administration``: what admins see and change of their account while raydesk runs, and the trail of it.

Only an admin may call, by the role that the directory gives at that moment: a token that was signed before somebody
was made less, or left, opens nothing here. There is no cookie, so no other page can call in an admin's name. A change
names the version of what the admin saw; where somebody changed that meanwhile the answer is 409 with what stands
there now, and nothing happened.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, Field, SecretStr
from starlette.requests import Request
from starlette.responses import Response

from cluster.administration import Administration, Entry, Listed
from cluster.bot import replies_of, taxonomy_of
from cluster.store.administration import AdministrationStore
from deployments.http.bodies import Body, Short, is_plain, is_text, json_response
from deployments.http.callers import Callers
from deployments.http.openapi import answers
from deployments.http.parts import IngressParts
from models.administration.changes import Change
from models.administration.sections import KINDS, Section
from models.domain.errors import Forbidden
from models.security.tokens import AgentClaims

_PREFIX = "/v1/administration"
_MOST_CHANGES = 100
_SECURITY: dict[str, Any] = {"security": [{"agentToken": []}]}
_encode = msgspec.json.Encoder().encode


def _is_text(password: SecretStr) -> SecretStr:
    is_text(password.get_secret_value())
    return password


Password = Annotated[SecretStr, Field(min_length=1, max_length=4096), AfterValidator(_is_text)]
EntryName = Annotated[
    str, Path(alias="name", min_length=1, max_length=128, description="Of the entry."), AfterValidator(is_plain)
]
InSection = Annotated[Section, Path(alias="section", description="Where it stands.")]
Filter = Annotated[str, Query(max_length=128), AfterValidator(is_plain)]
Version = Annotated[str, Field(max_length=64, description="Of what the admin saw; empty where nobody said anything.")]


class EntryBody(Body):
    """What an entry shall be."""

    value: dict[str, Any] = Field(description="As the section has it.")
    version: Version = ""
    password: Password | None = Field(None, description="Of a new user.")


class PasswordBody(Body):
    """A new password of a user."""

    name: Short = Field(description="Of the user.")
    password: Password


class UndoBody(Body):
    """The change to take back."""

    change: Short = Field(description="Its id in the audit trail.")


class SectionEntries(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of a section, by name."""

    section: Section
    entries: Sequence[Entry]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The change that was made; null when everything was so already."""

    change: Change | None


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """Changes, newest first.

    Args:
        changes: each with whether it can be taken back now.
        next_before: `before` of the next older page; empty when this is the oldest.
    """

    changes: Sequence[Listed]
    next_before: str


ADMINISTRATION_TYPES = (SectionEntries, Made, Trail, *KINDS.values())


class AdministrationRoutes:
    """The routes of the settings page."""

    def __init__(self, parts: IngressParts, callers: Callers) -> None:
        self._parts = parts
        self._callers = callers
        self._administration = _administration(parts)
        self.router = APIRouter(tags=["administration"])
        for path, method, answer, kind in (
            ("/changes", "GET", self.changes, Trail),
            ("/undo", "POST", self.undo, Made),
            ("/password", "POST", self.set_password, Made),
            ("/{section}", "GET", self.entries, SectionEntries),
            ("/{section}/{name:path}", "PUT", self.put, Made),
            ("/{section}/{name:path}", "DELETE", self.remove, Made),
        ):
            self.router.add_api_route(
                _PREFIX + path,
                answer,
                methods=[method],
                response_class=Response,
                responses=answers(kind),
                openapi_extra=_SECURITY,
            )

    async def entries(self, request: Request, section: InSection) -> Response:
        """Return all entries of a section."""
        admin = await self._admin(request)
        found = await self._administration.entries(admin.account, section)
        return json_response(_encode(SectionEntries(section=section, entries=found)))

    async def put(self, request: Request, section: InSection, name: EntryName, body: EntryBody) -> Response:
        """Let an entry be something else, or be at all."""
        admin = await self._admin(request)
        made = await self._administration.put(
            admin.account,
            section,
            name,
            given=body.value,
            version=body.version,
            by=admin.agent,
            password=body.password.get_secret_value() if body.password else "",
        )
        return json_response(_encode(Made(change=made)))

    async def remove(
        self,
        request: Request,
        section: InSection,
        name: EntryName,
        version: Annotated[str, Query(max_length=64, description="Of what the admin saw.")] = "",
    ) -> Response:
        """Take back what was said of an entry; the config file counts again, where it says something."""
        admin = await self._admin(request)
        made = await self._administration.remove(admin.account, section, name, version=version, by=admin.agent)
        return json_response(_encode(Made(change=made)))

    async def set_password(self, request: Request, body: PasswordBody) -> Response:
        """Give a user another password; sessions that began before cannot be renewed."""
        admin = await self._admin(request)
        password = body.password.get_secret_value()
        made = await self._administration.set_password(admin.account, body.name, password, by=admin.agent)
        return json_response(_encode(Made(change=made)))

    async def changes(
        self,
        request: Request,
        section: Annotated[Section | None, Query(description="Only of this section.")] = None,
        name: Filter = "",
        by: Filter = "",
        before: Filter = "",
        limit: Annotated[int, Query(ge=1, le=_MOST_CHANGES, description="How many at most.")] = 50,
    ) -> Response:
        """Return a page of the audit trail, newest first.

        A page may hold fewer than `limit`, or none, while `next_before` says that there are older ones: so many
        lines are looked at for one page.
        """
        admin = await self._admin(request)
        wanted = {"section": section or "", "name": name, "by": by}
        found, more = await self._administration.changes(admin.account, before, limit, wanted)
        return json_response(_encode(Trail(changes=found, next_before=more)))

    async def undo(self, request: Request, body: UndoBody) -> Response:
        """Take a change back, by a new one; refused when the entry was changed since."""
        admin = await self._admin(request)
        made = await self._administration.undo(admin.account, body.change, by=admin.agent)
        return json_response(_encode(Made(change=made)))

    async def _admin(self, request: Request) -> AgentClaims:
        claims = self._callers.agent(request)
        self._callers.charge(claims)
        user = await self._parts.directory.session_user(claims.account, claims.agent, claims.session_started_s)
        if user.role != "admin":
            raise Forbidden("this is for admins")
        return claims


def _administration(parts: IngressParts) -> Administration:
    settings = parts.settings
    enabled = settings.intent.enabled
    return Administration(
        AdministrationStore(parts.redis, parts.directory, parts.now),
        settings,
        taxonomy=taxonomy_of(settings.intent) if enabled else None,
        replies=replies_of(settings.bot, settings.intent).sources() if enabled else {},
    )
