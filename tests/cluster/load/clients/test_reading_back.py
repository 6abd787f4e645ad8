"""What is read back at the end: what is missing, or all; and what a history that is not whole is found as."""

import asyncio

import numpy as np
import pytest

from cluster.load.clients.clock import Clock
from cluster.load.clients.notes import Notes
from cluster.load.clients.reading_back import ReadingBack
from cluster.load.orders import AgentLogin, Orders
from cluster.load.scenario.scenario import parse_scenario
from cluster.load.targets.frames import Page
from cluster.load.targets.raydesk import PAGE
from cluster.load.targets.said import Record, Said
from cluster.load.truth.audit import Audit
from cluster.load.truth.facts import Shown
from cluster.load.truth.findings import Findings
from cluster.load.truth.ledger import Ledger, key_of
from cluster.load.truth.message_ids import MessageIds
from cluster.load.truth.recorder import Recorder

SMALL = 'read_back = "%s"\n[[phases]]\nshape = "steady"\nrate = "1/s"\nlasts = "1s"\n'


class History:
    """A system's: every page with its newest message first, as raydesk has it."""

    def __init__(self, said: list[Said], holder: str = "ann") -> None:
        self.said = said
        self.holder = holder
        self.pages = 0
        self.down = 0

    async def history(self, conversation: str, before: int | None) -> Page:
        self.pages += 1
        if self.down:
            self.down -= 1
            raise ConnectionError("not now")
        older = [each for each in self.said if before is None or each.seq < before]
        return Page(messages=older[::-1][:PAGE])

    async def record(self, conversation: str) -> Record:
        return Record(conversation, 2, "assigned", self.holder)


class Run:
    """One writer's messages in one conversation, all with a receipt and shown but for the last."""

    def __init__(self, messages: int, read_back: str) -> None:
        self.notes = Notes(Clock(), MessageIds("k"), Ledger("k", 1), Ledger("k", 2), Recorder(0.0, 60.0))
        self.orders = Orders(
            run="k",
            scenario=parse_scenario(SMALL % read_back, "x"),
            base="",
            account="a",
            inboxes={"web": "w"},
            agents=(AgentLogin(name="bob"), AgentLogin(name="ann")),
        )
        ledger = self.notes.messages
        for number in range(messages):
            ledger.intend(0, number)
            ledger.sent(0, number)
            ledger.receipt(0, number, "c", number + 1)
            if number < messages - 1:
                ledger.shown(key_of(0, number), ledger.place("c", number + 1), 1, Shown.LIVE)
                self.notes.shown.first(0, number)
        self.said = [Said("c", number + 1, source_id=self.notes.ids.write(0, number, 0)) for number in range(messages)]

    def read(self, history: History) -> Findings:
        reading = ReadingBack(self.orders, history, self.notes)
        asyncio.run(reading.read((self.notes.shown.bits(), {})))
        return Audit(self.notes.messages.facts()).run()


def test_only_what_is_missing_is_read_unless_all_is_asked_for():
    run = Run(3 * PAGE, "missing")
    history = History(run.said)
    found = run.read(history)
    assert (history.pages, found.kept, found.faults) == (1, 1, {})


@pytest.mark.parametrize("messages", [1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_all_is_read_once_in_whole_pages(messages):
    run = Run(messages, "all")
    run.notes.messages.stay("c", 1, 1, 0)
    history = History(run.said)
    history.down = 1
    found = run.read(history)
    assert history.pages - 1 == -(-messages // PAGE)
    assert np.frombuffer(run.notes.messages.facts().stored[0], dtype=np.int64).size == messages
    # the last one was shown nowhere, though its conversation is on a desk
    assert found.faults == {"lost": 1}


@pytest.mark.parametrize("gone", [0, 5, PAGE, 2 * PAGE])
def test_what_is_missing_in_the_history_is_lost(gone):
    run = Run(2 * PAGE + 50, "all")
    run.notes.messages.stay("c", 1, 1, 0)
    said = run.said[:gone] + run.said[gone + 1 :]
    found = run.read(History(said))
    assert found.lost == 2
    assert found.mishaps >= 1
    assert f"k-0-{gone}: not in the history" in " ".join(found.examples["lost"])


def test_a_conversation_that_is_on_another_desk_than_its_record_says_is_found():
    run = Run(2, "all")
    run.notes.messages.stay("c", 1, 1, 0)
    assert run.read(History(run.said, holder="bob")).held_elsewhere == 1
    assert run.read(History(run.said, holder="somebody else")).held_elsewhere == 1
