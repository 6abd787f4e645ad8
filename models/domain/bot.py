"""The bot's part in a conversation, as types: what it remembers, what it decides, and what agents see of it."""

from typing import Literal

import msgspec

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
    """What was understood of a contact's message, for the agent who answers it.

    Args:
        intent: the likeliest intent, by its name in the taxonomy.
        confidence: its calibrated probability, 0 to 1.
        suggestions: up to three answers, in the language of the message.
        seq: number of the message.
    """

    intent: str
    confidence: float
    suggestions: tuple[str, ...] = ()
    seq: int = 0


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
