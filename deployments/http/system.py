"""``/healthz``, ``/readyz``, ``/openrpc...`` and ``/rpc``: is it well, what does it speak, and the desk's methods."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from deployments.http.bodies import JSON_TYPE, json_response, media_type
from deployments.http.callers import Callers
from deployments.http.parts import IngressParts
from models.domain.errors import Unavailable
from models.protocol import jsonrpc
from models.protocol.methods import Door
from models.protocol.openrpc import DOORS, openrpc_document

_STORE_ANSWERS_S = 1.0
_RPC_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON_TYPE: {"schema": {"description": "A JSON-RPC 2.0 call or batch; see /openrpc.json"}}},
    },
    "security": [{"agentToken": []}],
}


#: A document has the methods of one door, since some names mean something else at another one.
_OPENRPC: dict[str, Door] = {
    "/openrpc.json": "http",
    "/openrpc/desk.json": "desk",
    "/openrpc/visitor.json": "visitor",
}


class Health(BaseModel):
    """It is well."""

    status: Literal["ok"] = "ok"


class SystemRoutes:
    """Routes about the system itself, and the door to the methods of a desk."""

    def __init__(self, parts: IngressParts, callers: Callers) -> None:
        self._parts = parts
        self._callers = callers
        self.router = APIRouter(tags=["system"])
        self.router.add_api_route("/healthz", self.healthz, methods=["GET"])
        self.router.add_api_route("/readyz", self.readyz, methods=["GET"])
        for path, door in _OPENRPC.items():
            document = msgspec.json.encode(openrpc_document(door))
            self.router.add_api_route(
                path,
                _answering(document),
                methods=["GET"],
                response_class=Response,
                summary=f"OpenRPC document: {door}",
                description=DOORS[door],
            )
        self.router.add_api_route(
            "/rpc", self.rpc, methods=["POST"], response_class=Response, tags=["agents"], openapi_extra=_RPC_BODY
        )

    async def healthz(self) -> Health:
        """Tell that this process answers."""
        return Health()

    async def readyz(self) -> Health:
        """Tell that this process can do its work: the store answers."""
        try:
            async with asyncio.timeout(_STORE_ANSWERS_S):
                await self._parts.redis.ping()  # type: ignore[misc]
        except (RedisError, OSError, TimeoutError):
            raise Unavailable("the store does not answer", 1.0) from None
        return Health()

    async def rpc(self, request: Request) -> Response:
        """Answer a JSON-RPC 2.0 call or batch of an agent.

        The methods are those of the desk's socket; `/openrpc.json` lists them. 204 means that the body
        held notifications only.
        """
        claims = self._callers.agent(request)
        self._callers.charge(claims)
        media_type(request, JSON_TYPE)
        body = await request.body()
        if further := jsonrpc.count_calls(body) - 1:
            self._callers.charge(claims, further)
        answer = await self._parts.rpc(claims, body)
        return json_response(answer) if answer else Response(status_code=204)


def _answering(document: bytes) -> Callable[[], Awaitable[Response]]:
    """Make the route that returns a document."""

    async def answer() -> Response:
        return json_response(document)

    return answer
