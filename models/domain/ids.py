"""Ids that say where their owner is: every id carries its slot, so no look-up stands before a message.

* A **slot** is one of 1,024 hash buckets; a router owns a contiguous range of them (its shard).
* A **contact id** is computed from an identity: ``c`` + 2 characters of slot + 22 of hash.
* A **conversation id** (the SessionID) is ``s`` + 10 characters of time + 2 of slot + 16 random ones:
  it sorts by time, carries the slot of its contact and cannot be guessed (80 random bits).
* A **message id** is ``<conversation>-<seq>``.

The alphabet is Crockford's base 32 in lower case, whose order is the order of the numbers
(https://www.crockford.com/base32.html).
"""

from hashlib import blake2b

from models.domain.errors import InvalidId

SLOTS = 1024
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {char: value for value, char in enumerate(_ALPHABET)}
_CONTACT_LENGTH = 25
_CONVERSATION_LENGTH = 29
_RANDOM_BITS = 80


def encode_base32(number: int, length: int) -> str:
    """Write ``number`` as exactly ``length`` base 32 characters, most significant first."""
    chars = [""] * length
    for place in range(length - 1, -1, -1):
        chars[place] = _ALPHABET[number & 31]
        number >>= 5
    return "".join(chars)


def is_base32(text: str) -> bool:
    """Tell whether ``text`` is made of base 32 characters alone."""
    return all(char in _VALUE for char in text)


def contact_id(account: str, channel: str, inbox: str, external_id: str) -> str:
    """Compute the contact of an identity; equal identities give equal ids, on every machine."""
    key = "\0".join((account, channel, inbox, external_id)).encode()
    digest = int.from_bytes(blake2b(key, digest_size=15).digest(), "big")
    return "c" + encode_base32(digest, 24)


def user_contact_id(account: str, user_id: str) -> str:
    """Compute the contact of a user that the account's own backend vouches for."""
    return contact_id(account, "user", "", user_id)


def conversation_id(opened_at_ms: int, slot: int, entropy: bytes) -> str:
    """Make a SessionID.

    Args:
        opened_at_ms: Unix time of opening, in milliseconds.
        slot: the contact's slot, 0 to 1,023.
        entropy: at least 10 random bytes from the operating system.
    """
    random_bits = int.from_bytes(entropy[:10], "big")
    return "s" + encode_base32(opened_at_ms, 10) + encode_base32(slot, 2) + encode_base32(random_bits, 16)


def message_id(conversation: str, seq: int) -> str:
    """Name the ``seq``-th message (from 1) of a conversation."""
    return f"{conversation}-{seq}"


def split_message_id(message: str) -> tuple[str, int]:
    """Return conversation and number of a message id.

    Raises:
        InvalidId: ``message`` is not a message id.
    """
    conversation, dash, number = message.rpartition("-")
    if not dash or not is_conversation_id(conversation) or not number.isascii() or not number.isdigit():
        raise InvalidId("message", message)
    return conversation, int(number)


def is_contact_id(text: str) -> bool:
    """Tell whether ``text`` has the form of a contact id."""
    return len(text) == _CONTACT_LENGTH and text[0] == "c" and is_base32(text[1:])


def is_conversation_id(text: str) -> bool:
    """Tell whether ``text`` has the form of a SessionID."""
    return len(text) == _CONVERSATION_LENGTH and text[0] == "s" and is_base32(text[1:])


def slot_of_contact(contact: str) -> int:
    """Return the slot that a contact id carries.

    Raises:
        InvalidId: ``contact`` is not a contact id.
    """
    try:
        return _VALUE[contact[1]] * 32 + _VALUE[contact[2]]
    except (IndexError, KeyError):
        raise InvalidId("contact", contact) from None


def slot_of_conversation(conversation: str) -> int:
    """Return the slot that a SessionID carries.

    Raises:
        InvalidId: ``conversation`` is not a SessionID.
    """
    try:
        return _VALUE[conversation[11]] * 32 + _VALUE[conversation[12]]
    except (IndexError, KeyError):
        raise InvalidId("conversation", conversation) from None


def opened_at_ms(conversation: str) -> int:
    """Return the Unix time in milliseconds at which a conversation was opened.

    Raises:
        InvalidId: ``conversation`` is not a SessionID.
    """
    if not is_conversation_id(conversation):
        raise InvalidId("conversation", conversation)
    number = 0
    for char in conversation[1:11]:
        number = number * 32 + _VALUE[char]
    return number


def shard_of_slot(slot: int, shards: int) -> int:
    """Return the shard, 0 to ``shards - 1``, that owns ``slot``."""
    return slot * shards // SLOTS


def slots_of_shard(shard: int, shards: int) -> range:
    """Return the contiguous slots of one shard; the ranges of all shards cover every slot once."""
    first = -(-shard * SLOTS // shards)
    last = -(-(shard + 1) * SLOTS // shards)
    return range(first, last)
