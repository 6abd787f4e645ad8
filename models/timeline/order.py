"""The order of each sender's batches: taken by number within a generation, and never out of turn.

A sender numbers its batches 0, 1, 2 ... within a generation, and begins a new generation whenever one of
them failed. Whatever still arrives of an old generation is not taken; its sender repeats it, in order. A
batch that comes a little before its turn may be kept until then (``early``).
"""

#: A sender that was silent while this many others wrote is forgotten; its next batch then fails once and
#: is repeated in a new generation.
MOST_SENDERS = 10_000

#: How far before its turn a batch may come; no sender has more under way.
MOST_EARLY = 8


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
        # taken out first, so that who wrote last stands last
        self._next.pop(sender, None)
        self._next[sender] = (generation, number + 1)
        return True

    def early(self, sender: str, generation: int, number: int) -> bool:
        """Tell whether a batch that was not admitted came before its turn, which may still come.

        Calls that were made one after the other can arrive the other way round.
        """
        known = self._next.get(sender)
        if known is None or generation > known[0]:
            return 0 < number <= MOST_EARLY
        return generation == known[0] and 0 <= known[1] < number <= known[1] + MOST_EARLY

    def break_all(self) -> None:
        """Take nothing more of the current generations: a batch among them failed."""
        for sender, (generation, _) in self._next.items():
            self._next[sender] = (generation, -1)
