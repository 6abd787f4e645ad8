"""What proves that a call comes from WeChat: signature, time window, encryption.

Promises:

* A missing secret refuses every call; nothing is ever taken unproven.
* Secrets, signatures and app ids are compared in constant time, and whatever is wrong with a
  ciphertext gives one and the same error.
* The signature of a *plain* call covers the time stamp and a nonce, **not the body**. So a captured
  signature would let anybody write anything. Two things narrow that: a call must be at most
  `WINDOW_S` old, and `SignatureLedger` ties each signature to the first content that came with it.
* In *aes* mode the signature covers the ciphertext, so there is nothing to tie: a repeated call can
  only repeat its content, which the router knows as a duplicate.

Why a signature is tied to a content and not just used up: WeChat repeats a call that was not answered
in 5 s, up to three times, and may repeat it to the letter. A rule that takes a signature once would
refuse that repetition, and if the first attempt had failed (router away, 503), the message would be
lost. A repetition with the same content passes, as often as it likes: the router drops what it has.

Protocol: https://developers.weixin.qq.com/doc/offiaccount/Basic_Information/Access_Overview.html and
https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Message_encryption_and_decryption.html
"""

import base64
import binascii
import hashlib
import heapq
import hmac
import re
from typing import Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from models.domain.errors import BadRequest, Unauthorized

Mode = Literal["aes", "plain"]

WINDOW_S = 300
LEDGER_ENTRIES = 65_536
_KEY_BYTES = 32
_PAD_BYTES = 32  # WeChat pads to 32, although the block of AES has 16
_PREFIX_BYTES = 16
_LENGTH_BYTES = 4
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
# The signature joins its parts without a separator, so characters may wander from the ciphertext into
# the nonce. At 64 characters too few can (a shorter ciphertext must lose a multiple of 128).
_NONCE = re.compile(r"[!-~]{1,64}")
_UNOPENED = "Encrypt does not open with this inbox's EncodingAESKey and AppID"


