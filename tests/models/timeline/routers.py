"""A router over the truthful store: the turn of the actor, without its event loop."""

from collections import Counter
from itertools import count

import msgspec

from models.channels.budget import Budget
from models.domain.commands import AnyCommand, AnyReply, Exported
from models.domain.errors import StaleEpoch
from models.timeline.bot_part import BotPart, Question
from models.timeline.changes import Changes
from models.timeline.shard import Shard
from tests.bots import PlainBot
from tests.models.timeline.truthful_store import TruthfulStore

_serial = count(1)


def entropy(size: int) -> bytes:
    """Bytes that never repeat, in place of random ones."""
    return next(_serial).to_bytes(size, "big")


class TurnFailed(Exception):
    """The append failed, or nobody knows whether it happened."""


class RouterModel:
    """One incarnation of the router of all slots."""

    def __init__(
        self,
        store: TruthfulStore,
        cached_contacts: int = 50_000,
        bot: BotPart | None = None,
        budgets: dict[str, Budget] | None = None,
    ) -> None:
        self.store = store
        self.core = Shard(
            entropy=entropy,
            cached_contacts=cached_contacts,
            bot=bot or BotPart(answers=PlainBot()),
            budgets=budgets or {},
        )
        #: what is to be understood, as the turns since the start found it
        self.questions: list[Question] = []
        self.counts: Counter[str] = Counter()
        self.epoch = 0
        self._claimed: set[str] = set()
        #: appends that were sent and never answered: (account, epoch, changes)
        self.under_way: list[tuple[str, int, Changes]] = []

    def turn(self, commands: list[AnyCommand], now_ms: int, fate: str = "stored", bot_room: int = 0) -> list[AnyReply]:
        """Decide and append a batch.

        Args:
            commands: what to do.
            now_ms: Unix time.
            fate: of the append: ``stored``, ``refused`` (it fails), ``unanswered`` (it happens, nobody is told),
                ``late`` (nobody is told, and it happens later or never).
            bot_room: how many messages the bot takes.

        Raises:
            TurnFailed: the append was not answered; everything is forgotten.
            StaleEpoch: another incarnation owns the slots.
        """
        if not self.epoch:
            self.core.forget()
            epoch = self.store.next_epoch()
            for account in sorted(self._claimed):
                self._claim(account, epoch)
            self.epoch = epoch
        for account in sorted({command.account for command in commands} - self._claimed):
            self._claim(account, self.epoch)
        self.core.learn(self.store.load(self.core.missing(commands)))
        outcome = self.core.apply(commands, now_ms, bot_room)
        for account, changes in outcome.changes.items():
            if fate in ("stored", "unanswered"):
                self.store.append(account, self.epoch, changes)
            elif fate == "late":
                self.under_way.append((account, self.epoch, changes))
        if fate != "stored":
            self.epoch = 0
            raise TurnFailed(fate)
        self.questions += outcome.questions
        self.counts.update(outcome.counts)
        return [self._completed(*each) for each in zip(commands, outcome.replies, strict=True)]

    def late_appends_arrive(self) -> None:
        """Let the store take, or refuse, what was sent and never answered."""
        under_way, self.under_way = self.under_way, []
        for account, epoch, changes in under_way:
            try:
                self.store.append(account, epoch, changes)
            except StaleEpoch:
                continue

    def _claim(self, account: str, epoch: int) -> None:
        newest = self.store.claim(account, epoch, range(1024))
        self.core.dispatcher_epochs[account] = max(newest, self.core.dispatcher_epochs.get(account, 0))
        self._claimed.add(account)

    def _completed(self, command: AnyCommand, reply: AnyReply) -> AnyReply:
        if not isinstance(reply, Exported) or reply.record is None:
            return reply
        return msgspec.structs.replace(reply, messages=self.store.messages(command.account, reply.record.id))
