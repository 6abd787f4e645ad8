"""What a query is, and which texts have what it looks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.search.words import EXCERPT_CHARS, MOST_WORDS, Query, excerpt, query_of


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("Refund", "please REFUND it"),
        ("fund order", "my order: a refund"),
        ("退款", "我要退款，谢谢"),
        ("１２３", "order 2024123"),
        ("straße", "in der STRASSE"),
        ("ORDER １", "order 1"),
    ],
)
def test_words_are_found_within_words_whatever_their_case_and_width(typed, text):
    assert query_of(typed).fits(text)


@pytest.mark.parametrize(("typed", "text"), [("refund order", "a refund"), ("退货", "我要退款"), ("ab", "a b")])
def test_every_word_must_stand_in_the_message(typed, text):
    assert not query_of(typed).fits(text)


def test_a_word_behind_a_hash_is_a_tag():
    query = query_of("#VIP ＃late_parcel where # is")
    assert query == Query(words=("where", "#", "is"), tags=("vip", "late parcel"))
    assert query.has_tags(("Late  Parcel", "vip", "other"))
    assert not query.has_tags(("vip",))
    assert query_of("word").has_tags(())


def test_nothing_typed_is_an_empty_query():
    assert query_of(" \t ").empty
    assert not query_of("#vip").empty


@given(st.text(max_size=200))
def test_whatever_is_typed_is_a_bounded_query_that_its_own_text_fits(typed):
    query = query_of(typed)
    assert len(query.words) + len(query.tags) <= MOST_WORDS
    assert query.fits(typed)


@given(st.text(max_size=2_000), st.text(max_size=20))
def test_an_excerpt_is_short(text, typed):
    assert len(excerpt(text, query_of(typed))) <= EXCERPT_CHARS + 2


def test_an_excerpt_shows_the_word():
    text = f"{'before ' * 100}needle{' after' * 100}"
    shown = excerpt(text, query_of("NEEDLE"))
    assert "needle" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert excerpt("short\n text", query_of("x")) == "short text"
