"""WeChat's signature, window and encryption, against the vendor's SDK and against forgers."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import PrpCrypto, WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from wechatpy.utils import check_signature

from models.channels.wechat_seal import WINDOW_S, Seal, SignatureLedger, signature_of
from models.domain.errors import BadRequest, Unauthorized

TOKEN = "Yb9sJwXqP0"
APP_ID = "wx5823bf96d3bd56c7"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
NOW_S = 1_700_000_000.0
STAMP = "1700000000"


def sealed_inbox(**changed: str) -> Seal:
    return Seal(**({"token": TOKEN, "app_id": APP_ID, "encoding_aes_key": AES_KEY, "mode": "aes"} | changed))


words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=32)


@given(token=words, nonce=words, encrypted=words)
def test_signature_is_the_one_the_sdk_takes(token: str, nonce: str, encrypted: str):
    check_signature(token, signature_of(token, STAMP, nonce), STAMP, nonce)
    seal = sealed_inbox(token=token)
    assert seal.check(signature_of(token, STAMP, nonce), STAMP, nonce, None, NOW_S) == int(STAMP)
    assert seal.check(seal.sign(STAMP, nonce, encrypted), STAMP, nonce, encrypted, NOW_S) == int(STAMP)


@given(content=st.text(max_size=300).filter(bool), entropy=st.binary(min_size=16, max_size=16))
def test_sdk_opens_what_we_seal(content: str, entropy: bytes):
    encrypted = sealed_inbox().encrypt(content.encode(), entropy)
    assert PrpCrypto(base64.b64decode(AES_KEY + "=")).decrypt(encrypted, APP_ID) == content


@given(content=st.text(max_size=300).filter(bool))
def test_we_open_what_the_sdk_seals(content: str):
    encrypted = PrpCrypto(base64.b64decode(AES_KEY + "=")).encrypt(content, APP_ID).decode()
    assert sealed_inbox().decrypt(encrypted).decode() == content


@given(content=st.binary(max_size=300), entropy=st.binary(min_size=16, max_size=16))
def test_what_is_sealed_opens_to_the_same_bytes(content: bytes, entropy: bytes):
    assert sealed_inbox().decrypt(sealed_inbox().encrypt(content, entropy)) == content


@given(data=st.data(), content=st.binary(min_size=1, max_size=100))
def test_changed_ciphertext_fails_its_signature_and_opens_with_no_error_but_the_one(
    data: st.DataObject, content: bytes
):
    encrypted = sealed_inbox().encrypt(content, bytes(16))
    signature = sealed_inbox().sign(STAMP, "n", encrypted)
    sealed = bytearray(base64.b64decode(encrypted))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    tampered = base64.b64encode(sealed).decode()
    with pytest.raises(Unauthorized):
        sealed_inbox().check(signature, STAMP, "n", tampered, NOW_S)
    with suppress(BadRequest):
        sealed_inbox().decrypt(tampered)


def padded(plain: bytes, pad: bytes | None = None) -> str:
    """Encrypt with the padding given, so that malformed plaintexts can be made."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = base64.b64decode(AES_KEY + "=")
    missing = 32 - len(plain) % 32
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    whole = plain + (bytes([missing]) * missing if pad is None else pad)
    return base64.b64encode(encryptor.update(whole) + encryptor.finalize()).decode()


def framed(content: bytes, app_id: str = APP_ID, length: int | None = None) -> bytes:
    return bytes(16) + (len(content) if length is None else length).to_bytes(4, "big") + content + app_id.encode()


MALFORMED = {
    "nothing": "",
    "not base 64": "%%%%",
    "not ASCII": "密文",
    "cut short by a byte": padded(framed(b"<xml/>"))[:-4],
    "cut short by a block": base64.b64encode(base64.b64decode(padded(framed(b"<xml/>")))[:-16]).decode(),
    "cut short to one block": base64.b64encode(base64.b64decode(padded(framed(b"<xml/>")))[:16]).decode(),
    "another app": padded(framed(b"<xml/>", "wx0000000000000000")),
    "no app": padded(framed(b"<xml/>", "")),
    "app with something behind": padded(framed(b"<xml/>", APP_ID + "x")),
    "length too long": padded(framed(b"<xml/>", length=500)),
    "length of 4 GB": padded(framed(b"<xml/>", length=2**32 - 1)),
    "length too short": padded(framed(b"<xml/>", length=2)),
    "no room for a length": padded(bytes(10)),
    "nothing but padding": padded(b""),
    "padding of zero": padded(bytes(32), bytes(32)),
    "padding too long": padded(bytes(31), b"\x21"),
    "padding of one wrong byte": padded(bytes(30), b"\x01\x02"),
}


