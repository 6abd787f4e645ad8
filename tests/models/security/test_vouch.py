"""Vouching: only the account's secret vouches, for one meaning only, and every doubt is a no."""

import hmac

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.security.vouch import is_link_vouched, is_user_vouched, vouch_link, vouch_user

SECRET = "shop-secret"
parts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)


def test_the_proofs_are_what_the_documents_say() -> None:
    assert vouch_user(SECRET, "u-1") == hmac.digest(b"shop-secret", b"u-1", "sha256").hex()
    assert (
        vouch_link(SECRET, "wechat", "oABC", "u-1")
        == hmac.digest(b"shop-secret", b"raydesk-link\nwechat\noABC\nu-1", "sha256").hex()
    )


def test_a_proof_vouches_and_a_changed_one_does_not() -> None:
    proof = vouch_user(SECRET, "u-1")
    assert is_user_vouched(SECRET, "u-1", proof)
    assert not is_user_vouched(SECRET, "u-2", proof)
    assert not is_user_vouched("another", "u-1", proof)
    for wrong in ("", proof[:-1], proof + "0", proof.upper(), "é" * 64, "0" * 64):
        assert not is_user_vouched(SECRET, "u-1", wrong)


def test_an_empty_secret_vouches_for_nobody() -> None:
    proof = hmac.digest(b"", b"u-1", "sha256").hex()
    assert not is_user_vouched("", "u-1", proof)
    link = hmac.digest(b"", b"raydesk-link\nwechat\noABC\nu-1", "sha256").hex()
    assert not is_link_vouched("", "wechat", "oABC", "u-1", link)
    with pytest.raises(ValueError, match="secret"):
        vouch_user("", "u-1")


@pytest.mark.parametrize("bad", ["", "a\nb", "a\0", "\x7f"])
def test_control_characters_and_empty_ids_are_never_vouched(bad: str) -> None:
    assert not is_user_vouched(SECRET, bad, hmac.digest(SECRET.encode(), bad.encode(), "sha256").hex())
    for triple in ((bad, "x", "u"), ("i", bad, "u"), ("i", "x", bad)):
        with pytest.raises(ValueError, match="vouched id"):
            vouch_link(SECRET, *triple)
        assert not is_link_vouched(SECRET, *triple, "0" * 64)


def test_what_vouches_for_a_user_does_not_vouch_for_a_link() -> None:
    assert not is_user_vouched(SECRET, "raydesk-link\nwechat\noABC\nu-1", vouch_link(SECRET, "wechat", "oABC", "u-1"))


@given(st.tuples(parts, parts, parts), st.tuples(parts, parts, parts))
def test_two_different_links_never_share_a_proof(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assume(one != other)
    assert is_link_vouched(SECRET, *one, vouch_link(SECRET, *one))
    assert not is_link_vouched(SECRET, *other, vouch_link(SECRET, *one))


def test_parts_cannot_be_moved_over_their_borders() -> None:
    assert vouch_link(SECRET, "ab", "c", "d") != vouch_link(SECRET, "a", "bc", "d")
    assert vouch_link(SECRET, "a", "b", "cd") != vouch_link(SECRET, "a", "bc", "d")


def test_a_lone_surrogate_is_not_vouched() -> None:
    assert not is_user_vouched(SECRET, "\ud800", "0" * 64)
    assert not is_user_vouched(SECRET, "u-1", "\ud800")
