"""``/v1/files`` and ``/files``: files come in, and go out again only as something to save, or as a picture.

A file is sent in with the session's token and answered once it is durable, with a proof that the message shows which
brings it. It is read in two steps: whoever may read it asks with its token, and gets a path that opens this one file
for some minutes. What goes out of that path cannot run: its type is that of a picture or of plain bytes, browsers are
told not to guess another, to save it, and to show it nowhere as a page.
"""

import asyncio
import logging
import re
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

import msgspec
from fastapi import APIRouter, Path
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from cluster.store.directory import API_KEY_PREFIX, ApiKey
from cluster.store.files import PROOF_S, FileStore, FoundFile
from cluster.store.reading import Reading
from deployments.attaching import owner_of
from deployments.http.bodies import json_response
from deployments.http.callers import AddressRates, Callers, bearer, client_address
from deployments.http.openapi import content_of
from deployments.http.parts import IngressParts
from deployments.http.people import Inboxes
from models.domain.errors import BadRequest, Forbidden, NotFound, RateLimited, Unauthorized
from models.domain.files import OCTETS, clean_name
from models.security.file_tokens import FileSigner
from models.security.rate import BucketTable
from models.security.tokens import AgentClaims, VisitorClaims

log = logging.getLogger(__name__)
UPLOAD = "/v1/files"
#: A phone on a slow line needs minutes for 10 MB; a connection that trickles for ever is none.
_UPLOAD_S = 600.0
_PEOPLE_COUNTED = 10_000
_NAME_HEADER_CHARS = 4_096
_NO_FILES = "this system takes no files"
_GONE = "there is no such file, or it is not yours to read"
_ASCII_NAME = re.compile(r"[^A-Za-z0-9._ -]")
_SAFE = {
    # not even a script that a browser found in it could run, or reach where it came from
    "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    # the path ends before long, and what a contact sent stays in no cache
    "cache-control": "private, no-store",
}
_encode = msgspec.json.Encoder().encode
_UPLOAD_DOCUMENTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
    },
    "parameters": [
        {
            "name": "X-File-Name",
            "in": "header",
            "required": False,
            "description": "The file's name, percent-encoded UTF-8.",
            "schema": {"type": "string"},
        }
    ],
    "security": [{"agentToken": []}, {"visitorToken": []}],
}


class FileTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The file is kept and survives the death of any process.

    Args:
        id: its id.
        name: as it was cleaned.
        kind: `image` for a picture that a page may show, else `file`.
        bytes: how long it is.
        proof: to be shown in `attachments` of the message that brings it.
        expires_at: Unix time in seconds from which on the proof is worthless; the file is removed soon after.
    """

    id: str
    name: str
    kind: Literal["image", "file"]
    bytes: int
    proof: str
    expires_at: int


class FileLink(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file can be read, for some minutes.

    Args:
        id, name, kind, bytes: as in `FileTaken`.
        path: at this server; needs no token, so give it to nobody.
        expires_at: Unix time in seconds from which on the path opens nothing.
    """

    id: str
    name: str
    kind: Literal["image", "file"]
    bytes: int
    path: str
    expires_at: int


FILE_TYPES = (FileTaken, FileLink)


