"""When the bot answers, and when it lets a human speak.

The first rule that fits a message decides:

==  ==========================================================  =====================================================
1   asks for a human, by word or by intent                      hand over: ``asked``
2   is angry, by word or by intent                              hand over: ``angry``
3   was not understood in time                                  hand over: ``late``, in silence
4   is about something else                                     hand over: ``out_of_scope``
5   the model is not sure                                       hand over: ``unsure``
6   its intent is not the bot's to answer                       hand over: ``not_answerable``
7   there are no words for it in the language                   hand over: ``no_words``
8   is a greeting or thanks                                     answer; thanks forgive the misses
9   the same intent as answered last: the answer did not help   a miss. The last one allowed: hand over: ``misses``.
                                                                Before: another wording, with a plainer offer of a
                                                                human; just that offer when no wording is left
10  else                                                        answer, with the offer of a human
==  ==========================================================  =====================================================

So at most ``misses_to_human`` messages with the same intent are answered one after the other.
Nothing here waits, fails or is remembered: what a conversation needs is in its ``BotState``.
"""

import re
from collections.abc import Iterator

import msgspec

from models.bot.found import Found, find
from models.bot.replies import Replies
from models.domain.bot import Answer, BotState, HandOver, HandOverReason, Insight
from models.intent.taxonomy import COMPLAINT, HUMAN_AGENT, OUT_OF_SCOPE, Taxonomy
from models.intent.text import language_of, normalise
from models.intent.understanding import Guess, Understanding

GREETING = "greeting"
THANKS = "goodbye_thanks"

#: As many as a desk shows under a message.
SUGGESTIONS = 3
#: A candidate less likely than this is suggested only when the others give too little.
PLAUSIBLE = 0.1

_LATIN_WORD = re.compile(r"(?<![\w@.-])[a-z']{2,}(?![\w@-])", re.ASCII)


