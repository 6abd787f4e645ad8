"""What contacts said, on its way to the intent model and back into the router; no message waits for it.

A router appends a message, answers its sender, and only then has it understood here; what comes of it
becomes a command that the router gives itself. So the model can be late, fail or be gone:

* Each message has ``bot.patience_ms``. What is not understood by then goes back as such, and is handed over.
* Two calls are under way, and what arrives meanwhile goes as the next one, as in `cluster.clients`.
* What waits is bounded. ``room`` tells the router for how many messages more the bot has time; without room
  conversations wait for a human from the start. What is only for an agent's eyes is dropped first, and counted.
* When several calls in a row understood nothing there is no room, until a call for agents' eyes succeeds.

Nothing here is durable. What a router had under way when it died is found by `deployments.bot_sweep`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import ray

from cluster.actors import APP_NAME, INTENT_MODEL
from cluster.telemetry import Meter
from models.domain.commands import AnyCommand, Understood
from models.domain.errors import RaydeskError, Unavailable
from models.intent.text import HEAD_CHARACTERS, TAIL_CHARACTERS
from models.intent.understanding import Understanding
from models.timeline.bot_part import Question

if TYPE_CHECKING:
    from deployments.intent_client import IntentClient

log = logging.getLogger(__name__)
#: One call is answered while the next is looked at; more would only make the lists shorter.
_IN_FLIGHT = 2
#: The model makes batches of its own; this bounds what one lost call takes along.
_MOST_TEXTS = 64
#: Calls in a row that understood nothing: with so many the model is taken for gone.
_GONE_AFTER = 3
_LOOK_EVERY_S = 1.0


class Understands(Protocol):
    """The intent model as a router sees it."""

    async def understand(self, texts: list[str], wait_ms: int) -> list[Understanding | None]:
        """Return what is understood of each text; None for one that failed or was late."""
        ...

    async def aclose(self) -> None:
        """Be of no more use."""
        ...


class IntentOfThisSystem:
    """The intent model behind its Serve handle, looked for from the start on: it comes up after the routers.

    Args:
        enabled: whether there is one.
    """

    def __init__(self, enabled: bool) -> None:
        self._client: IntentClient | None = None
        self._finding = asyncio.ensure_future(self._find()) if enabled else None

    async def understand(self, texts: list[str], wait_ms: int) -> list[Understanding | None]:
        """Return what is understood of each text; None for one that failed or was late.

        Raises:
            RaydeskError: the model is not there, has too much to do, or does not answer.
        """
        if self._client is None:
            raise Unavailable("the intent model is not up yet")
        return await self._client.understand(texts, wait_ms)

    async def aclose(self) -> None:
        """Look no further. Closing twice is safe."""
        if self._finding is not None:
            self._finding.cancel()
            await asyncio.gather(self._finding, return_exceptions=True)

    async def _find(self) -> None:
        while True:
            try:
                self._client = await asyncio.to_thread(_look_up)
            except Exception as error:  # noqa: BLE001 - whatever Serve raises while it does not know the model
                log.debug("the intent model is not up yet: %r", error)
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                return


def _look_up() -> "IntentClient":
    """Find the model; imports Serve, which takes as long as all else that a router needs to start."""
    if not ray.is_initialized():
        # Serve would start a Ray of its own
        raise Unavailable("this process is not in a Ray")
    from ray import serve

    from deployments.intent_client import IntentClient

    return IntentClient(serve.get_deployment_handle(INTENT_MODEL, APP_NAME))


class Hearing:
    """What waits to be understood, in one router.

    Args:
        model: understands.
        give: has the router take commands of its own; returns when they are stored, or the router ends.
        bot: whether the bot answers; otherwise all that is understood is for agents.
        patience_ms: milliseconds for a message to be understood, from its append on.
        max_pending: messages that may wait here.
        meter: counts.
    """

    def __init__(
        self,
        model: Understands,
        give: Callable[[Sequence[AnyCommand]], Awaitable[None]],
        *,
        bot: bool,
        patience_ms: int,
        max_pending: int,
        meter: Meter,
    ) -> None:
        self._model = model
        self._give = give
        self._bot = bot
        self._patience_s = patience_ms / 1000
        self._max_pending = max_pending
        self._meter = meter
        self._waiting: deque[tuple[Question, float]] = deque()
        self._under_way = 0
        self._failures = 0
        self._calls: set[asyncio.Task[None]] = set()
        self.pending = 0

    @property
    def room(self) -> int:
        """How many messages more the bot can take on now; 0 while it is off or the model is gone."""
        if not self._bot or self._failures >= _GONE_AFTER:
            return 0
        return max(0, self._max_pending - self.pending)

    def hear(self, questions: Iterable[Question]) -> None:
        """Take messages that are stored; returns at once."""
        give_up_at = asyncio.get_running_loop().time() + self._patience_s
        for question in questions:
            # half of the places are kept for what the bot owes an answer to
            if not question.owed and self.pending >= self._max_pending // 2:
                self._meter.count("insights_dropped")
                continue
            self.pending += 1
            self._waiting.append((question, give_up_at))
        self._launch()

    async def aclose(self) -> None:
        """Forget what is under way; what the bot owes is due in the store. Closing twice is safe."""
        self._waiting.clear()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._model.aclose()

    def _launch(self) -> None:
        while self._waiting and self._under_way < _IN_FLIGHT:
            batch = [self._waiting.popleft() for _ in range(min(_MOST_TEXTS, len(self._waiting)))]
            self._under_way += 1
            call = asyncio.ensure_future(self._understand(batch))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _understand(self, batch: list[tuple[Question, float]]) -> None:
        try:
            try:
                found = await self._ask(batch)
            finally:
                self._under_way -= 1
                self._launch()
            commands = [_command(question, each) for (question, _), each in zip(batch, found, strict=True)]
            if heard := [command for command in commands if command is not None]:
                await self._give(heard)
        except Exception:
            log.exception("what was understood of %d messages did not get back", len(batch))
        finally:
            self.pending -= len(batch)

    async def _ask(self, batch: list[tuple[Question, float]]) -> list[Understanding | None]:
        """Return what the model says in time, None for what it does not."""
        texts = [_ends(question.text) for question, _ in batch]
        started = time.perf_counter()
        found: list[Understanding | None] = []
        give_up_at = batch[0][1]
        left_s = max(0.0, give_up_at - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout_at(give_up_at):
                found = await self._model.understand(texts, int(left_s * 1000))
        except (TimeoutError, RaydeskError) as error:
            log.debug("%d messages were not understood: %r", len(texts), error)
        except Exception:
            log.exception("the intent model failed on %d messages", len(texts))
        if len(found) != len(texts):
            found = [None] * len(texts)
        self._meter.record("understand", time.perf_counter() - started)
        self._judge(found)
        return found

    def _judge(self, found: Sequence[Understanding | None]) -> None:
        """Count, and notice that the model is gone or back."""
        understood = sum(each is not None for each in found)
        self._meter.count("understood", understood)
        self._meter.count("not_understood", len(found) - understood)
        was_gone = self._failures >= _GONE_AFTER
        self._failures = 0 if understood else self._failures + 1
        if self._failures == _GONE_AFTER:
            log.warning("the intent model understands nothing; the bot is silent until it does")
        elif was_gone and not self._failures:
            log.warning("the intent model is back; so is the bot")


def _ends(text: str) -> str:
    """Return what the model looks at of a text; the middle of a long one need not travel."""
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return text
    return f"{text[:HEAD_CHARACTERS]} {text[-TAIL_CHARACTERS:]}"


def _command(question: Question, understanding: Understanding | None) -> Understood | None:
    """Tell the router what became of a message; nobody waits for what agents would merely see."""
    if understanding is None and not question.owed:
        return None
    return Understood(
        account=question.account,
        conversation=question.conversation,
        seq=question.seq,
        text=question.text,
        understanding=understanding,
    )
