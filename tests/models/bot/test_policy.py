"""Every rule of the bot, in its order, and that no talk with it goes round in circles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bot.found import Found
from models.bot.policy import SUGGESTIONS, Bot
from models.bot.replies import SHIPPED, load_replies, parse_replies
from models.domain.bot import Answer, BotState, HandOver
from models.intent.taxonomy import load_taxonomy, parse_taxonomy
from models.intent.text import language_of
from models.intent.understanding import Guess, Understanding

TAXONOMY = load_taxonomy()
REPLIES = load_replies(TAXONOMY, SHIPPED)
BOT = Bot(TAXONOMY, REPLIES)
FRESH = BotState()
ANSWERABLE = [intent.name for intent in TAXONOMY if intent.answerable]


def understood(intent: str, confidence: float = 0.99, *, sure: bool | None = None, rest: tuple[Guess, ...] = ()):
    is_sure = confidence >= 0.8 and intent != "out_of_scope" if sure is None else sure
    candidates = (Guess(intent, confidence), *rest)
    return Understanding(intent=intent, confidence=confidence, sure=is_sure, candidates=candidates)


def wording(intent: str, language: str, number: int) -> str:
    text = REPLIES.wordings(intent, language)[number].fill(Found(order_number="12345678", tracking_number="SF1"))
    assert text
    return text


def plain(intent: str, language: str) -> list[str]:
    """The wordings that can always be said."""
    places = [place for place, each in enumerate(REPLIES.wordings(intent, language)) if not each.needs]
    return [wording(intent, language, place) for place in places]


@pytest.mark.parametrize(
    ("text", "understanding", "state", "reason", "skill"),
    [
        # 1: asks for a human, by word (even when nothing is understood) or by intent
        ("转人工", None, FRESH, "asked", ""),
        ("agent", understood("refund", 0.3), FRESH, "asked", ""),
        ("转人工，我要退款", understood("refund"), FRESH, "asked", "billing"),
        ("人工", understood("human_agent"), BotState(answered="invoice", language="zh"), "asked", "billing"),
        ("can somebody call me", understood("human_agent", 0.5), FRESH, "asked", ""),
        ("转人工！你们这群骗子", understood("complaint"), FRESH, "asked", "complaints"),
        # 2: is angry, by word or by intent
        ("你们是骗子，退款", understood("refund"), FRESH, "angry", "complaints"),
        ("this is a scam", None, FRESH, "angry", "complaints"),
        ("太让人失望了", understood("complaint", 0.6), FRESH, "angry", "complaints"),
        # 3: late
        ("怎么退款", None, FRESH, "late", ""),
        ("12345678", None, BotState(answered="order_status", language="zh"), "late", "orders"),
        # 4: about something else, however likely
        ("今天天气怎么样", understood("out_of_scope"), FRESH, "out_of_scope", ""),
        ("今天天气怎么样", understood("out_of_scope", 0.3), FRESH, "out_of_scope", ""),
        ("12345678", understood("out_of_scope"), BotState(answered="order_status"), "out_of_scope", "orders"),
        # 5: not sure
        ("那个怎么弄", understood("refund", 0.4), FRESH, "unsure", ""),
        ("那个怎么弄", understood("human_agent", 0.4), FRESH, "unsure", ""),
        ("hm", understood("complaint", 0.59), FRESH, "unsure", ""),
        ("那个怎么弄", understood("refund", 0.4), BotState(answered="invoice"), "unsure", "billing"),
        # 6: not the bot's to answer
        ("hm", understood("complaint", 0.59, sure=True), FRESH, "not_answerable", "complaints"),
        ("hm", understood("tea"), FRESH, "not_answerable", ""),
        # a file without a word
        ("", understood("refund"), FRESH, "not_answerable", ""),
        (" \n", None, BotState(answered="invoice", language="zh"), "not_answerable", "billing"),
        # 9: the answer did not help, again
        ("还是没退款", understood("refund"), BotState(answered="refund", misses=1), "misses", "billing"),
        ("发票呢", understood("invoice"), BotState(answered="invoice", misses=1), "misses", "billing"),
    ],
)
def test_a_human_takes_over(text, understanding, state, reason, skill):
    outcome = BOT.hear(text, understanding, state)
    assert isinstance(outcome, HandOver)
    assert (outcome.reason, outcome.skill) == (reason, skill)
    phrases = REPLIES.phrases("zh" if language_of(text) == "zh" or state.language == "zh" else "en")
    assert outcome.text == ("" if reason == "late" else getattr(phrases.hand_over, reason))


@pytest.mark.parametrize("intent", ANSWERABLE)
@pytest.mark.parametrize(("text", "language"), [("这个怎么办呢", "zh"), ("what about this", "en")])
def test_a_sure_common_question_is_answered_with_an_offer_of_a_human(intent, text, language):
    outcome = BOT.hear(text, understood(intent), FRESH)
    assert isinstance(outcome, Answer)
    offer = "" if intent == "goodbye_thanks" else "\n" + REPLIES.phrases(language).offer
    assert outcome.text == plain(intent, language)[0] + offer


@pytest.mark.parametrize("intent", [name for name in TAXONOMY.names if name not in ANSWERABLE])
def test_what_is_not_the_bots_to_answer_is_never_answered(intent):
    for confidence in (0.01, 0.5, 0.99):
        for sure in (True, False):
            assert isinstance(BOT.hear("这个怎么办呢", understood(intent, confidence, sure=sure), FRESH), HandOver)


def test_the_answer_names_what_was_found():
    outcome = BOT.hear("订单号12345678到哪了", understood("order_status"), FRESH)
    assert isinstance(outcome, Answer)
    assert "12345678" in outcome.text
    outcome = BOT.hear("where is SF1234567890123, ordered 12345678", understood("order_status"), FRESH)
    assert isinstance(outcome, Answer)
    assert "SF1234567890123" in outcome.text  # the most specific wording that can be said


def test_the_first_miss_gets_another_wording_and_a_plainer_offer_the_second_a_human():
    first = BOT.hear("怎么退款", understood("refund"), FRESH)
    assert isinstance(first, Answer)
    assert first.state == BotState(answered="refund", misses=0, said=(2,), language="zh")
    second = BOT.hear("到底怎么退款", understood("refund"), first.state)
    assert isinstance(second, Answer)
    assert second.text == f"{plain('refund', 'zh')[1]}\n{REPLIES.phrases('zh').again}"
    assert second.state == BotState(answered="refund", misses=1, said=(2, 3), language="zh")
    third = BOT.hear("怎么退款啊", understood("refund"), second.state)
    assert third == HandOver("misses", REPLIES.phrases("zh").hand_over.misses, "billing")


def test_a_number_that_comes_later_is_used_in_the_further_answer():
    first = BOT.hear("怎么退款", understood("refund"), FRESH)
    assert isinstance(first, Answer)
    second = BOT.hear("订单号12345678的退款", understood("refund"), first.state)
    assert isinstance(second, Answer)
    assert second.text.startswith(wording("refund", "zh", 0))


def one_wording() -> Bot:
    text = '[phrases.en]\noffer = "o"\nagain = "a"\nmissed = "m"\n[replies.refund]\nen = ["Soon."]\n'
    return Bot(TAXONOMY, parse_replies(text, TAXONOMY, "mine"), misses_to_human=3)


def test_nothing_is_said_twice_to_the_same_question():
    bot, state, texts = one_wording(), FRESH, []
    for _ in range(3):
        outcome = bot.hear("refund", understood("refund"), state)
        assert isinstance(outcome, Answer)
        texts.append(outcome.text)
        state = outcome.state
    assert texts == ["Soon.\no", "m", "m"]
    assert bot.hear("refund", understood("refund"), state) == HandOver("misses", "", "billing")


def test_without_words_in_the_language_a_human_takes_over():
    assert one_wording().hear("怎么退款", understood("refund"), FRESH) == HandOver("no_words", "", "billing")
    assert one_wording().hear("invoice?", understood("invoice"), FRESH) == HandOver("no_words", "", "billing")


def test_another_question_is_no_miss_but_misses_are_kept():
    outcome = BOT.hear("怎么开发票", understood("invoice"), BotState(answered="refund", misses=1, said=(2, 3)))
    assert isinstance(outcome, Answer)
    assert (outcome.state.answered, outcome.state.misses, len(outcome.state.said)) == ("invoice", 1, 1)


def test_thanks_are_answered_without_an_offer_and_forgive():
    outcome = BOT.hear("谢谢，再见", understood("goodbye_thanks"), BotState(answered="refund", misses=1, said=(2,)))
    assert outcome == Answer(plain("goodbye_thanks", "zh")[0], BotState(language="zh"))


def test_greetings_are_varied_and_no_miss():
    state, texts = FRESH, []
    for _ in range(2 * len(plain("greeting", "zh"))):
        outcome = BOT.hear("在吗", understood("greeting"), state)
        assert isinstance(outcome, Answer)
        assert outcome.state.misses == 0
        texts.append(outcome.text)
        state = outcome.state
    assert len(set(texts)) == len(plain("greeting", "zh"))


def test_a_greeting_in_between_does_not_hide_that_the_answer_did_not_help():
    before = BotState(answered="refund", misses=1, said=(2, 3), language="zh")
    outcome = BOT.hear("你好", understood("greeting"), before)
    assert isinstance(outcome, Answer)
    assert outcome.state == before


@pytest.mark.parametrize(
    ("text", "before", "language"),
    [
        ("12345678", "zh", "zh"),
        ("ok", "zh", "zh"),
        ("SF1234567890123", "zh", "zh"),
        ("?", "", "en"),
        ("where is my refund", "zh", "en"),
        ("退款", "en", "zh"),
    ],
)
def test_the_language_goes_on_when_a_text_says_too_little(text, before, language):
    outcome = BOT.hear(text, understood("refund"), BotState(language=before))
    assert isinstance(outcome, Answer)
    assert outcome.state.language == language
    assert outcome.text.endswith(REPLIES.phrases(language).offer)


def test_who_changes_the_language_gets_the_first_wording_of_the_other_one():
    outcome = BOT.hear(
        "where is my refund", understood("refund"), BotState(answered="refund", said=(2,), language="zh")
    )
    assert isinstance(outcome, Answer)
    assert outcome.text == f"{plain('refund', 'en')[0]}\n{REPLIES.phrases('en').again}"


def test_confidences_and_misses_can_be_set():
    strict = Bot(TAXONOMY, REPLIES, human_confidence=0.9, anger_confidence=0.9, misses_to_human=1)
    assert strict.hear("hm", understood("human_agent", 0.8), FRESH).__class__ is HandOver
    outcome = strict.hear("hm", understood("human_agent", 0.8), FRESH)
    assert isinstance(outcome, HandOver)
    assert outcome.reason == "not_answerable"
    outcome = strict.hear("退款", understood("refund"), BotState(answered="refund"))
    assert isinstance(outcome, HandOver)
    assert outcome.reason == "misses"


def small() -> Bot:
    """A taxonomy without any of the intents that rules speak of."""
    names = ("refund", "tea", "out_of_scope")
    intents = "".join(f'[[intent]]\nname = "{name}"\nzh = "x"\nen = "x"\ndescription = "x"\n' for name in names)
    intents = intents.replace('description = "x"\n', 'description = "x"\nanswerable = true\nskill = "s"\n', 2)
    taxonomy = parse_taxonomy(intents, "mine")
    return Bot(taxonomy, load_replies(taxonomy))


def test_a_taxonomy_may_lack_what_rules_speak_of():
    bot = small()
    assert isinstance(bot.hear("how to get money back", understood("refund"), FRESH), Answer)
    for text, understanding, reason, skill in [
        ("转人工", understood("refund"), "asked", "s"),
        ("骗子", understood("refund"), "angry", "s"),
        ("骗子", None, "angry", ""),
        ("tea", understood("tea"), "no_words", "s"),
        ("hello", understood("greeting"), "not_answerable", ""),
        ("hm", understood("complaint"), "angry", ""),
    ]:
        outcome = bot.hear(text, understanding, FRESH)
        assert isinstance(outcome, HandOver)
        assert (outcome.reason, outcome.skill) == (reason, skill)


def test_agents_see_the_best_wording_of_every_plausible_intent_first():
    rest = (Guess("return_exchange", 0.2), Guess("invoice", 0.01))
    insight = BOT.insight("订单号12345678怎么退", understood("refund", 0.7, rest=rest))
    assert (insight.intent, insight.confidence) == ("refund", 0.7)
    assert insight.suggestions == (
        wording("refund", "zh", 0),
        wording("return_exchange", "zh", 0),
        plain("refund", "zh")[0],
    )


def test_agents_get_three_suggestions_even_of_a_single_guess():
    for name in TAXONOMY.names:
        for text in ("这个怎么办", "what about this"):
            rest = (Guess("refund", 0.001), Guess("invoice", 0.0005))
            suggestions = BOT.insight(text, understood(name, 0.99, rest=rest)).suggestions
            assert len(set(suggestions)) == SUGGESTIONS
            assert all(each and language_of(each) == language_of(text) for each in suggestions)


def test_what_nobody_has_words_for_is_suggested_nothing():
    assert small().insight("tea", understood("tea")).suggestions == ()


understandings = st.none() | st.builds(
    understood,
    st.sampled_from([*TAXONOMY.names, "unknown"]),
    st.floats(0, 1),
    sure=st.booleans(),
    rest=st.lists(st.builds(Guess, st.sampled_from(TAXONOMY.names), st.floats(0, 1)), max_size=3).map(tuple),
)
texts = st.text(max_size=60) | st.sampled_from(
    [
        "订单号12345678",
        "SF1234567890123 {phone}",
        "call 415-555-2671",
        "退我￥5",
        "a@b.cn",
        "{order_number}",
        "ok",
        "转人工",
        "scam",
    ]
)


@given(st.lists(st.tuples(texts, understandings), max_size=30), st.integers(1, 4))
def test_any_talk_is_spoken_well_and_ends_at_a_human_after_the_misses(talk, misses_to_human):
    bot = Bot(TAXONOMY, REPLIES, misses_to_human=misses_to_human)
    state, misses = FRESH, 0
    for text, understanding in talk:
        outcome = bot.hear(text, understanding, state)
        if isinstance(outcome, HandOver):
            return
        assert understanding is not None
        assert understanding.sure
        assert outcome.text.strip()
        assert len(outcome.text) < 600
        assert "{" not in outcome.text.replace(text, "")
        repeated = understanding.intent == state.answered and understanding.intent != "greeting"
        misses = 0 if understanding.intent == "goodbye_thanks" else misses + repeated
        assert outcome.state.misses == misses < misses_to_human
        state = outcome.state


@given(texts, understandings)
def test_any_text_gives_an_insight(text, understanding):
    if understanding is not None:
        suggestions = BOT.insight(text, understanding).suggestions
        assert len(set(suggestions)) == len(suggestions) <= SUGGESTIONS
        assert all(suggestions)