class FileRoutes:
    """The routes of files."""

    def __init__(self, parts: IngressParts, callers: Callers, inboxes: Inboxes) -> None:
        self._parts = parts
        self._callers = callers
        self._inboxes = inboxes
        self._signer = FileSigner(parts.signer)
        self._reading = Reading(parts.redis)
        limits = parts.settings.limits
        per_minute = limits.files_per_minute
        self._people = BucketTable(per_minute / 60, per_minute, _PEOPLE_COUNTED)
        self._addresses = AddressRates(per_minute)
        self._readers = BucketTable(limits.socket_rate, limits.socket_burst, _PEOPLE_COUNTED)
        self.router = APIRouter(tags=["files"])
        self.router.add_api_route(
            "/v1/files",
            self.take,
            methods=["POST"],
            status_code=201,
            response_class=Response,
            responses={201: {"description": "It is kept.", "content": content_of(FileTaken)}},
            openapi_extra=_UPLOAD_DOCUMENTED,
        )
        self.router.add_api_route(
            "/v1/files/{id}",
            self.link,
            methods=["GET"],
            response_class=Response,
            responses={200: {"description": "Where it can be read.", "content": content_of(FileLink)}},
            openapi_extra={"security": [{"apiKey": []}, {"agentToken": []}, {"visitorToken": []}]},
        )
        self.router.add_api_route(
            "/files/{token}", self.read, methods=["GET"], response_class=Response, include_in_schema=False
        )

    async def take(self, request: Request) -> Response:
        """Keep a file (the body); answers when it is durable. A message brings it by its proof."""
        store = self._store()
        claims = self._person(request)
        self._charge_upload(request, claims)
        name = _name_of(request)
        try:
            async with asyncio.timeout(_UPLOAD_S):
                record = await store.take(claims.account, owner_of(claims), name, request.stream())
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        except TimeoutError:
            raise BadRequest("the file took too long to come") from None
        expires_s = record.at_ms // 1000 + PROOF_S
        taken = FileTaken(
            id=record.id,
            name=record.name,
            kind=record.kind,
            bytes=record.bytes,
            proof=self._signer.proof(claims.account, record, expires_s),
            expires_at=expires_s,
        )
        answer = json_response(_encode(taken))
        answer.status_code = 201
        return answer

    async def link(self, request: Request, file: Annotated[str, Path(alias="id", description="Its id.")]) -> Response:
        """Tell an agent of the account, or the visitor who sent it or whom it was sent to, where a file can be read."""
        store = self._store()
        caller = await self._reader(request)
        found = await store.find(caller.account, file)
        if found is None or not await self._may_read(caller, found):
            raise NotFound(_GONE)
        token, expires_s = self._signer.reading_pass(caller.account, file, self._parts.now())
        record = found.record
        link = FileLink(
            id=record.id,
            name=record.name,
            kind=record.kind,
            bytes=record.bytes,
            path=f"/files/{token}",
            expires_at=expires_s,
        )
        return json_response(_encode(link))

    async def read(self, token: str) -> Response:
        """Give a file to whoever has a path that `link` told."""
        store = self._store()
        try:
            account, file = self._signer.passed(token, self._parts.now())
        except Unauthorized:
            raise NotFound("this path opens nothing, or nothing any more; ask for another one") from None
        found = await store.find(account, file)
        if found is None or not await asyncio.to_thread(found.path.is_file):
            raise NotFound(_GONE)
        record = found.record
        headers = _SAFE | {"content-disposition": disposition(record.name)}
        return FileResponse(found.path, headers=headers, media_type=record.media_type)

    # -- who

    def _store(self) -> FileStore:
        if self._parts.files is None:
            raise Forbidden(_NO_FILES)
        return self._parts.files

    def _person(self, request: Request) -> AgentClaims | VisitorClaims:
        """Return whose token a request shows.

        Raises:
            Unauthorized: it is neither an agent's nor a visitor's.
            Forbidden: the visitor's page is not one of the inbox's.
        """
        token, now = bearer(request), self._parts.now()
        try:
            return self._parts.signer.verify_agent(token, now)
        except Unauthorized:
            visitor = self._parts.signer.verify_visitor(token, now)
        inbox = self._inboxes.of_account(visitor.inbox, visitor.account)
        origin = request.headers.get("origin")
        if inbox.origins and origin is not None and origin not in inbox.origins.split():
            raise Forbidden("this inbox is not for pages of this origin")
        return visitor

    def _charge_upload(self, request: Request, claims: AgentClaims | VisitorClaims) -> None:
        refusal = "too many files; wait a moment"
        now = self._parts.monotonic()
        if isinstance(claims, VisitorClaims):
            # whoever wants can be many visitors, but not at many addresses
            self._addresses.charge(client_address(request), now, refusal)
        if wait_s := self._people.take(f"{claims.account}\0{owner_of(claims)}", now):
            raise RateLimited(refusal, wait_s)

    async def _reader(self, request: Request) -> ApiKey | AgentClaims | VisitorClaims:
        if bearer(request).startswith(API_KEY_PREFIX):
            key = await self._callers.api_key(request)
            self._callers.charge(key)
            return key
        claims = self._person(request)
        if wait_s := self._readers.take(f"{claims.account}\0{owner_of(claims)}", self._parts.monotonic()):
            raise RateLimited("too many calls; slow down", wait_s)
        return claims

    async def _may_read(self, caller: ApiKey | AgentClaims | VisitorClaims, found: FoundFile) -> bool:
        if not isinstance(caller, VisitorClaims) or found.record.owner == owner_of(caller):
            return True
        person, _ = await self._reading.contact(caller.account, caller.contact)
        for contact in found.contacts:
            # whom it was sent to may have turned out to be somebody else since
            if (await self._reading.contact(caller.account, contact))[0] == person:
                return True
        return False


def disposition(name: str) -> str:
    """Return the header that has a browser save a file under its name (RFC 6266)."""
    return f"attachment; filename=\"{_ASCII_NAME.sub('_', name)}\"; filename*=UTF-8''{quote(name, safe='')}"


def _name_of(request: Request) -> str:
    given = request.headers.get("x-file-name", "")
    if len(given) > _NAME_HEADER_CHARS:
        raise BadRequest("the file's name is too long")
    return clean_name(unquote(given, errors="replace"))
