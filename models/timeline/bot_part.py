"""What a router knows of the bot: who answers, how long that may take, and what is to be understood."""

from typing import Protocol

import msgspec

from models.domain.bot import Answer, BotState, HandOver, Insight
from models.intent.understanding import Understanding


class Answers(Protocol):
    """The rules by which the bot answers; `models.bot.policy` has them."""

    def hear(self, text: str, understanding: Understanding | None, state: BotState) -> Answer | HandOver:
        """Return what to do about a message; no ``understanding`` means that it is late or failed."""
        ...

    def insight(self, text: str, understanding: Understanding) -> Insight:
        """Return what agents are shown of a message."""
        ...


class BotPart(msgspec.Struct, frozen=True, kw_only=True):
    """The bot's part in the conversations of a shard.

    Args:
        answers: its rules; None when nothing is understood here. What the bot holds is handed over even then.
        own: the rules of accounts that have their own, by account; the shell replaces them between turns.
        patience_ms: for an answer, before the conversation is handed over.
        idle_ms: for the contact to go on after an answer, before the conversation counts as resolved.
        route_by_skill: whether a hand-over asks for the skill of the intent, where the conversation has none.
    """

    answers: Answers | None = None
    own: dict[str, Answers] = msgspec.field(default_factory=dict[str, Answers])
    patience_ms: int = 1_500
    idle_ms: int = 1_800_000
    route_by_skill: bool = False

    def answers_of(self, account: str) -> Answers | None:
        """Return the rules that count in an account."""
        return self.own.get(account, self.answers)


class Question(msgspec.Struct, frozen=True, gc=False):
    """A contact's message that is to be understood, once it is stored.

    Args:
        owed: the bot owes an answer; otherwise it is only for the agent who will take it.
    """

    account: str
    conversation: str
    seq: int
    text: str
    owed: bool
