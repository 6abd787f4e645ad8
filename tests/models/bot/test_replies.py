"""The shipped replies are complete and can be spoken; a file that cannot is refused with its place named."""

import re

import pytest

from models.bot.found import Found
from models.bot.replies import (
    MAX_WORDING,
    MAX_WORDINGS,
    PLACEHOLDERS,
    SHIPPED,
    InvalidReplies,
    Wording,
    load_replies,
    parse_replies,
)
from models.intent.taxonomy import load_taxonomy, parse_taxonomy
from models.intent.text import language_of

TAXONOMY = load_taxonomy()
SHIPPED_REPLIES = load_replies(TAXONOMY, SHIPPED)
EVERYTHING = Found(order_number="12345678", tracking_number="SF1", phone="138", amount="$5", email="a@b.c")

PHRASES = '[phrases.en]\noffer = "o"\nagain = "a"\nmissed = "m"\n'


def replies(wordings: str, phrases: str = PHRASES):
    return parse_replies(phrases + "[replies.refund]\n" + wordings, TAXONOMY, "my.toml")


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("intent", TAXONOMY.names)
def test_every_intent_has_two_shipped_wordings_that_can_always_be_said(intent, language):
    plain = [each for each in SHIPPED_REPLIES.wordings(intent, language) if not each.needs]
    assert len(plain) >= 2
    assert all(language_of(str(each.fill(Found()))) == language for each in plain)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("intent", TAXONOMY.names)
def test_shipped_wordings_are_distinct_and_fit_with_their_values(intent, language):
    texts = [each.fill(EVERYTHING) for each in SHIPPED_REPLIES.wordings(intent, language)]
    assert len(set(texts)) == len(texts)
    assert all(text and len(text) <= MAX_WORDING and "{" not in text for text in texts)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_word_that_contacts_are_told_to_reply_asks_for_a_human(language):
    phrases = SHIPPED_REPLIES.phrases(language)
    for phrase in (phrases.offer, phrases.again, phrases.missed):
        (word,) = re.findall('[“"](.+?)[”"]', phrase)
        assert SHIPPED_REPLIES.asks_for_human(word)


@pytest.mark.parametrize(
    "text",
    [
        "人工", "转人工！！", "“人工”", "我要转人工客服", "  人工。",
        "你是不是机器人", "不用机器人，要真人", "Agent", "agent!!", '"agent"',
        "I want to speak to a human", "live agent please", "are you a bot?", "ａｇｅｎｔ",
    ],
)  # fmt: skip
def test_asking_for_a_human(text):
    assert SHIPPED_REPLIES.asks_for_human(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "安装人工费多少", "人工智能音箱有货吗", "不用转人工了谢谢", "我不需要人工客服",
        "the reagent is missing", "humanity",
        "I don’t need an agent", "which travel agent do you use", "客服电话线多长的有吗",
    ],
)  # fmt: skip
def test_not_asking_for_a_human(text):
    assert not SHIPPED_REPLIES.asks_for_human(text)


@pytest.mark.parametrize("text", ["我要投诉你们", "打12315", "骗子！", "This is a SCAM", "wtf is going on", "真垃圾"])
def test_words_of_anger(text):
    assert SHIPPED_REPLIES.is_angry(text)


@pytest.mark.parametrize(
    "text",
    ["", "垃圾袋有货吗", "我妈的订单", "订单1231500", "他妈妈的手机", "会不会是骗子", "scampi in stock?", "shiitake"],
)
def test_no_words_of_anger(text):
    assert not SHIPPED_REPLIES.is_angry(text)


def test_a_wording_is_said_only_with_all_its_values():
    wording = Wording("{order_number} of {{you}}: {amount}")
    assert wording.needs == {"order_number", "amount"}
    assert wording.fill(Found(order_number="7")) is None
    assert wording.fill(Found(order_number="7", amount="{phone}")) == "7 of {you}: {phone}"


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_every_placeholder_can_be_filled(name):
    assert Wording(f"<{{{name}}}>").fill(EVERYTHING) == f"<{getattr(EVERYTHING, name)}>"


