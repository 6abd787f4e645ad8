"""The end of a run of several generators: waits for what is under way, and puts together what each knows.

A message is shown where its agent is, which may be another generator than its writer's. So while it drains everybody
is told what was shown anywhere; and a vendor, which is never told where a message stands, is told by the showings.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from cluster.load.orders import Generates, Outcome
from cluster.load.truth.facts import SEQ_BITS, Facts, Ints, column, numbered
from cluster.load.truth.seen import joined

_LOOK_EVERY_S = 0.5
#: When nothing at all has happened for so long, nothing more will: what is left waits for an agent.
_QUIET_S = 8.0
_LOW = (1 << SEQ_BITS) - 1

ShownAnywhere = tuple[dict[int, bytes], dict[int, bytes]]


async def drain(generators: Sequence[Generates], drain_s: float) -> list[Outcome]:
    """Wait until everything is settled, or ``drain_s``, and collect what all know.

    Args:
        generators: all of the run; their phases are over.
        drain_s: the longest wait.

    Returns:
        The outcomes, in the generators' order; facts about vendors' messages are completed from all of them.
    """
    shown = await settled(generators, drain_s)
    outcomes = await asyncio.gather(*(generator.finish(shown) for generator in generators))
    return completed(list(outcomes))


async def settled(generators: Sequence[Generates], drain_s: float) -> ShownAnywhere:
    """Wait until all is answered and shown, or nothing happens any more; returns what was shown anywhere."""
    deadline = time.monotonic() + drain_s
    moved, quiet_since = -1, time.monotonic()
    while True:
        standings = await asyncio.gather(*(generator.standing() for generator in generators))
        shown = (joined(each.shown[0] for each in standings), joined(each.shown[1] for each in standings))
        unanswered = sum(each.unanswered for each in standings)
        if not unanswered and not sum(await asyncio.gather(*(each.unshown(shown) for each in generators))):
            return shown
        now = time.monotonic()
        if (total := sum(each.moved for each in standings)) != moved:
            moved, quiet_since = total, now
        if now > deadline or (not unanswered and now - quiet_since > _QUIET_S):
            return shown
        await asyncio.sleep(min(_LOOK_EVERY_S, max(deadline - now, 0.01)))


def completed(outcomes: list[Outcome]) -> list[Outcome]:
    """Say where messages stand of which only a vendor was told, so far as anybody knows."""
    if not any(each.nowhere or each.at_vendor[0] for each in outcomes):
        return outcomes
    messages = Places([each.messages for each in outcomes], [column(each.nowhere) for each in outcomes])
    answers = Places([each.answers for each in outcomes], [column(each.at_vendor[0]) for each in outcomes])
    return [
        msgspec.structs.replace(
            each,
            messages=_with_receipts(each.messages, column(each.nowhere), messages),
            answers=_with_showings(each.answers, each.at_vendor, answers),
            nowhere=b"",
            at_vendor=(b"", b""),
        )
        for each in outcomes
    ]


class Places:
    """Where some messages stand, by any witness of any generator; a receipt counts first, and then what was shown.

    All work is on arrays: what is asked for is looked up among ten million facts in a second or two.

    Args:
        parts: of all generators.
        wanted: keys of the messages, of each generator.
    """

    def __init__(self, parts: Sequence[Facts], wanted: Sequence[Ints]) -> None:
        self._keys = np.unique(np.concatenate(wanted))
        self._places = np.full(len(self._keys), -1, dtype=np.int64)
        known: dict[str, int] = {}
        names = [numbered(known, part.conversations) for part in parts]
        for witness in ("stored", "shown", "receipts"):
            for part, renamed in zip(parts, names, strict=True):
                self._take(column(getattr(part, witness)[0]), column(getattr(part, witness)[1]), renamed)
        self.names = list(known)

    def _take(self, keys: Ints, places: Ints, renamed: Ints) -> None:
        if not len(self._keys) or not len(keys):
            return
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        rows = np.flatnonzero(self._keys[at] == keys)
        self._places[at[rows]] = renamed[places[rows] >> SEQ_BITS] << SEQ_BITS | places[rows] & _LOW

    def of(self, keys: Ints) -> Ints:
        """Return the place of each message that was wanted, its conversation by its number in `names`; -1: nowhere."""
        return self._places[np.searchsorted(self._keys, keys)]


def _with_receipts(facts: Facts, nowhere: Ints, places: Places) -> Facts:
    """Add the receipts of a vendor's messages; one that stands nowhere gets a place that nobody else names."""
    names, where = _Names(facts.conversations), places.of(nowhere)
    found = where >= 0
    added = np.empty(len(nowhere), dtype=np.int64)
    added[found] = names.renamed(where[found], places.names.__getitem__)
    # such a place is the message's own: its writer for a conversation, and its number
    added[~found] = names.renamed(nowhere[~found] + 1, lambda writer: f"nowhere-{writer}")
    receipts = (facts.receipts[0] + nowhere.tobytes(), facts.receipts[1] + added.tobytes())
    return msgspec.structs.replace(facts, receipts=receipts, conversations=names.all)


def _with_showings(facts: Facts, at_vendor: tuple[bytes, bytes], places: Places) -> Facts:
    """Add the showings at a vendor, so far as anybody knows where they stand."""
    keys, readers = column(at_vendor[0]), column(at_vendor[1])
    names, where = _Names(facts.conversations), places.of(keys)
    found = where >= 0
    added = names.renamed(where[found], places.names.__getitem__)
    more = (each.tobytes() for each in (keys[found], added, readers[found]))
    shown = tuple(have + new for have, new in zip(facts.shown, more, strict=True))
    return msgspec.structs.replace(facts, shown=shown, conversations=names.all)


class _Names:
    """A part's own numbers of conversations."""

    def __init__(self, names: Sequence[str]) -> None:
        self._known = {name: number for number, name in enumerate(names)}

    def renamed(self, places: Ints, name_of: Callable[[int], str]) -> Ints:
        """Return places with the part's own numbers of their conversations."""
        found, index = np.unique(places >> SEQ_BITS, return_inverse=True)
        own = numbered(self._known, [name_of(number) for number in found.tolist()])
        return (own[index] << SEQ_BITS | places & _LOW) if len(places) else places

    @property
    def all(self) -> list[str]:
        """All names, by their numbers."""
        return list(self._known)
