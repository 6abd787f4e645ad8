from hypothesis import given
from hypothesis import strategies as st

from models.intent.text import HEAD_CHARACTERS, TAIL_CHARACTERS, language_of, normalise


def test_what_looks_alike_becomes_one_text():
    assert normalise("  Where\tIS my\n\nＯＲＤＥＲ ") == "where is my order"
    assert normalise("在吗？") == normalise("在吗?")


def test_control_and_format_characters_go_away():
    assert normalise("re\u200bfund\x00 \x07please") == "refund please"
    assert normalise("\x00\x01\u200d") == ""
    assert normalise("0 \U00018cd6 0") == "0 0"


def test_links_and_long_runs_become_short():
    assert normalise("look at https://shop.example/item?id=1 !!!!!!!!") == "look at link !!!"
    assert normalise("哈哈哈哈哈哈") == "哈哈哈"
    assert normalise("order 1000000") == "order 1000000"


def test_of_a_long_text_head_and_tail_stay():
    text = "a b " * 3_000 + "the end"
    short = normalise(text)
    assert len(short) <= HEAD_CHARACTERS + TAIL_CHARACTERS + 1
    assert short.startswith("a b a b")
    assert short.endswith("the end")


@given(st.text())
def test_normalising_twice_changes_nothing_more_and_leaves_only_printable_characters(text: str):
    once = normalise(text)
    assert once.isprintable()
    assert "  " not in once
    assert normalise(once) == once or len(once) > HEAD_CHARACTERS


def test_one_chinese_character_makes_a_text_chinese():
    assert language_of("iPhone 多少钱") == "zh"
    assert language_of("how much?") == "en"
    assert language_of("") == "en"
