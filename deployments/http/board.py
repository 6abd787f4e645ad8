"""``/v1/board``: what supervisors see of their account, and the change of an agent's skill groups.

Only the role in the caller's token decides, here on the server. However many supervisors look, an account is read once
a second at most; what they get says of which moment it is.
"""

import asyncio
import csv
import io
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from cluster.bot import taxonomy_of
from cluster.settings import Settings
from cluster.store.board import BoardStore, Listened
from deployments.http.bodies import Body, Short, json_response
from deployments.http.callers import Callers
from deployments.http.openapi import answers
from deployments.http.parts import IngressParts
from models.board.hours import PLAIN, Row, by_day, by_hour, hour_of
from models.board.live import Board, board_of
from models.domain.agent import User
from models.domain.errors import Forbidden, Unavailable
from models.protocol.about import IntentName
from models.security.tokens import AgentClaims

log = logging.getLogger(__name__)
#: A look that is younger than this is good for everybody who asks.
_GOOD_FOR_S = 1.0
_HERE_WITHIN_S = 1.0
#: Days of history in one answer, by hour and by day.
_MOST_DAYS = {"hour": 31, "day": 366}
_SECURITY: dict[str, Any] = {"security": [{"agentToken": []}]}
_MOST_SKILLS = 64
CSV_TYPE = "text/csv; charset=utf-8"

By = Literal["hour", "day"]
Days = Annotated[int, Query(ge=1, le=366, description="How many days back, today among them.")]
Offset = Annotated[
    int, Query(ge=-840, le=840, description="Minutes by which the reader's clock is ahead of UTC: days are cut there.")
]


class History(msgspec.Struct, frozen=True):
    """What was counted, by hour or by day; stretches in which nothing happened are left out.

    Args:
        at_ms: Unix time of the answer, in milliseconds.
        by: `hour` or `day`.
        from_ms: Unix time in milliseconds from which on was looked.
        rows: oldest first; the last one goes on.
    """

    at_ms: int
    by: By
    from_ms: int
    rows: list[Row]


class Names(msgspec.Struct, frozen=True):
    """What the board calls things.

    Args:
        intents: what contacts can want, as the model knows it.
    """

    intents: list[IntentName]


class Skills(Body):
    """The skill groups of an agent."""

    skills: list[Short] = Field(max_length=_MOST_SKILLS, description="Its skills, all of them; others are taken away.")


BOARD_TYPES = (Board, History, Listened, Names, User)