@pytest.mark.parametrize(
    ("wordings", "wrong"),
    [
        ("en = []", "my.toml: replies.refund.en: the list is empty"),
        ('en = ["a", " "]', "my.toml: replies.refund.en: wording 2 is empty"),
        ('en = ["a {name}"]', "my.toml: replies.refund.en: wording 1 names {name}, which is none of {order_number}, "),
        ('en = ["a {}"]', "my.toml: replies.refund.en: wording 1 names {}"),
        ('en = ["a {amount.real}"]', "my.toml: replies.refund.en: wording 1 names {amount.real}"),
        ('en = ["a {amount!r}"]', "my.toml: replies.refund.en: wording 1 names {amount!r}"),
        ('en = ["a {amount:9999999}"]', "my.toml: replies.refund.en: wording 1 names {amount:9999999}"),
        ('en = ["a {amount"]', "my.toml: replies.refund.en: wording 1 has unbalanced braces"),
        ('en = ["a amount}"]', "my.toml: replies.refund.en: wording 1 has unbalanced braces"),
        ('en = ["a {amount}"]', "my.toml: replies.refund.en: every wording has a placeholder"),
        ('en = ["a", "b {amount}", "c"]', "my.toml: replies.refund.en: wording 2 must stand before those without"),
        ('en = ["a", "a"]', "my.toml: replies.refund.en: 'a' stands there twice"),
        (f'en = ["{"a" * 301}"]', "my.toml: replies.refund.en: wording 1 has 301 characters; 300 are allowed"),
        (f"en = {[str(each) for each in range(MAX_WORDINGS + 1)]}", "my.toml: replies.refund.en: 21 wordings"),
        ('zh = ["a"]', "my.toml: replies.refund.zh: there is no section [phrases.zh]"),
        ('fr = ["a"]', "my.toml: replies.refund.fr: no such language; there are zh and en"),
        ('en = "a"', "my.toml: replies.refund.en: Expected `array`, got `str`"),
        (
            'en = ["a"]\n[replies.rocket]\nen = ["a"]',
            "my.toml: replies.rocket: the taxonomy has no such intent; it has",
        ),
        ('en = ["a", 1]', "my.toml: replies.refund.en: Expected `str`, got `int` - at `$[1]`"),
        ('en = ["a"', "my.toml: Unclosed array"),
        ('en = ["a"]\n[replies.refund]', "my.toml: Cannot declare"),
    ],
)
def test_wordings_that_cannot_be_used_are_refused_by_place(wordings, wrong):
    with pytest.raises(InvalidReplies) as refused:
        replies(wordings)
    assert wrong in str(refused.value)


@pytest.mark.parametrize(
    ("phrases", "wrong"),
    [
        ("[phrases]\n", "my.toml: phrases: no language"),
        (PHRASES.replace('"o"', '" "'), "my.toml: phrases.en.offer: is empty; contacts must learn"),
        (PHRASES.replace('"a"', '"{amount}"'), "my.toml: phrases.en.again: has braces"),
        (PHRASES.replace('"m"', f'"{"m" * 201}"'), "my.toml: phrases.en.missed: has 201 characters; 200 are allowed"),
        (
            PHRASES + 'hand_over = {late = "x"}\n',
            "my.toml: phrases.en: Object contains unknown field `late` - at `$.hand_over`",
        ),
        (PHRASES + f'hand_over = {{asked = "{"x" * 201}"}}\n', "my.toml: phrases.en.hand_over.asked: has 201"),
        (PHRASES + 'human = {alone = ["?!"]}\n', "my.toml: phrases.en.human.alone: '?!' is empty"),
        (PHRASES + 'anger = {within = [""]}\n', "my.toml: phrases.en.anger.within: '' is empty"),
        (PHRASES.replace("offer", "ofer"), "my.toml: phrases.en: Object "),
        (PHRASES + '[phrases.fr]\noffer = "o"\n', "my.toml: phrases.fr: no such language"),
    ],
)
def test_phrases_that_cannot_be_used_are_refused_by_place(phrases, wrong):
    with pytest.raises(InvalidReplies) as refused:
        replies('en = ["a"]', phrases)
    assert wrong in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    missing, broken = tmp_path / "missing.toml", tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe")
    for path in (missing, broken, tmp_path):
        with pytest.raises(InvalidReplies, match=re.escape(str(path))):
            load_replies(TAXONOMY, path)


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PHRASES + '[replies.refund]\nen = ["Money is on its way."]\n', encoding="utf-8")
    mine = load_replies(TAXONOMY, path)
    assert [each.fill(Found()) for each in mine.wordings("refund", "en")] == ["Money is on its way."]
    assert mine.wordings("refund", "zh") == mine.wordings("invoice", "en") == ()
    assert mine.phrases("zh") == mine.phrases("en")  # better in another language than nothing
    assert not mine.asks_for_human("agent")


def test_shipped_replies_serve_a_taxonomy_of_ones_own_as_far_as_they_fit():
    intents = "".join(
        f'[[intent]]\nname = "{name}"\nzh = "x"\nen = "x"\ndescription = "x"\n'
        for name in ("refund", "tea", "out_of_scope")
    )
    taxonomy = parse_taxonomy(intents, "mine")
    assert load_replies(taxonomy).wordings("refund", "en")
    assert not load_replies(taxonomy).wordings("invoice", "en")
    with pytest.raises(InvalidReplies, match="has no such intent"):
        load_replies(taxonomy, SHIPPED)  # named by the user: every mistake in it is said
