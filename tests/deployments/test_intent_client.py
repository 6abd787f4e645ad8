"""Asking the intent model over a handle: what comes back, what is raised, and that nobody waits for ever."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

import deployments.intent_client
from cluster.codec import encode_intents, encode_understandings
from deployments.intent_client import IntentClient
from models.domain.errors import Overloaded, TooLarge, Unavailable
from models.intent.taxonomy import load_taxonomy
from models.intent.understanding import Guess, Understanding

pytestmark = pytest.mark.anyio
UNDERSTOOD = Understanding(intent="refund", confidence=0.9, sure=True, candidates=(Guess("refund", 0.9),))


class Response:
    """What a handle returns: an awaitable that can be cancelled."""

    def __init__(self, outcome: bytes | BaseException | None) -> None:
        self._outcome = outcome
        self.cancelled = False

    def __await__(self) -> Generator[Any, None, bytes]:
        if self._outcome is None:
            yield from asyncio.get_running_loop().create_future()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    """A handle that answers every call in one way; None is never."""

    def __init__(self, outcome: bytes | BaseException | None) -> None:
        self.outcome = outcome
        self.calls: list[tuple[Any, ...]] = []
        self.responses: list[Response] = []

    def __getattr__(self, method: str) -> "Handle":
        self.calls.append((method,))
        return self

    def remote(self, *args: Any) -> Response:
        self.calls[-1] += args
        self.responses.append(Response(self.outcome))
        return self.responses[-1]


def raised(cause: Exception) -> Exception:
    """What a caller sees of an error that a replica raised."""
    return RayTaskError("understand", "a traceback", cause).as_instanceof_cause()


async def test_answers_come_back_in_their_order() -> None:
    handle = Handle(encode_understandings([UNDERSTOOD, None]))
    assert await IntentClient(handle).understand(["a", "b"], 500) == [UNDERSTOOD, None]
    assert handle.calls == [("understand", ["a", "b"], 500)]


async def test_the_taxonomy_is_asked_for_once() -> None:
    handle = Handle(encode_intents(list(load_taxonomy())))
    client = IntentClient(handle)
    assert (await client.taxonomy()).names == load_taxonomy().names
    assert (await client.taxonomy())["refund"].en == load_taxonomy()["refund"].en
    assert handle.calls == [("intents",)]


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (raised(Overloaded("the queue is full")), Overloaded),
        (raised(TooLarge("too many")), TooLarge),
        (raised(ValueError("a defect")), Unavailable),
        (BackPressureError(num_queued_requests=1, max_queued_requests=1), Overloaded),
        (DeploymentUnavailableError("IntentModel"), Unavailable),
        (ActorUnavailableError("gone", None), Unavailable),
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
async def test_every_failure_is_one_of_ours(error: Exception, wanted: type[Exception]) -> None:
    with pytest.raises(wanted) as caught:
        await IntentClient(Handle(error)).understand(["a"], 500)
    assert type(caught.value) is wanted
    assert str(caught.value)


async def test_what_a_replica_says_reaches_the_caller() -> None:
    with pytest.raises(Overloaded, match=r"^the queue is full$") as caught:
        await IntentClient(Handle(raised(Overloaded("the queue is full", 2.0)))).understand(["a"], 500)
    assert caught.value.retry_after_s == 2.0


async def test_a_replica_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments.intent_client, "_ROAD_S", 0.01)
    handle = Handle(None)
    with pytest.raises(Unavailable, match="does not answer"):
        await IntentClient(handle).understand(["a"], 10)
    assert handle.responses[0].cancelled


async def test_a_caller_that_is_cancelled_takes_its_call_back() -> None:
    handle = Handle(None)
    asking = asyncio.ensure_future(IntentClient(handle).understand(["a"], 10_000))
    while not handle.responses:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert handle.responses[0].cancelled
