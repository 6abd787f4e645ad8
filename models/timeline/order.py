"""The order of each sender's batches: taken by number within a generation, and never out of turn.

A sender numbers its batches 0, 1, 2 ... within a generation, and begins a new generation whenever one of
them failed. Whatever still arrives of an old generation, or out of turn, is not taken; its sender will
repeat it, in order.
"""

#: A sender that was silent while this many others wrote is forgotten; its next batch then fails once and
#: is repeated in a new generation.
MOST_SENDERS = 10_000


class SenderOrder:
    """Which batch of each sender is next."""

    def __init__(self) -> None:
        #: sender -> [generation, next number]; a next number of -1 takes nothing until a new generation.
        self._next: dict[str, tuple[int, int]] = {}

    def admit(self, sender: str, generation: int, number: int) -> bool:
        """Tell whether this batch is the sender's next, and count it if so."""
        known = self._next.get(sender)
        if known is None or generation > known[0]:
            if number != 0:
                return False
        elif (generation, number) != known:
            return False
        if known is None and len(self._next) >= MOST_SENDERS:
            del self._next[next(iter(self._next))]
        self._next[sender] = (generation, number + 1)
        return True

    def break_all(self) -> None:
        """Take nothing more of the current generations: a batch among them failed."""
        for sender, (generation, _) in self._next.items():
            self._next[sender] = (generation, -1)
