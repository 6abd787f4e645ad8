"""The ingress: HTTP in, routers asked, HTTP out; it keeps nothing, so any replica answers anything.

A replica that dies takes no accepted message with it: an answer of 200 leaves after the store took the
message, and whoever got no answer sends the same again.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware

from cluster.store.following import Following
from deployments.http.administration import ADMINISTRATION_TYPES, AdministrationRoutes
from deployments.http.board import BOARD_TYPES, BoardRoutes
from deployments.http.callers import Callers
from deployments.http.connect import CONNECT_PATH, ConnectRoutes
from deployments.http.conversations import ConversationRoutes, MessagePage
from deployments.http.demo_shop import DemoShopRoutes, has_demo_shop
from deployments.http.files import FILE_TYPES, UPLOAD, FileRoutes
from deployments.http.identities import IdentityRoutes
from deployments.http.intent import INTENT_TYPES, IntentRoutes
from deployments.http.lean import LeanWay
from deployments.http.logins import LoginRoutes
from deployments.http.message_forms import WIRE_TYPES
from deployments.http.messages import MessageRoutes
from deployments.http.middleware import BodyLimit, LastResort, OpenToPages, SecurityHeaders
from deployments.http.openapi import openapi_builder
from deployments.http.pages import PageRoutes, WebFolder
from deployments.http.parts import IngressParts
from deployments.http.people import Inboxes, Links
from deployments.http.problems import install_problems
from deployments.http.system import SystemRoutes
from models.domain.conversation import ConversationRecord

API_VERSION = "1"


def build_ingress(parts: IngressParts) -> FastAPI:
    """Build the whole HTTP application; needs no Ray."""
    following = Following(parts.redis, parts.settings.accounts)
    callers, inboxes, links = Callers(parts), Inboxes(parts.settings, following), Links(parts.router)
    connect = ConnectRoutes(parts, callers, inboxes, links)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncGenerator[None]:
        async with parts.running(), following.kept():
            yield

    app = FastAPI(
        title="raydesk",
        version=API_VERSION,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=running,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(LastResort),
            Middleware(OpenToPages, paths=(CONNECT_PATH, UPLOAD, f"{UPLOAD}/")),
            Middleware(
                BodyLimit,
                max_bytes=parts.settings.limits.body_bytes,
                larger={UPLOAD: parts.settings.limits.file_bytes},
            ),
            Middleware(LeanWay, path=CONNECT_PATH, answer=connect.answer),
        ],
        # spans and metrics that nobody collects cost as much as the route itself
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    install_problems(app)
    for routes in (
        LoginRoutes(parts, callers),
        connect,
        MessageRoutes(parts, callers, inboxes, links),
        IdentityRoutes(parts, callers, inboxes, links),
        ConversationRoutes(parts, callers),
        FileRoutes(parts, callers, inboxes),
        IntentRoutes(parts, callers),
        BoardRoutes(parts, callers),
        AdministrationRoutes(parts, callers),
        SystemRoutes(parts, callers),
        PageRoutes(parts.settings, WebFolder()),
    ):
        app.include_router(routes.router)
    if has_demo_shop(parts.settings):
        app.include_router(DemoShopRoutes(parts.settings).router)
    for router in parts.channel_routers:
        app.include_router(router)
    app.state.following = following
    own = (*INTENT_TYPES, *FILE_TYPES, *BOARD_TYPES, *ADMINISTRATION_TYPES)
    app.openapi = openapi_builder(app, (*WIRE_TYPES, *own, MessagePage, ConversationRecord))
    return app


class Ingress:
    """The Serve deployment around the application; ``serve.ingress()`` without an app wraps it."""

    def __init__(self, make_parts: Callable[[], IngressParts]) -> None:
        """Make the parts in the replica's own process.

        Args:
            make_parts: a function of a module, so that it can be pickled; called inside the event loop.
        """
        self._parts = make_parts()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Build what Serve runs, after the constructor."""
        return build_ingress(self._parts)