class BoardRoutes:
    """Routes of the board."""

    def __init__(self, parts: IngressParts, callers: Callers) -> None:
        self._parts = parts
        self._callers = callers
        self._store = BoardStore(parts.redis, planned=planned(parts.settings))
        self._names = Names([IntentName(each.name, each.en, each.zh) for each in taxonomy_of(parts.settings.intent)])
        self._looks: dict[str, tuple[float, asyncio.Task[bytes]]] = {}
        self.router = APIRouter(tags=["board"])
        for path, answer, kind in (
            ("/v1/board", self.board, Board),
            ("/v1/board/names", self.names, Names),
            ("/v1/board/history", self.history, History),
            ("/v1/board/conversations/{id}", self.listen, Listened),
        ):
            self.router.add_api_route(
                path,
                answer,
                methods=["GET"],
                response_class=Response,
                responses=answers(kind),
                openapi_extra=_SECURITY,
            )
        self.router.add_api_route(
            "/v1/board/history.csv", self.history_csv, methods=["GET"], response_class=Response, openapi_extra=_SECURITY
        )
        self.router.add_api_route(
            "/v1/board/agents/{name}/skills",
            self.set_skills,
            methods=["PUT"],
            response_class=Response,
            responses=answers(User),
            openapi_extra=_SECURITY,
        )

    async def board(self, request: Request) -> Response:
        """Return how the account stands: queues, agents, urgent conversations, this hour, the system.

        Read once a second at most; `at_ms` says when.
        """
        claims = self._supervisor(request)
        return json_response(await self._look(claims.account))

    async def names(self, request: Request) -> Response:
        """Return what the board calls things."""
        self._supervisor(request)
        return json_response(msgspec.json.encode(self._names))

    async def history(self, request: Request, by: By = "hour", days: Days = 1, utc_offset_min: Offset = 0) -> Response:
        """Return what was counted, by hour (at most 31 days) or by day."""
        claims = self._supervisor(request)
        found = await self._history(claims.account, by, days, utc_offset_min)
        return json_response(msgspec.json.encode(found))

    async def history_csv(
        self, request: Request, by: By = "hour", days: Days = 1, utc_offset_min: Offset = 0
    ) -> Response:
        """Return the same as a table (RFC 4180): a line for each hour or day, a column for each intent."""
        claims = self._supervisor(request)
        found = await self._history(claims.account, by, days, utc_offset_min)
        name = f"raydesk-{claims.account}-{by}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(table_of(found.rows, utc_offset_min), headers=headers, media_type=CSV_TYPE)

    async def listen(
        self,
        request: Request,
        conversation: Annotated[str, Path(alias="id", description="The SessionID.")],
        after: Annotated[int | None, Query(ge=0, le=2**53, description="Only messages with a greater `seq`.")] = None,
    ) -> Response:
        """Return a conversation and its newest messages, notes among them, at most 200."""
        claims = self._supervisor(request)
        found = await self._store.listen(claims.account, conversation, after)
        return json_response(msgspec.json.encode(found))

    async def set_skills(
        self, request: Request, name: Annotated[str, Path(description="The agent.")], body: Skills
    ) -> Response:
        """Put an agent into other skill groups; the queues follow within two seconds."""
        claims = self._supervisor(request)
        user = await self._parts.directory.set_skills(claims.account, name, body.skills)
        log.info("%s of %s put %s into the skill groups %s", claims.agent, claims.account, name, list(user.skills))
        return json_response(msgspec.json.encode(user))

    def _supervisor(self, request: Request) -> AgentClaims:
        """Return who calls.

        Raises:
            Unauthorized: nobody that is known.
            Forbidden: somebody who may not see the board.
        """
        claims = self._callers.agent(request)
        self._callers.charge(claims)
        if claims.role == "agent":
            raise Forbidden("the board is for supervisors and admins")
        return claims

    async def _look(self, account: str) -> bytes:
        """Return a look of this second, and take one if there is none; whoever leaves does not end it for others."""
        known = self._looks.get(account)
        now = self._parts.monotonic()
        if known is None or now - known[0] >= _GOOD_FOR_S or _failed(known[1]):
            known = self._looks[account] = (now, asyncio.ensure_future(self._read(account)))
            known[1].add_done_callback(_failed)
        return await asyncio.shield(known[1])

    async def _read(self, account: str) -> bytes:
        settings = self._parts.settings
        within_s = settings.answer_within_s(account)
        here = await self._here(account)
        found = await self._store.look(account, int(self._parts.now() * 1000), within_s, here)
        capacity = settings.dispatcher.default_capacity
        return msgspec.json.encode(board_of(found, answer_within_s=within_s, default_capacity=capacity))

    async def _here(self, account: str) -> Sequence[str] | None:
        """Ask who is there; a dispatcher that is down or starting cannot say."""
        try:
            async with asyncio.timeout(_HERE_WITHIN_S):
                here = await self._parts.here(account)
        except (Unavailable, TimeoutError):
            return None
        return None if here is None else list(here)

    async def _history(self, account: str, by: By, days: int, utc_offset_min: int) -> History:
        now_ms = int(self._parts.now() * 1000)
        days = min(days, _MOST_DAYS[by])
        offset_ms = utc_offset_min * 60_000
        today_ms = (now_ms + offset_ms) // 86_400_000 * 86_400_000 - offset_ms
        # an hour that begins before midnight there belongs to the day before
        first = -(-(today_ms - (days - 1) * 86_400_000) // 3_600_000)
        hours = await self._store.hours(account, first, hour_of(now_ms))
        rows = by_hour(hours) if by == "hour" else by_day(hours, utc_offset_min)
        return History(now_ms, by, today_ms - (days - 1) * 86_400_000, rows)


def planned(settings: Settings) -> dict[str, int]:
    """Tell how many processes of each kind a system should have."""
    intent = {"intent": settings.intent.min_replicas} if settings.intent.enabled else {}
    return {"router": settings.router.count, "gateway": settings.gateway.count, "dispatcher": 1, "outbox": 1} | intent


def table_of(rows: Sequence[Row], utc_offset_min: int) -> str:
    """Write rows as CSV (RFC 4180), times in ISO 8601 with their offset."""
    clock = timezone(timedelta(minutes=utc_offset_min)) if utc_offset_min else UTC
    intents = sorted({intent for row in rows for intent in row.intents})
    numbers = (*PLAIN, "wait_p50_s", "wait_p90_s", "rating")
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(["from", *numbers, *(f"intent_{intent}" for intent in intents)])
    for row in rows:
        start = datetime.fromtimestamp(row.from_ms / 1000, clock).isoformat(timespec="minutes")
        values = [_cell(getattr(row, name)) for name in numbers]
        table.writerow([start, *values, *(row.intents.get(intent, 0) for intent in intents)])
    return written.getvalue()


def _cell(value: float | None) -> float | str:
    """Leave a number that nobody can tell empty: nothing is not zero."""
    return "" if value is None else value


def _failed(task: "asyncio.Task[bytes]") -> bool:
    """Tell whether a look came to nothing, which those who waited for it may have left before."""
    return task.done() and (task.cancelled() or task.exception() is not None)