def signature_of(*parts: str) -> str:
    """Sign ``parts``: the hexadecimal SHA-1 of all of them, sorted and joined."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


class SignatureLedger:
    """The content that came first with each signature of the last `WINDOW_S` seconds.

    Bounded: a full ledger forgets its oldest entry and from then on takes no unknown signature that is
    not newer than that. So load narrows the time window, and never opens a gap in it.
    """

    def __init__(self, entries: int = LEDGER_ENTRIES) -> None:
        """Remember at most ``entries`` signatures."""
        self._entries = entries
        self._content: dict[str, bytes] = {}
        self._by_age: list[tuple[int, str]] = []
        self._floor_s = 0

    def __len__(self) -> int:
        """Return how many signatures are remembered."""
        return len(self._content)

    def tie(self, signature: str, timestamp_s: int, content: bytes, now_s: float) -> None:
        """Tie ``signature`` to a digest of the call's content, or check that it is tied to this one.

        Raises:
            Unauthorized: it came with another content before, or is too old for a ledger this full.
        """
        self._forget(now_s)
        known = self._content.get(signature)
        if known is not None:
            if not hmac.compare_digest(known, content):
                raise Unauthorized("this signature came with another message before")
            return
        if timestamp_s <= self._floor_s:
            raise Unauthorized("this signature is too old; send the call again with a new one")
        if len(self._content) >= self._entries:
            self._floor_s, oldest = heapq.heappop(self._by_age)
            del self._content[oldest]
        self._content[signature] = content
        heapq.heappush(self._by_age, (timestamp_s, signature))

    def _forget(self, now_s: float) -> None:
        """Drop what the time window refuses by itself."""
        while self._by_age and self._by_age[0][0] < now_s - WINDOW_S:
            del self._content[heapq.heappop(self._by_age)[1]]


class Seal:
    """The shared secrets of one inbox, and what they prove; shows none of them in a log."""

    __slots__ = ("_aes_key", "_app_id", "_token", "mode")

    def __init__(self, *, token: str, app_id: str, encoding_aes_key: str, mode: Mode) -> None:
        """Take the secrets as WeChat's pages show them.

        Raises:
            ValueError: ``encoding_aes_key`` is set and is not 43 characters of base 64.
        """
        self.mode: Mode = mode
        self._token = token
        self._app_id = app_id
        self._aes_key = _aes_key(encoding_aes_key) if encoding_aes_key else b""

    def check(self, given: str, timestamp: str, nonce: str, encrypted: str | None, now_s: float) -> int:
        """Check the signature of a call and its age; return its time stamp, in Unix seconds.

        Args:
            given: ``signature``, or ``msg_signature`` where ``encrypted`` is there.
            timestamp: as the query of the call has it.
            nonce: as the query of the call has it.
            encrypted: the text of ``Encrypt``; None for a plain call.
            now_s: Unix time.

        Raises:
            Unauthorized: no secret, a wrong signature, or a call too old or too far ahead.
        """
        if not self._token:
            raise Unauthorized("this inbox has no token, so no call can be proven")
        if not _TIMESTAMP.fullmatch(timestamp) or not _NONCE.fullmatch(nonce):
            raise Unauthorized("timestamp or nonce have not the form of WeChat's")
        parts = (self._token, timestamp, nonce) if encrypted is None else (self._token, timestamp, nonce, encrypted)
        if not hmac.compare_digest(signature_of(*parts).encode(), given.encode()):
            raise Unauthorized("the signature is not that of this inbox's token")
        if abs(now_s - int(timestamp)) > WINDOW_S:
            raise Unauthorized(f"the call is not from the last {WINDOW_S} seconds; is the clock right?")
        return int(timestamp)

    def decrypt(self, encrypted: str) -> bytes:
        """Open a ciphertext.

        Raises:
            Unauthorized: this inbox has no key or no app id.
            BadRequest: not base 64, cut short, wrongly padded, or sealed for another app; which one is not told.
        """
        self._require_key()
        try:
            sealed = base64.b64decode(encrypted, validate=True)
            decryptor = self._cipher().decryptor()
            unpadder = PKCS7(_PAD_BYTES * 8).unpadder()  # checks the padding in constant time
            padded = decryptor.update(sealed) + decryptor.finalize()
            plain = unpadder.update(padded) + unpadder.finalize()
        except (binascii.Error, ValueError):
            raise BadRequest(_UNOPENED) from None
        start = _PREFIX_BYTES + _LENGTH_BYTES
        end = start + int.from_bytes(plain[_PREFIX_BYTES:start], "big")
        # The app id ends the text, so this also finds a length that lies and a text that is too short.
        if not hmac.compare_digest(plain[end:], self._app_id.encode()):
            raise BadRequest(_UNOPENED)
        return plain[start:end]

    def encrypt(self, content: bytes, entropy: bytes) -> str:
        """Seal ``content``; ``entropy`` are 16 random bytes.

        Raises:
            Unauthorized: this inbox has no key or no app id.
        """
        self._require_key()
        if len(entropy) != _PREFIX_BYTES:
            raise ValueError(f"entropy must have {_PREFIX_BYTES} bytes, found {len(entropy)}")
        plain = entropy + len(content).to_bytes(_LENGTH_BYTES, "big") + content + self._app_id.encode()
        padder = PKCS7(_PAD_BYTES * 8).padder()
        encryptor = self._cipher().encryptor()
        sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
        return base64.b64encode(sealed).decode()

    def sign(self, timestamp: str, nonce: str, encrypted: str) -> str:
        """Sign a ciphertext, as an encrypted answer needs it."""
        return signature_of(self._token, timestamp, nonce, encrypted)

    def _require_key(self) -> None:
        if not self._aes_key or not self._app_id:
            raise Unauthorized("this inbox has no EncodingAESKey or no AppID, so nothing can be opened")

    def _cipher(self) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self._aes_key), modes.CBC(self._aes_key[:16]))


def _aes_key(encoding_aes_key: str) -> bytes:
    try:
        key = base64.b64decode(encoding_aes_key + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError("EncodingAESKey must be 43 letters and digits, as WeChat shows them")
    return key
