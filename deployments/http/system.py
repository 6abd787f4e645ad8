"""``/healthz``, ``/readyz``, ``/openrpc.json`` and ``/rpc``: is it well, what does it speak, and the desk's methods."""

import asyncio
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from deployments.http.bodies import JSON_TYPE, json_response, media_type
from deployments.http.callers import Callers
from deployments.http.parts import IngressParts
from models.domain.errors import Unavailable

_STORE_ANSWERS_S = 1.0
_RPC_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON_TYPE: {"schema": {"description": "A JSON-RPC 2.0 call or batch; see /openrpc.json"}}},
    },
    "security": [{"agentToken": []}],
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
        self.router.add_api_route("/openrpc.json", self.openrpc, methods=["GET"], response_class=Response)
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

    async def openrpc(self) -> Response:
        """Return the OpenRPC document of `/rpc` and of the sockets."""
        return json_response(self._parts.openrpc)

    async def rpc(self, request: Request) -> Response:
        """Answer a JSON-RPC 2.0 call or batch of an agent.

        The methods are those of the desk's socket; `/openrpc.json` lists them. 204 means that the body
        held notifications only.
        """
        claims = self._callers.agent(request)
        self._callers.charge(claims)
        media_type(request, JSON_TYPE)
        answer = await self._parts.rpc(claims, await request.body())
        return json_response(answer) if answer else Response(status_code=204)
