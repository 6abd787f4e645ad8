"""When the bot answers and when it hands over; the rules follow."""

from models.bot.replies import Replies
from models.domain.bot import Answer, BotState, HandOver, Insight
from models.intent.taxonomy import Taxonomy
from models.intent.understanding import Understanding

__all__ = ["Answer", "Bot", "BotState", "HandOver", "HandOverReason", "Insight"]


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
