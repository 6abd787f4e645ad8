"""Which messages were shown already: one bit for each, by writer and number, so ten million cost about a megabyte."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from cluster.load.truth.facts import WRITER_SHIFT, Ints

_LOW = (1 << WRITER_SHIFT) - 1


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
    if not len(keys):
        return np.zeros(0, dtype=np.bool_)
    writers = keys >> WRITER_SHIFT
    present, index = np.unique(writers, return_inverse=True)
    rows = [seen.get(int(writer), b"") for writer in present]
    begins = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    whole = np.frombuffer(b"".join(rows) + b"\0", dtype=np.uint8)
    number = keys & _LOW
    place = begins[index] + (number >> 3)
    there = place < begins[index + 1]
    bits = whole[np.where(there, place, len(whole) - 1)] >> (number & 7).astype(np.uint8) & 1
    return ~(there & (bits == 1))
