"""What a session asks of the gateway that holds it; the gateway keeps it, and a session knows nothing else of it."""

from typing import Any, Protocol

from cluster.clients import RouterClient
from cluster.settings import Settings
from cluster.store.following import Following
from cluster.store.reading import Reading
from deployments.desk_methods import DeskMethods
from deployments.sockets.flusher import Flusher
from deployments.sockets.lifetimes import Lifetimes
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
    flusher: Flusher
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

    def desk_acked(self, claims: AgentClaims, cursor: int) -> None:
        """Remember how far a desk of this agent has shown its events."""
        ...

    def visit_acked(self, account: str, contact: str, message: str) -> None:
        """Remember the newest message that a contact has seen."""
        ...

    def ask_quietly(self, session: Any, command: AnyCommand, call_id: Any) -> None:
        """Ask a router for something that is not worth repeating."""
        ...
