"""Joins questions that many ask of the store at the same time into few commands.

While as many commands are under way as may be, questions gather; when one returns, all that gathered leave
with the next. No timer is involved: a question that is alone leaves at the end of its tick. When hundreds of
sockets open at once, the client of the store costs ten times what the store's own work does, and it costs
that per command.

Promises: every question is answered from a command that was sent after it was asked; a failure of the
command is told to all whose questions it carried; a caller that is cancelled takes nobody else along.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

#: One on the way and one being written.
_AT_ONCE = 2


class Gathering(Generic[Question, Answer]):
    """Questions of one kind.

    Args:
        carry: asks many at once; returns the answers in their order.
        most: how many one command carries.
    """

    def __init__(self, carry: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]], *, most: int) -> None:
        self._carry = carry
        self._most = most
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """Ask, and wait for the answer.

        Raises:
            Exception: what ``carry`` raised.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if len(self._under_way) < _AT_ONCE:
            task = asyncio.ensure_future(self._work())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return await answer

    async def _work(self) -> None:
        while some := self._take():
            try:
                answers = await self._carry([question for question, _ in some])
                for (_, answer), said in zip(some, answers, strict=True):
                    if not answer.done():
                        answer.set_result(said)
            except BaseException as error:
                for _, answer in some:
                    _fail(answer, error)
                if not isinstance(error, Exception):
                    raise

    def _take(self) -> list[tuple[Question, "asyncio.Future[Answer]"]]:
        """Take those that go next; who left meanwhile is not asked for."""
        some: list[tuple[Question, asyncio.Future[Answer]]] = []
        while self._waiting and len(some) < self._most:
            asked = self._waiting.popleft()
            if not asked[1].done():
                some.append(asked)
        return some


class GatheringByAccount(Generic[Question, Answer]):
    """Questions of one kind, joined account by account, as one command touches the keys of one account only.

    Args:
        carry: asks many of an account at once; returns the answers in their order.
        most: how many one command carries.
    """

    def __init__(self, carry: Callable[[str, Sequence[Question]], Awaitable[Sequence[Answer]]], *, most: int) -> None:
        self._carry = carry
        self._most = most
        self._accounts: dict[str, Gathering[Question, Answer]] = {}

    async def ask(self, account: str, question: Question) -> Answer:
        """Ask, and wait for the answer; see `Gathering.ask`."""
        gathering = self._accounts.get(account)
        if gathering is None:
            gathering = self._accounts[account] = Gathering(partial(self._carry, account), most=self._most)
        return await gathering.ask(question)


def _fail(answer: "asyncio.Future[Answer]", error: BaseException) -> None:
    if answer.done():
        return
    if isinstance(error, Exception):
        answer.set_exception(error)
    else:
        answer.cancel()
