"""A bot with rules that a test sees through, and what a model may say."""

from models.domain.bot import Answer, BotState, HandOver, Insight
from models.intent.understanding import Guess, Understanding

SURE = Understanding(intent="delivery", confidence=0.9, sure=True, candidates=(Guess("delivery", 0.9),))
UNSURE = Understanding(intent="delivery", confidence=0.3, sure=False, candidates=(Guess("delivery", 0.3),))


class PlainBot:
    """Answers what is sure, hands over what is not; a text that begins with a reason is handed over for that."""

    def hear(self, text: str, understanding: Understanding | None, state: BotState) -> Answer | HandOver:
        word = text.partition(" ")[0]
        if word in ("asked", "angry"):
            return HandOver(word, f"a human for: {text}", skill="complaints")
        if understanding is None:
            return HandOver("late")
        if not understanding.sure:
            return HandOver("unsure", skill=understanding.intent)
        return Answer(f"answer to: {text}", BotState(answered=understanding.intent, misses=state.misses + 1))

    def insight(self, text: str, understanding: Understanding) -> Insight:
        return Insight(
            intent=understanding.intent, confidence=understanding.confidence, suggestions=(f"suggested for: {text}",)
        )
