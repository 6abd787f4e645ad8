"""Texts that were understood a moment ago: customers ask the same in the same words.

Bounded; of the texts that it knows, the one that was asked for least recently goes first. An artefact gives the same
answer to the same text for ever, so nothing here grows stale while the model lives.
"""

from collections import OrderedDict

from models.intent.understanding import Understanding


class UnderstandingCache:
    """What was understood of whole normalised texts.

    Args:
        texts: how many are kept; 0 turns it off.
    """

    def __init__(self, texts: int) -> None:
        self._bound = texts
        self._known: OrderedDict[str, Understanding] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        """Count the texts that are known."""
        return len(self._known)

    def get(self, key: str) -> Understanding | None:
        """Return what was understood of a normalised text, if it is known; counts as a hit or a miss."""
        if not self._bound:
            return None
        found = self._known.get(key)
        if found is None:
            self.misses += 1
            return None
        self._known.move_to_end(key)
        self.hits += 1
        return found

    def put(self, key: str, understanding: Understanding) -> None:
        """Remember what was understood of a normalised text."""
        if not self._bound:
            return
        self._known[key] = understanding
        self._known.move_to_end(key)
        if len(self._known) > self._bound:
            self._known.popitem(last=False)
