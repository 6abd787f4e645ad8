"""What a session asks of the gateway that holds it; the gateway keeps it, and a session knows nothing else of it."""

from typing import Any, Protocol

from cluster.clients import RouterClient
from cluster.settings import Settings
from cluster.store.following import Following
from cluster.store.reading import Reading
from deployments.attaching import Attaching
from deployments.desk_methods import DeskMethods
from deployments.sockets.acks import Acks
from deployments.sockets.flusher import Flusher
from deployments.sockets.lifetimes import Lifetimes
from models.administration.hours import Hours
from models.domain.commands import AnyCommand
from models.security.tokens import AgentClaims, TokenSigner


class Host(Protocol):
    """The gateway, as its sessions see it."""

    settings: Settings
    router: RouterClient
    reading: Reading
    following: Following
    signer: TokenSigner
    desk_methods: DeskMethods
    attaching: Attaching
    flusher: Flusher
    acks: Acks
    lifetimes: Lifetimes

    @property
    def openrpc(self) -> Any:
        """The OpenRPC documents, by kind of socket."""
        ...

    def admit(self, session: Any) -> bool:
        """Count a socket; False when its address has too many."""
        ...

    def dismiss(self, session: Any) -> None:
        """Forget a socket that is gone."""
        ...

    async def feed(self, session: Any, channel: str) -> None:
        """Feed a session from ``channel``; returns once nothing can be missed."""
        ...

    def desk_opened(self, claims: AgentClaims) -> None:
        """Let the dispatcher know that a desk of this agent is open."""
        ...

    async def presence_of(self, claims: AgentClaims, wanted: str | None) -> str:
        """Return an agent's presence, or set the one ``wanted``."""
        ...

    async def hours_of(self, account: str, inbox: str) -> Hours | None:
        """Return when somebody is there for the visitors of an inbox; None: always."""
        ...

    def ask_quietly(self, session: Any, command: AnyCommand, call_id: Any) -> None:
        """Ask a router for something that is not worth repeating."""
        ...
