"""What one generator saw of each message, written down as plain numbers; nothing here judges.

Two ledgers make a run: one for what contacts write and desks show, one for what agents write and visitors show. A
fact is two or three integers appended to an array (16 to 20 bytes), so ten million messages with their receipts and
their showing are some 400 MB over all generators. Ledgers become `Facts`, which can be sent, merged and audited
(`cluster/load/truth/audit.py`).

Each message is named by its writer and its number; the first transmissions of a writer leave in the order of the
numbers, and without gaps.
"""

from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np

from cluster.load.scenario.people import Writers
from cluster.load.truth.facts import KIND_BITS, SEQ_BITS, WRITER_SHIFT, Facts, Shown

_MOST_MISHAPS: Final = 100


def key_of(writer: int, number: int) -> int:
    """Return the one integer that names a message."""
    return writer << WRITER_SHIFT | number


class Ledger:
    """One generator's.

    Args:
        run: name of the run.
        writers: how many writers there are in all.
    """

    def __init__(self, run: str, writers: int) -> None:
        self.run = run
        self.writers = writers
        self.confirmed = 0
        self.turned_away = 0
        self.seen = 0
        self.gaps = 0
        self.foreign_again = 0
        self.entries_again = 0
        self.entries_skipped = 0
        self.handed_on = 0
        self.snapshots = 0
        self._duplicates = 0
        self._intended = array("q", bytes(8 * writers))
        self._sent = array("q", bytes(8 * writers))
        self._resent = (array("q"), array("q"))
        self._receipts = (array("q"), array("q"))
        self._refused = (array("q"), array("q"))
        self._shown = (array("q"), array("q"), array("q"))
        self._stored = (array("q"), array("q"))
        self._stays = (array("q"), array("q"), array("q"), array("q"))
        self._pushed_back = array("q")
        self._read = array("q")
        self._holders = (array("q"), array("q"), array("q"))
        self._conversations: dict[str, int] = {}
        self._mishaps: list[str] = []

    # -- writers

    def intend(self, writer: int, number: int) -> None:
        """A message is due."""
        self._intended[writer] = number + 1

    def intend_all(self, writers: Writers, numbers: Writers) -> None:
        """All messages of a window are due (`cluster/load/scenario/arrivals.py`)."""
        intended = np.frombuffer(self._intended, dtype=np.int64)
        np.maximum.at(intended, writers, numbers.astype(np.int64) + 1)

    def sent(self, writer: int, number: int) -> None:
        """A message leaves for the first time.

        Raises:
            ValueError: an earlier one of the writer has not left; the harness is wrong, not the system.
        """
        if self._sent[writer] != number:
            raise ValueError(f"writer {writer}: {number} was sent after {self._sent[writer]} others")
        self._sent[writer] = number + 1

    def resent(self, writer: int, number: int) -> None:
        """A message leaves again, under its old id."""
        self._resent[0].append(key_of(writer, number))
        self._resent[1].append(self._sent[writer])

    def receipt(self, writer: int, number: int, conversation: str, seq: int, *, duplicate: bool = False) -> None:
        """A message has a receipt; another one may follow, if it was sent again."""
        self._receipts[0].append(key_of(writer, number))
        self._receipts[1].append(self.place(conversation, seq))
        self.confirmed += 1
        self._duplicates += duplicate

    def refused(self, writer: int, number: int, *, stored: bool = True) -> None:
        """A message was answered with an error.

        Args:
            writer, number: which one.
            stored: it may be stored all the same (*unavailable*); any other error says that it is not.
        """
        self._refused[0].append(key_of(writer, number))
        self._refused[1].append(0 if stored else 1)
        self.turned_away += 1

    # -- readers

    def shown(self, key: int, place: int, reader: int, kind: Shown) -> None:
        """A reader was shown a message.

        Args:
            key: of `key_of`.
            place: of `place`.
            reader: number of the desk's agent, or of the visitor.
            kind: how.
        """
        self._shown[0].append(key)
        self._shown[1].append(place)
        self._shown[2].append(reader << KIND_BITS | kind)
        self.seen += kind is not Shown.CONTEXT

    def stored(self, writer: int, number: int, conversation: str, seq: int) -> None:
        """The system's history has a message; read after the run."""
        self._stored[0].append(key_of(writer, number))
        self._stored[1].append(self.place(conversation, seq))

    @property
    def receipts(self) -> "tuple[array[int], array[int]]":
        """Keys and places of what has a receipt, in the order in which they came; to be read, and not kept."""
        return self._receipts

    def stay(self, conversation: str, desk: int, since: int, until: int) -> None:
        """A conversation was on a desk, from one of its revisions to another; 0: it is still there."""
        for column, value in zip(self._stays, (self._of(conversation), desk, since, until), strict=True):
            column.append(value)

    def pushed_back(self, key: int) -> None:
        """A desk was pushed an answer, its own agent's."""
        self._pushed_back.append(key)

    def read_whole(self, conversation: str) -> None:
        """The system's history of a conversation was read from its first message to its last."""
        self._read.append(self._of(conversation))

    def held_by(self, conversation: str, revision: int, desk: int) -> None:
        """The system's record says, at the end, who has a conversation; -1: no desk of the run."""
        for column, value in zip(self._holders, (self._of(conversation), revision, desk), strict=True):
            column.append(value)

    @property
    def conversations(self) -> Sequence[str]:
        """Those of which anything is written down."""
        return list(self._conversations)

    def mishap(self, what: str) -> None:
        """Something happened that must not."""
        if len(self._mishaps) < _MOST_MISHAPS:
            self._mishaps.append(what)

    # -- all

    def place(self, conversation: str, seq: int) -> int:
        """Return the one integer that names a conversation and a number in it."""
        return self._of(conversation) << SEQ_BITS | seq

    def facts(self) -> Facts:
        """Return all that was written down."""
        return Facts(
            run=self.run,
            writers=self.writers,
            conversations=list(self._conversations),
            intended=self._intended.tobytes(),
            sent=self._sent.tobytes(),
            resent=_pair(self._resent),
            receipts=_pair(self._receipts),
            refused=_pair(self._refused),
            shown=(self._shown[0].tobytes(), self._shown[1].tobytes(), self._shown[2].tobytes()),
            stored=_pair(self._stored),
            stays=(
                self._stays[0].tobytes(),
                self._stays[1].tobytes(),
                self._stays[2].tobytes(),
                self._stays[3].tobytes(),
            ),
            pushed_back=self._pushed_back.tobytes(),
            read=self._read.tobytes(),
            holders=(self._holders[0].tobytes(), self._holders[1].tobytes(), self._holders[2].tobytes()),
            duplicates=self._duplicates,
            gaps=self.gaps,
            foreign_again=self.foreign_again,
            entries_again=self.entries_again,
            entries_skipped=self.entries_skipped,
            handed_on=self.handed_on,
            snapshots=self.snapshots,
            mishaps=self._mishaps,
        )

    def _of(self, conversation: str) -> int:
        return self._conversations.setdefault(conversation, len(self._conversations))


def _pair(columns: "Sequence[array[int]]") -> tuple[bytes, bytes]:
    return columns[0].tobytes(), columns[1].tobytes()
