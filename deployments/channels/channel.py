"""The seam of every channel: a webhook call becomes commands and an answer; an answer of ours becomes an outcome.

One file per channel holds one `Channel`. What surrounds it is written once: ``webhook.py`` reads the
call, waits for the receipts and keeps the vendor's deadline; ``deployments/outbox.py`` keeps order,
retries, gives up and reports. docs/channels.md tells how to add one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

import msgspec

from models.domain.commands import Receipt, Receive
from models.domain.errors import BadRequest, NotFound, RaydeskError, Unavailable
from models.domain.outgoing import Outgoing

Now = Callable[[], float]
"""Unix time in seconds."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook call, read to its end and not longer than the channel allows.

    Args:
        method: ``GET`` or ``POST``.
        url: the full URL, as the caller wrote it; some vendors sign it.
        query: parameters of the URL.
        headers: names in lower case.
        body: raw, as signatures need it.
    """

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook call is answered with."""

    status: int = 200
    body: bytes = b""
    media_type: str = "text/plain"
    headers: Mapping[str, str] = {}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a call said, and the answer it gets once every message has its receipt."""

    answer: Answer
    messages: tuple[Receive, ...] = ()


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The vendor took it."""


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """The vendor may take it later; ``after_s`` is how long it asked to wait at least."""

    detail: str
    after_s: float = 0.0


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The vendor will never take it; ``detail`` are its words, for the agent."""

    detail: str


Outcome = Sent | Later | Failed


class Receiver(Protocol):
    """Takes what contacts wrote: ``cluster.clients.RouterClient``."""

    async def receive_many(self, messages: Sequence[Receive]) -> list[Receipt | RaydeskError]:
        """Have messages stored, those of one contact in their order; one receipt or error for each."""
        ...


class Channel(ABC):
    """One kind of medium, with all its inboxes.

    ``name`` is the channel's word in settings, URLs and messages; ``body_limit_bytes`` bounds a call;
    ``answer_within_s`` is when the vendor must have its answer, with room for the way back.
    """

    name: ClassVar[str]
    body_limit_bytes: ClassVar[int] = 65_536
    answer_within_s: ClassVar[float] = 4.5

    @abstractmethod
    async def read(self, inbox: str, call: Call) -> Reading:
        """Verify and parse a call.

        Raises:
            RaydeskError: not to be trusted (Unauthorized), not understood (BadRequest), no such inbox (NotFound).
        """

    def refuse(self, error: RaydeskError) -> Answer:
        """Answer a call that was not taken: problem details, by RFC 9457, unless the vendor wants something else."""
        # 400 and not 422: to a vendor they mean the same, and 400 is what its documents know.
        status = 400 if isinstance(error, BadRequest) else error.http_status
        problem = {"type": "about:blank", "title": error.name, "status": status, "detail": error.detail}
        headers = {"Retry-After": str(max(1, round(error.retry_after_s)))} if isinstance(error, Unavailable) else {}
        return Answer(
            status=status, body=msgspec.json.encode(problem), media_type="application/problem+json", headers=headers
        )

    def parts(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Cut a text into what the vendor takes at once; never empty, the same at every call."""
        return (outgoing.text,)

    @abstractmethod
    async def send(self, outgoing: Outgoing, text: str, key: str) -> Outcome:
        """Hand one part to the vendor, within seconds; never raises for what a vendor or a network does.

        Cancelling leaves it unknown whether the vendor took it.

        Args:
            outgoing: the answer that the part belongs to.
            text: the part.
            key: names the part, the same at every attempt: the idempotency key of vendors that have one.
        """

    async def aclose(self) -> None:  # noqa: B027 - most have nothing to close
        """Close connections; doing it twice is safe."""


def no_such_inbox(channel: str, inbox: str) -> NotFound:
    """Make the error for an inbox that the settings do not have."""
    return NotFound(f"no {channel} inbox {inbox[:64]!r}")