class Bot:
    """The rules, for one taxonomy and one file of replies; keeps nothing between two calls.

    Args:
        taxonomy: may lack any intent that a rule speaks of.
        replies: what is said.
        human_confidence: from here on, 0 to 1, the intent ``human_agent`` counts as asking for one. It is low,
            because a human too early costs less than a contact who is not let through.
        anger_confidence: the same for ``complaint``.
        misses_to_human: which miss hands over; 2 means that one further answer is tried.
        phone_regions: countries whose phone numbers contacts write without ``+`` and country code.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        replies: Replies,
        *,
        human_confidence: float = 0.5,
        anger_confidence: float = 0.6,
        misses_to_human: int = 2,
        phone_regions: tuple[str, ...] = ("CN", "US"),
    ) -> None:
        self._taxonomy = taxonomy
        self._replies = replies
        self._human_confidence = human_confidence
        self._anger_confidence = anger_confidence
        self._misses_to_human = misses_to_human
        self._phone_regions = phone_regions

    def hear(self, text: str, understanding: Understanding | None, state: BotState) -> Answer | HandOver:
        """Return what to do about a message of a conversation that the bot holds.

        Args:
            text: as the contact wrote it; of any length.
            understanding: what the model says of it; none if that is late or failed.
            state: as the last answer left it.
        """
        language = _language(text, state)
        if not text.strip():
            # a file without a word: what the model makes of nothing means nothing
            return self._hand_over("not_answerable", None, state, language)
        reason = self._reason(text, understanding, language)
        if reason or understanding is None:
            return self._hand_over(reason or "late", understanding, state, language)
        intent, found = understanding.intent, find(text, self._phone_regions)
        if intent == THANKS:
            return self._thank(found, language)
        if intent == GREETING:
            return self._greet(found, state, language)
        if intent == state.answered:
            return self._miss(found, state, language)
        return self._answer(intent, found, state, language)

    def insight(self, text: str, understanding: Understanding) -> Insight:
        """Return what agents are shown of a message: suggestions are distinct, in its language, likeliest first."""
        found = find(text, self._phone_regions)
        suggestions = dict.fromkeys(self._suggestions(understanding, found, language_of(text)))
        return Insight(
            intent=understanding.intent,
            confidence=understanding.confidence,
            suggestions=tuple(suggestions)[:SUGGESTIONS],
        )

    def _reason(self, text: str, understanding: Understanding | None, language: str) -> HandOverReason | None:
        """Rules 1 to 7."""
        if self._replies.asks_for_human(text) or _at_least(understanding, HUMAN_AGENT, self._human_confidence):
            return "asked"
        if self._replies.is_angry(text) or _at_least(understanding, COMPLAINT, self._anger_confidence):
            return "angry"
        if understanding is None:
            return "late"
        if understanding.intent == OUT_OF_SCOPE:
            return "out_of_scope"
        if not understanding.sure:
            return "unsure"
        if understanding.intent not in self._taxonomy or not self._taxonomy[understanding.intent].answerable:
            return "not_answerable"
        return None if self._replies.wordings(understanding.intent, language) else "no_words"

    def _hand_over(
        self, reason: HandOverReason, understanding: Understanding | None, state: BotState, language: str
    ) -> HandOver:
        text = "" if reason == "late" else getattr(self._replies.phrases(language).hand_over, reason)
        return HandOver(reason, text, self._skill(reason, understanding, state))

    def _skill(self, reason: HandOverReason, understanding: Understanding | None, state: BotState) -> str:
        """Return what the agent must know: of the intent if that is certain, else of what was talked about last."""
        if reason == "angry" and COMPLAINT in self._taxonomy:
            return self._taxonomy[COMPLAINT].skill
        intent = state.answered
        if understanding and understanding.sure and understanding.intent not in (HUMAN_AGENT, GREETING, THANKS):
            intent = understanding.intent
        return self._taxonomy[intent].skill if intent in self._taxonomy else ""

    def _thank(self, found: Found, language: str) -> Answer:
        picked = self._pick(THANKS, found, language, BotState())
        return Answer(picked[1] if picked else "", BotState(language=language))

    def _greet(self, found: Found, state: BotState, language: str) -> Answer:
        if state.answered in ("", GREETING):
            return self._answer(GREETING, found, state, language)
        # What was answered stays known, so that the same question after a greeting is noticed as such.
        return msgspec.structs.replace(self._answer(GREETING, found, BotState(), language), state=state)

    def _miss(self, found: Found, state: BotState, language: str) -> Answer | HandOver:
        misses = state.misses + 1
        if misses >= self._misses_to_human:
            return self._hand_over("misses", None, state, language)
        phrases = self._replies.phrases(language)
        picked = self._pick(state.answered, found, language, state)
        if picked is None:
            return Answer(phrases.missed, msgspec.structs.replace(state, misses=misses))
        after = _spoken(state.answered, picked[0], state, language)
        return Answer(f"{picked[1]}\n{phrases.again}", msgspec.structs.replace(after, misses=misses))

    def _answer(self, intent: str, found: Found, state: BotState, language: str) -> Answer:
        """Return a wording not said just now, or all over again from the first."""
        number, text = (
            self._pick(intent, found, language, state) or self._pick(intent, found, language, BotState()) or (0, "")
        )
        offer = self._replies.phrases(language).offer
        return Answer(f"{text}\n{offer}", _spoken(intent, number, state, language))

    def _pick(self, intent: str, found: Found, language: str, state: BotState) -> tuple[int, str] | None:
        """Return the first wording, with its place, that can be said of what was found and was not said yet."""
        said = state.said if (state.answered, state.language) == (intent, language) else ()
        return next(
            ((number, text) for number, text in self._sayable(intent, found, language) if number not in said), None
        )

    def _sayable(self, intent: str, found: Found, language: str) -> Iterator[tuple[int, str]]:
        for number, wording in enumerate(self._replies.wordings(intent, language)):
            text = wording.fill(found)
            if text is not None:
                yield number, text

    def _suggestions(self, understanding: Understanding, found: Found, language: str) -> Iterator[str]:
        """Give the best wording of every plausible intent, then their other ones, then what is less plausible."""
        guesses = understanding.candidates or (Guess(understanding.intent, understanding.confidence),)
        texts = [[text for _, text in self._sayable(each.intent, found, language)] for each in guesses]
        plausible = sum(place == 0 or each.confidence >= PLAUSIBLE for place, each in enumerate(guesses))
        yield from (some[0] for some in texts[:plausible] if some)
        yield from (text for some in texts[:plausible] for text in some[1:])
        yield from (some[0] for some in texts[plausible:] if some)


def _at_least(understanding: Understanding | None, intent: str, confidence: float) -> bool:
    return understanding is not None and understanding.intent == intent and understanding.confidence >= confidence


def _spoken(intent: str, number: int, state: BotState, language: str) -> BotState:
    """Return the state after a wording, by its place, was said."""
    before = state.said if (state.answered, state.language) == (intent, language) else ()
    said = before if number in before else (*before, number)
    return BotState(answered=intent, misses=state.misses, said=said, language=language)


def _language(text: str, state: BotState) -> str:
    """Return the language to answer in: of the text, unless it says too little (a number, an *ok*) to leave Chinese."""
    language = language_of(text)
    if language != state.language and state.language == "zh":
        words = _LATIN_WORD.findall(normalise(text))
        return language if len(words) > 1 else state.language
    return language
