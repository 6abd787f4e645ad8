"""The end of a run of several generators: waits for what is under way, and puts together what each knows.

A message is shown where its agent is, which may be another generator than its writer's. So while it drains everybody
is told what was shown anywhere; and a vendor, which is never told where a message stands, is told by the showings.
"""

import asyncio
import time
from collections.abc import Sequence

import msgspec
import numpy as np

from cluster.load.orders import Generates, Outcome
from cluster.load.truth.facts import Facts, Ints, column, merged
from cluster.load.truth.seen import joined

_LOOK_EVERY_S = 0.5
#: When nothing at all has happened for so long, nothing more will: what is left waits for an agent.
_QUIET_S = 8.0

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
    messages, answers = merged([each.messages for each in outcomes]), merged([each.answers for each in outcomes])
    return [
        msgspec.structs.replace(
            each,
            messages=_with_receipts(each.messages, column(each.nowhere), _places(messages)),
            answers=_with_showings(each.answers, each.at_vendor, _places(answers)),
            nowhere=b"",
            at_vendor=(b"", b""),
        )
        for each in outcomes
    ]


def _places(facts: Facts) -> dict[int, tuple[str, int]]:
    """Return where each message stands, by any witness; the receipt counts first."""
    found: dict[int, tuple[str, int]] = {}
    for keys, places in ((facts.stored[0], facts.stored[1]), facts.shown[:2], facts.receipts):
        for key, place in zip(column(keys).tolist(), column(places).tolist(), strict=True):
            found[key] = (facts.conversations[place >> 32], place & 0xFFFFFFFF)
    return found


def _with_receipts(facts: Facts, nowhere: Ints, places: dict[int, tuple[str, int]]) -> Facts:
    """Add the receipts of a vendor's messages; one that stands nowhere gets a place that nobody else names."""
    conversations = {name: number for number, name in enumerate(facts.conversations)}
    added: list[int] = []
    for key in nowhere.tolist():
        conversation, seq = places.get(key) or (f"nowhere-{key >> 32}", (key & 0xFFFFFFFF) + 1)
        added.append(conversations.setdefault(conversation, len(conversations)) << 32 | seq)
    receipts = (facts.receipts[0] + nowhere.tobytes(), facts.receipts[1] + np.array(added, dtype=np.int64).tobytes())
    return msgspec.structs.replace(facts, receipts=receipts, conversations=list(conversations))


def _with_showings(facts: Facts, at_vendor: tuple[bytes, bytes], places: dict[int, tuple[str, int]]) -> Facts:
    """Add the showings at a vendor."""
    conversations = {name: number for number, name in enumerate(facts.conversations)}
    keys: list[int] = []
    where: list[int] = []
    readers: list[int] = []
    for key, reader in zip(column(at_vendor[0]).tolist(), column(at_vendor[1]).tolist(), strict=True):
        if key in places:
            conversation, seq = places[key]
            keys.append(key)
            where.append(conversations.setdefault(conversation, len(conversations)) << 32 | seq)
            readers.append(reader)
    more = (np.array(each, dtype=np.int64).tobytes() for each in (keys, where, readers))
    shown = tuple(have + new for have, new in zip(facts.shown, more, strict=True))
    return msgspec.structs.replace(facts, shown=shown, conversations=list(conversations))