@pytest.mark.parametrize("encrypted", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_ciphertexts_give_one_and_the_same_error(encrypted: str):
    with pytest.raises(BadRequest) as caught:
        sealed_inbox().decrypt(encrypted)
    assert str(caught.value) == "Encrypt does not open with this inbox's EncodingAESKey and AppID"


def test_sdk_refuses_another_app_as_we_do():
    ours = sealed_inbox(app_id="wx0000000000000000").encrypt(b"<xml/>", bytes(16))
    with pytest.raises(InvalidAppIdException):
        PrpCrypto(base64.b64decode(AES_KEY + "=")).decrypt(ours, APP_ID)
    with pytest.raises(BadRequest):
        sealed_inbox().decrypt(ours)


def test_signature_of_another_token_is_refused_as_the_sdk_does():
    forged = signature_of("another", STAMP, "n")
    with pytest.raises(InvalidSignatureException):
        check_signature(TOKEN, forged, STAMP, "n")
    with pytest.raises(Unauthorized, match="signature"):
        sealed_inbox().check(forged, STAMP, "n", None, NOW_S)


def test_sealed_message_of_the_sdk_passes_signature_and_opens():
    from defusedxml.ElementTree import fromstring

    xml = fromstring(WeChatCrypto(TOKEN, AES_KEY, APP_ID).encrypt_message("<xml>你好</xml>", "n0nce", STAMP))
    encrypted, signature = xml.findtext("Encrypt"), xml.findtext("MsgSignature")
    seal = sealed_inbox()
    seal.check(signature, STAMP, "n0nce", encrypted, NOW_S)
    assert seal.decrypt(encrypted) == "<xml>你好</xml>".encode()


@pytest.mark.parametrize("age_s", [WINDOW_S + 1, -WINDOW_S - 1, 86_400])
def test_right_signature_outside_the_window_is_refused(age_s: int):
    stamp = str(int(NOW_S) - age_s)
    with pytest.raises(Unauthorized, match="clock"):
        sealed_inbox().check(signature_of(TOKEN, stamp, "n"), stamp, "n", None, NOW_S)


@pytest.mark.parametrize("age_s", [WINDOW_S, 0, -WINDOW_S])
def test_right_signature_at_the_edge_of_the_window_is_taken(age_s: int):
    stamp = str(int(NOW_S) - age_s)
    assert sealed_inbox().check(signature_of(TOKEN, stamp, "n"), stamp, "n", None, NOW_S) == int(stamp)


@pytest.mark.parametrize(
    ("timestamp", "nonce"),
    [
        ("", "n"),
        ("1.7e9", "n"),
        ("-1", "n"),
        ("\uff11\uff17\uff10\uff10", "n"),
        (STAMP, ""),
        (STAMP, "n" * 65),
        (STAMP, "n\n"),
    ],
)
def test_timestamp_and_nonce_of_another_form_are_refused_with_any_signature(timestamp: str, nonce: str):
    with pytest.raises(Unauthorized, match="form"):
        sealed_inbox().check(signature_of(TOKEN, timestamp, nonce), timestamp, nonce, None, NOW_S)


@pytest.mark.parametrize(
    "given_signature", ["", "0", "é" * 40, "密", "0" * 40, signature_of(TOKEN, STAMP, "n").upper()]
)
def test_signature_of_any_form_but_the_right_one_is_refused(given_signature: str):
    with pytest.raises(Unauthorized):
        sealed_inbox().check(given_signature, STAMP, "n", None, NOW_S)


def test_inbox_without_token_refuses_even_the_signature_of_an_empty_token():
    with pytest.raises(Unauthorized, match="no token"):
        sealed_inbox(token="").check(signature_of("", STAMP, "n"), STAMP, "n", None, NOW_S)


@pytest.mark.parametrize("missing", ["app_id", "encoding_aes_key"])
def test_inbox_without_key_or_app_opens_and_seals_nothing(missing: str):
    encrypted = sealed_inbox().encrypt(b"<xml/>", bytes(16))
    poor = sealed_inbox(**{missing: ""})
    with pytest.raises(Unauthorized):
        poor.decrypt(encrypted)
    with pytest.raises(Unauthorized):
        poor.encrypt(b"<xml/>", bytes(16))


@pytest.mark.parametrize("key", ["short", "x" * 42, "x" * 44, "?" * 43, "密" * 43])
def test_key_of_another_form_is_named_at_once(key: str):
    with pytest.raises(ValueError, match="EncodingAESKey"):
        sealed_inbox(encoding_aes_key=key)


def test_seal_shows_no_secret():
    shown = repr(sealed_inbox()) + str(sealed_inbox())
    assert TOKEN not in shown
    assert AES_KEY not in shown


class TestLedger:
    def test_same_content_passes_again_and_another_is_refused(self):
        ledger = SignatureLedger()
        for _ in range(3):
            ledger.tie("sig", int(NOW_S), b"one", NOW_S)
        with pytest.raises(Unauthorized, match="another message"):
            ledger.tie("sig", int(NOW_S), b"two", NOW_S)
        ledger.tie("sig", int(NOW_S), b"one", NOW_S)

    def test_what_the_window_refuses_anyway_is_forgotten(self):
        ledger = SignatureLedger()
        ledger.tie("sig", int(NOW_S), b"one", NOW_S)
        ledger.tie("new", int(NOW_S) + WINDOW_S + 1, b"two", NOW_S + WINDOW_S + 1)
        assert len(ledger) == 1

    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20), st.booleans()), max_size=200))
    def test_no_signature_ever_passes_with_two_contents(self, calls: list[tuple[int, int, bool]]):
        """Whatever was forgotten for want of room is refused, not taken anew."""
        ledger = SignatureLedger(entries=4)
        taken: dict[str, bytes] = {}
        for number, age_s, forged in calls:
            stamp = int(NOW_S) - age_s
            signature, content = f"{number}@{stamp}", b"forged" if forged else b"real"
            try:
                ledger.tie(signature, stamp, content, NOW_S)
            except Unauthorized:
                continue
            assert taken.setdefault(signature, content) == content
            assert len(ledger) <= 4

    def test_full_ledger_takes_new_calls_and_refuses_unknown_old_ones(self):
        ledger = SignatureLedger(entries=2)
        for second in range(10):
            ledger.tie(f"sig{second}", int(NOW_S) + second, b"x", NOW_S)
        with pytest.raises(Unauthorized, match="too old"):
            ledger.tie("sig0", int(NOW_S), b"forged", NOW_S)
