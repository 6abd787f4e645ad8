"""What an ingress is built from: everything it asks, given from outside."""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter
from redis.asyncio import Redis

from cluster.gateways import LiveGateway
from cluster.settings import Settings
from cluster.store.directory import Directory
from cluster.store.files import FileStore
from deployments.intent_client import IntentPort
from models.domain.commands import AnyCommand, AnyReply, Receipt, Receive
from models.domain.errors import RaydeskError
from models.security.tokens import AgentClaims, TokenSigner


class RouterPort(Protocol):
    """The part of a router client that the ingress needs."""

    async def ask(self, command: AnyCommand) -> AnyReply:
        """Return the owning router's answer; a refusal is raised as its error."""
        ...

    async def receive(self, message: Receive) -> Receipt:
        """Have one message taken, following *moved*; returns once it is stored."""
        ...

    async def receive_many(self, messages: list[Receive]) -> list[Receipt | RaydeskError]:
        """Have many taken, as `receive`; answers stand in their order, and one contact's messages keep theirs."""
        ...


async def _nobody_can_say(_: str) -> None:
    return None


def _nothing_to_run() -> AbstractAsyncContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, kw_only=True)
class IngressParts:
    """The collaborators of one ingress.

    Args:
        settings: the whole system's.
        redis: a client that answers bytes; the ingress reads with it, and writes what admins change.
        router, directory, signer: see their types.
        gateways: lists the living gateways, cheap enough for every connect.
        rpc: answers one JSON-RPC body (a call or a batch) for an agent; empty for notifications alone.
        channel_routers: webhooks of channels, and pages.
        intent: the intent model; None when the system has none.
        files: keeps files; None when the system takes none.
        here: tells which agents of an account are there; None when nobody can say.
        running: entered while the ingress serves; starts and stops what the parts need.
        now: the Unix time in seconds.
        monotonic: a clock in seconds that never steps back.
    """

    settings: Settings
    redis: Redis
    router: RouterPort
    directory: Directory
    signer: TokenSigner
    gateways: Callable[[], Awaitable[list[LiveGateway]]]
    rpc: Callable[[AgentClaims, bytes], Awaitable[bytes]]
    channel_routers: Sequence[APIRouter] = ()
    intent: IntentPort | None = None
    files: FileStore | None = None
    here: Callable[[str], Awaitable[Collection[str] | None]] = _nobody_can_say
    running: Callable[[], AbstractAsyncContextManager[None]] = _nothing_to_run
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
