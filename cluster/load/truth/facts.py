"""What the ledgers of a run hold, as it is sent between processes: to be merged, and then audited."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

#: A key is ``writer << 32 | number``, a place ``conversation << 32 | seq``, a reader ``number << 4 | kind``.
WRITER_SHIFT: Final = 32
SEQ_BITS: Final = 32
KIND_BITS: Final = 4

Ints = npt.NDArray[np.int64]


class Shown(IntEnum):
    """How a message came to be shown.

    ``LIVE`` pushed, in its turn; ``CONTEXT`` with an offer, a snapshot or a page; ``LATE`` pushed after a later one
    (the audit tells whether its reader had been shown it before); ``AGAIN`` pushed to one who had been shown it;
    ``STRAY`` to a reader who must not see it.
    """

    LIVE = 0
    CONTEXT = 1
    LATE = 2
    AGAIN = 3
    STRAY = 4


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger as it is sent; the bytes are arrays of integers of the machine, 8 bytes each.

    Args:
        run: name of the run.
        writers: how many writers there are.
        conversations: their ids; the other arrays name them by their place here.
        intended, sent: of each writer, how many messages were due, and transmitted at least once.
        resent: key, and how many messages the writer had sent by then.
        receipts: key and place; a place is conversation and number in it.
        refused: key, and whether it was said to be not stored.
        shown: key, place, and reader with the kind of `Shown`.
        stored: key and place, as read back from the system's history.
        stays: conversation and desk, first revision and last (0: it is there still).
        pushed_back: keys of answers, each time that a desk was pushed one.
        read: conversations that were read back whole.
        holders: conversation, revision and desk, as the system's record says at the end (-1: no desk of the run).
        duplicates: receipts that said so.
        gaps: numbers of conversations that their readers were never shown, though later ones.
        foreign_again: messages of others (bot, system) that one reader was pushed twice, or out of order.
        entries_again, entries_skipped: entries of desks' logs that came twice, or never.
        handed_on: conversations that were taken from a desk because its time was up.
        snapshots: fresh starts that desks were given after a break.
        mishaps: what must not happen at all, in words.
    """

    run: str
    writers: int
    conversations: list[str]
    intended: bytes
    sent: bytes
    resent: tuple[bytes, bytes]
    receipts: tuple[bytes, bytes]
    refused: tuple[bytes, bytes]
    shown: tuple[bytes, bytes, bytes]
    stored: tuple[bytes, bytes]
    stays: tuple[bytes, bytes, bytes, bytes]
    pushed_back: bytes = b""
    read: bytes = b""
    holders: tuple[bytes, bytes, bytes] = (b"", b"", b"")
    duplicates: int = 0
    gaps: int = 0
    foreign_again: int = 0
    entries_again: int = 0
    entries_skipped: int = 0
    handed_on: int = 0
    snapshots: int = 0
    mishaps: list[str] = msgspec.field(default_factory=list[str])


def column(data: bytes) -> Ints:
    """Return the integers of a column of `Facts`, without copying them."""
    return np.frombuffer(data, dtype=np.int64)


def numbered(known: dict[str, int], names: Sequence[str]) -> Ints:
    """Return the number of each name, in one row for all; new names get the next ones."""
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def merged(parts: Sequence[Facts]) -> Facts:
    """Return the facts of all generators as those of one.

    Args:
        parts: of one run, at least one.

    Raises:
        ValueError: they are of different runs.
    """
    if len({(part.run, part.writers) for part in parts}) != 1:
        raise ValueError(f"facts of different runs: {sorted({part.run for part in parts})}")
    places: dict[str, int] = {}
    renamed = [numbered(places, part.conversations) for part in parts]

    def of_names(columns: list[bytes]) -> bytes:
        return b"".join(
            names[column(data)].tobytes() if data else b"" for names, data in zip(renamed, columns, strict=True)
        )

    def of_places(columns: list[bytes]) -> bytes:
        mask = (1 << SEQ_BITS) - 1
        arrays = [column(data) for data in columns]
        return b"".join(
            (names[found >> SEQ_BITS] << SEQ_BITS | found & mask).tobytes() if len(found) else b""
            for names, found in zip(renamed, arrays, strict=True)
        )

    return Facts(
        run=parts[0].run,
        writers=parts[0].writers,
        conversations=list(places),
        intended=_largest([part.intended for part in parts]),
        sent=_largest([part.sent for part in parts]),
        resent=_joined([part.resent for part in parts]),
        receipts=(b"".join(part.receipts[0] for part in parts), of_places([part.receipts[1] for part in parts])),
        refused=_joined([part.refused for part in parts]),
        shown=(
            b"".join(part.shown[0] for part in parts),
            of_places([part.shown[1] for part in parts]),
            b"".join(part.shown[2] for part in parts),
        ),
        stored=(b"".join(part.stored[0] for part in parts), of_places([part.stored[1] for part in parts])),
        stays=(
            of_names([part.stays[0] for part in parts]),
            b"".join(part.stays[1] for part in parts),
            b"".join(part.stays[2] for part in parts),
            b"".join(part.stays[3] for part in parts),
        ),
        pushed_back=b"".join(part.pushed_back for part in parts),
        read=of_names([part.read for part in parts]),
        holders=(
            of_names([part.holders[0] for part in parts]),
            b"".join(part.holders[1] for part in parts),
            b"".join(part.holders[2] for part in parts),
        ),
        duplicates=sum(part.duplicates for part in parts),
        gaps=sum(part.gaps for part in parts),
        foreign_again=sum(part.foreign_again for part in parts),
        entries_again=sum(part.entries_again for part in parts),
        entries_skipped=sum(part.entries_skipped for part in parts),
        handed_on=sum(part.handed_on for part in parts),
        snapshots=sum(part.snapshots for part in parts),
        mishaps=[mishap for part in parts for mishap in part.mishaps],
    )


def _joined(pairs: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    return b"".join(pair[0] for pair in pairs), b"".join(pair[1] for pair in pairs)


def _largest(columns: list[bytes]) -> bytes:
    """Merge counts by writer: a writer has one generator, and the others have 0 of it."""
    return np.maximum.reduce([column(data) for data in columns]).tobytes()
