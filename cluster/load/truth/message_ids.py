"""The id that each message of a run carries through the whole system, and comes back with.

It is the client id of a socket's message and the source id of a backend's: ``<run>-<writer>-<number>-<due>-<lag>``.
Run, writer and number are its identity; *due* is the intended time in microseconds since the begin of the run, and
*lag* by how much later the harness had it ready to send, so that whoever sees the message, on whatever node, knows
its latency and the harness' share of it. A message that is sent again keeps its id to the letter. Vendors number
messages themselves: there the id stands at the end of the text, and the vendor's number is computed from it, so that
a repetition has the same one.
"""

import re
from hashlib import blake2b
from typing import NamedTuple

#: A name of a run: short, and without the dash that parts an id.
RUN = re.compile(r"[a-z0-9]{1,16}")
_IN_TEXT = " #"


class MessageId(NamedTuple):
    """One message of a run.

    Args:
        writer: the number of the identity that writes it.
        number: which of the writer's messages it is, from 0.
        due_us: when it is to be sent, in microseconds since the begin.
        lag_us: by how much later it was.
    """

    writer: int
    number: int
    due_us: int
    lag_us: int = 0


class MessageIds:
    """Writes and reads the ids of one run; those of others are not known to it.

    Raises:
        ValueError: ``run`` has not the form of one.
    """

    def __init__(self, run: str) -> None:
        if not RUN.fullmatch(run):
            raise ValueError(f"run: found {run!r}; allowed: 1 to 16 lower-case letters and digits")
        self.run = run
        self._head = f"{run}-"

    def write(self, writer: int, number: int, due_us: int, lag_us: int = 0) -> str:
        """Return the id as text."""
        return f"{self._head}{writer}-{number}-{due_us}-{lag_us}"

    def read(self, text: str) -> MessageId | None:
        """Read an id; None: it is none of this run."""
        if not text.startswith(self._head):
            return None
        parts = text.split("-")
        # all digits are checked at once, as this is done for each message that is shown
        if len(parts) != 5 or not text.isascii() or not "".join(parts[1:]).isdigit():
            return None
        try:
            return MessageId(int(parts[1]), int(parts[2]), int(parts[3]), int(parts[4]))
        except ValueError:  # one of them is empty
            return None

    def find(self, source_id: str, text: str) -> MessageId | None:
        """Read the id of a message from where its channel let it stand."""
        return self.read(source_id) or self.read(text.rpartition(_IN_TEXT)[2])

    @staticmethod
    def tagged(text: str, message: str) -> str:
        """Return a text with a message's id at its end."""
        return f"{text}{_IN_TEXT}{message}"

    def vendor_number(self, writer: int, number: int) -> int:
        """Compute the number, up to 2**63, that a vendor would give a message; the same one each time."""
        digest = blake2b(f"{self._head}{writer}-{number}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1
