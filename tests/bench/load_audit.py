"""What the books of a large run cost: ledgers, recorder, drain and audit of ten million messages, without a system.

``python -m tests.bench.load_audit`` lets each generator be a process of its own, as in a run, write down what it would
have seen, and hands all of it to one that audits. Prints times and the most memory of each process; asserts nothing.
A tenth of the messages come from a vendor, which is never told where they stand, and half of all are shown at another
generator's desk than their writer's.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from cluster.load.clients.clock import Clock
from cluster.load.clients.notes import Notes
from cluster.load.orders import Outcome
from cluster.load.run.draining import completed
from cluster.load.targets.said import Receipt, Said, Written
from cluster.load.truth.audit import Audience, Audit
from cluster.load.truth.facts import merged
from cluster.load.truth.findings import Findings
from cluster.load.truth.ledger import Ledger
from cluster.load.truth.message_ids import MessageIds
from cluster.load.truth.readers import DeskReader
from cluster.load.truth.recorder import Recorder
from cluster.load.truth.seen import Pending, joined

RUN = "b1"
RATE = 40_000
#: Every so many-th writer is a contact of a vendor.
VENDOR_EVERY = 10
#: After so many messages of a writer its conversation is done, and another one begins.
CASE = 500

_T = TypeVar("_T")


def lived(generator: int, generators: int, messages: int, writers: int, say: Callable[[str], None]) -> Outcome:
    """Return what one generator hands in."""
    seconds = messages / RATE + 1
    recorder = Recorder(0.0, seconds)
    clock = Clock()
    clock.begin(time.time())
    notes = Notes(clock, MessageIds(RUN), Ledger(RUN, writers), Ledger(RUN, 1), recorder)
    ledger, missing, nowhere = notes.messages, Pending(notes.messages.receipts[0]), Pending(notes.nowhere)
    began = time.monotonic()
    desk = DeskReader(ledger, generator)
    for place in range(messages):
        writer, number = place % writers, place // writers
        if writer % generators == generator:
            _written(notes, writer, number, place)
        # the desk of a writer's agent is at the same generator for half of them
        if (writer + writer // generators % 2) % generators == generator:
            _shown(notes, desk, writer, number, place)
        if place % RATE == 0:
            notes.fold()
    desk.close()
    say(f"generator {generator}: {(time.monotonic() - began) / messages * 1e6:.2f} us a message to write down")
    # the others' showings are the same run's
    bits = joined([notes.shown.bits()])
    _timed(say, f"generator {generator}: first look for what is missing", lambda: missing.look(bits))
    _timed(say, f"generator {generator}: the next look", lambda: (missing.look(bits), nowhere.look(bits)))
    notes.fold()
    recorder.finish(f"generator {generator}")
    return _timed(
        say,
        f"generator {generator}: handing in",
        lambda: Outcome(
            messages=ledger.facts(),
            answers=notes.answers.facts(),
            measured=recorder.measured(),
            sockets=0,
            nowhere=notes.nowhere.tobytes(),
        ),
    )


def _written(notes: Notes, writer: int, number: int, place: int) -> None:
    due_us = place * 1_000_000 // RATE
    written = Written(number, notes.ids.write(writer, number, due_us), "", due_us)
    notes.messages.intend(writer, number)
    notes.leaves(writer, written)
    if writer % VENDOR_EVERY:
        notes.receipt(writer, written, Receipt(_case(writer, number), number % CASE + 1))
    else:
        notes.taken(writer, written)


def _shown(notes: Notes, desk: DeskReader, writer: int, number: int, place: int) -> None:
    case, seq = _case(writer, number), number % CASE + 1
    due_us = place * 1_000_000 // RATE
    said = Said(case, seq, source_id=notes.ids.write(writer, number, due_us), at_ms=1, received_at_ms=1)
    if seq == 1:
        desk.offered(case, 1, [])
    desk.live(case, seq, notes.at_desk(said))


def _case(writer: int, number: int) -> str:
    return f"s{number // CASE:06}-{writer}"


def audited(outcomes: list[Outcome], writers: int, say: Callable[[str], None]) -> Findings:
    """Put together what all handed in, and audit it."""
    outcomes = _timed(say, "completing what only a vendor was told", lambda: completed(outcomes))
    facts = _timed(say, "merging", lambda: merged([each.messages for each in outcomes]))
    audit = _timed(say, "audit: its rows", lambda: Audit(facts, np.arange(writers, dtype=np.int32)))
    found = _timed(say, "audit: all compared", audit.run)
    answers = merged([each.answers for each in outcomes])
    Audit(answers, audience=Audience(audit.owners(), np.arange(writers, dtype=np.int32), writers)).run()
    _timed(say, "merging what was measured", lambda: Recorder.merged([each.measured for each in outcomes]))
    return found


def most_mb() -> float:
    """Return the most memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(say: Callable[[str], None], what: str, work: Callable[[], _T]) -> _T:
    began = time.monotonic()
    done = work()
    say(f"{what}: {time.monotonic() - began:.2f} s, {most_mb():,.0f} MB at most so far")
    return done


def _live(generator: int, generators: int, messages: int, writers: int) -> Outcome:
    return lived(generator, generators, messages, writers, _say)


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--writers", type=int, default=2_000)
    parser.add_argument("--generators", type=int, default=2)
    given = parser.parse_args()
    began = time.monotonic()
    orders = [(generator, given.generators, given.messages, given.writers) for generator in range(given.generators)]
    with multiprocessing.get_context("spawn").Pool(given.generators) as pool:
        outcomes = pool.starmap(_live, orders)
    handed_in = time.monotonic()
    found = audited(outcomes, given.writers, _say)
    print(f"{found.statement}; faults: {found.faults or 'none'}")
    print(
        f"the audit took {time.monotonic() - handed_in:.1f} s of {time.monotonic() - began:.1f} s, {most_mb():,.0f} MB"
    )


if __name__ == "__main__":
    main()
