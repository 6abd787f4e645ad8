"""When the bot answers and when it hands over; the rules follow."""

from typing import Literal

import msgspec

from models.bot.replies import Replies
from models.intent.taxonomy import Taxonomy
from models.intent.understanding import Understanding

HandOverReason = Literal["asked", "unsure", "out_of_scope", "angry", "misses", "not_answerable", "no_words", "late"]


class BotState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bot must remember of a conversation that it holds; the default is a fresh one.

    Args:
        answered: the intent that it answered last.
        misses: how often an answer did not help, since the contact last thanked.
        said: which wordings of ``answered`` were said, by their place in the file.
        language: the language it spoke last.
    """

    answered: str = ""
    misses: int = 0
    said: tuple[int, ...] = ()
    language: str = ""


class Insight(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What agents are shown of a text: its intent, how sure that is (0 to 1), and up to three suggested answers."""

    intent: str
    confidence: float
    suggestions: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """The bot says ``text`` and goes on holding the conversation in ``state``."""

    text: str
    state: BotState


class HandOver(msgspec.Struct, frozen=True):
    """The conversation goes to the agents.

    Args:
        reason: the rule that decided it.
        text: what the bot says with it; empty means nothing.
        skill: what the agent must know; empty means any agent.
    """

    reason: HandOverReason
    text: str = ""
    skill: str = ""


class Bot:
    """The rules of one taxonomy and its words; keeps nothing between two calls."""

    def __init__(
        self,
        taxonomy: Taxonomy,
        replies: Replies,
        *,
        human_confidence: float = 0.5,
        anger_confidence: float = 0.6,
        misses_to_human: int = 2,
    ) -> None:
        self._taxonomy = taxonomy
        self._replies = replies
        self._human_confidence = human_confidence
        self._anger_confidence = anger_confidence
        self._misses_to_human = misses_to_human

    def hear(self, text: str, understanding: Understanding | None, state: BotState) -> Answer | HandOver:
        """Return what to do about a message; no ``understanding`` means that it is late or failed."""
        return HandOver("late")

    def insight(self, text: str, understanding: Understanding) -> Insight:
        """Return what agents are shown of a message."""
        return Insight(intent=understanding.intent, confidence=understanding.confidence)
