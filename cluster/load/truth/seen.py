"""Which messages were shown already: one bit for each, by writer and number, so ten million cost about a megabyte."""

from array import array
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from cluster.load.truth.facts import WRITER_SHIFT, Ints

_LOW = (1 << WRITER_SHIFT) - 1
_STRETCH = 1_000_000
Rows = npt.NDArray[np.intp]


class Seen:
    """The bits of one ledger."""

    def __init__(self) -> None:
        self._bits: dict[int, bytearray] = {}
        self.count = 0

    def first(self, writer: int, number: int) -> bool:
        """Note a message; returns whether it is the first time."""
        place, bit = number >> 3, 1 << (number & 7)
        bits = self._bits.get(writer)
        if bits is None:
            bits = self._bits[writer] = bytearray(place + 1)
        elif len(bits) <= place:
            # twice as many, so that a writer of many messages costs no copy for each
            bits.extend(bytes(max(place + 1 - len(bits), len(bits))))
        if bits[place] & bit:
            return False
        bits[place] |= bit
        self.count += 1
        return True

    def bits(self) -> dict[int, bytes]:
        """Return them as they are sent."""
        return {writer: bytes(bits) for writer, bits in self._bits.items()}


def joined(parts: Iterable[Mapping[int, bytes]]) -> dict[int, bytes]:
    """Return what was shown to any of several generators."""
    whole: dict[int, bytes] = {}
    for part in parts:
        for writer, bits in part.items():
            have = whole.get(writer)
            whole[writer] = bits if have is None else _either(have, bits)
    return whole


def _either(one: bytes, other: bytes) -> bytes:
    both = int.from_bytes(one, "little") | int.from_bytes(other, "little")
    return both.to_bytes(max(len(one), len(other)), "little")


def unseen(keys: Ints, seen: Mapping[int, bytes]) -> npt.NDArray[np.bool_]:
    """Tell of each key (`cluster/load/truth/facts.py`) whether its message is not among those shown."""
    missing = np.zeros(len(keys), dtype=np.bool_)
    if not len(keys):
        return missing
    lengths = np.zeros(int(keys.max() >> WRITER_SHIFT) + 1, dtype=np.int64)
    rows = sorted((writer, row) for writer, row in seen.items() if writer < len(lengths))
    lengths[[writer for writer, _ in rows]] = [len(row) for _, row in rows]
    begins = np.concatenate([[0], np.cumsum(lengths)])
    whole = np.frombuffer(b"".join([row for _, row in rows]) + b"\0", dtype=np.uint8)
    # a stretch at a time, so that ten million take no gigabyte
    for begin in range(0, len(keys), _STRETCH):
        some = keys[begin : begin + _STRETCH]
        writer, number = some >> WRITER_SHIFT, some & _LOW
        place = begins[writer] + (number >> 3)
        there = place < begins[writer + 1]
        bits = whole[np.where(there, place, len(whole) - 1)] >> (number & 7).astype(np.uint8) & 1
        missing[begin : begin + _STRETCH] = ~(there & (bits == 1))
    return missing


class Pending:
    """Of a list of messages that grows, what was shown nowhere so far.

    Each look is at what is new and what was missing at the last one, so looking often costs little however long the
    list is. What was shown once counts as shown for ever.

    Args:
        keys: of the messages; only appended to.
    """

    def __init__(self, keys: "array[int]") -> None:
        self._keys = keys
        self._until = 0
        self._rows: Rows = np.zeros(0, dtype=np.intp)

    def look(self, seen: Mapping[int, bytes]) -> Rows:
        """Return which of the messages are not among those shown, by their places in the list."""
        # a view of the list is not kept: the list could not grow meanwhile
        keys = np.frombuffer(self._keys, dtype=np.int64)
        rows = np.concatenate([self._rows, np.arange(self._until, len(keys))])
        self._until = len(keys)
        self._rows = rows[unseen(keys[rows], seen)]
        return self._rows
