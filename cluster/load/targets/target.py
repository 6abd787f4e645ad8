"""The seam between the harness and the system under load: what a client can do there, and what it hears back.

`raydesk` is one target (`cluster/load/targets/raydesk.py`); another system is driven by a class that keeps these
protocols, named as ``module:Class`` and made with the run's `Orders`.

What a target promises to the harness:

* a link is one connection; it is told open before all else, and told lost once, whatever ended it;
* what a link hears comes in the order in which the system sent it, in the event loop's own thread;
* nothing is repeated and nothing is reconnected behind the harness' back: both are its clients' to decide.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from cluster.load.orders import AgentLogin, CannotGenerate, Orders
from cluster.load.targets.said import Held, Receipt, Record, Refusal, Said, Written


class HearsVisitor(Protocol):
    """What a visitor's client is told."""

    def on_open(self, link: "VisitorLink", cursor: str) -> None:
        """The link is open; ``cursor`` is the id of the newest message, empty where there is none."""
        ...

    def on_receipt(self, number: int, receipt: Receipt) -> None:
        """A message is stored."""
        ...

    def on_refused(self, number: int, refusal: Refusal) -> None:
        """A message was answered with an error."""
        ...

    def on_said(self, said: Said) -> None:
        """Something was pushed."""
        ...

    def on_missed(self, messages: Sequence[Said], *, fresh: bool) -> None:
        """Messages came together, in order: what follows the cursor, or all that is to be shown (``fresh``)."""
        ...

    def on_lost(self) -> None:
        """The link is gone."""
        ...


class VisitorLink(Protocol):
    """An open connection of a visitor."""

    def send(self, messages: Sequence[Written]) -> None:
        """Send messages in one write, in order; nothing on a link that is gone."""
        ...

    def ack(self, cursor: str) -> None:
        """Confirm what was seen, up to a message."""
        ...

    def ping(self) -> None:
        """Send a heartbeat."""
        ...

    def drop(self) -> None:
        """Break it, as a network does that fails: nobody says good-bye. `on_lost` follows."""
        ...


class HearsAgent(Protocol):
    """What a desk's client is told."""

    def on_open(self, link: "AgentLink") -> None:
        """The link is open."""
        ...

    def on_entry(self, cursor: int) -> None:
        """An entry of the desk's log begins; what follows is part of it."""
        ...

    def on_snapshot(self, cursor: int, held: Sequence[Held]) -> None:
        """All that the desk knew is replaced."""
        ...

    def on_offered(self, held: Held) -> None:
        """A conversation comes."""
        ...

    def on_said(self, said: Said) -> None:
        """A message of a conversation that the desk has is pushed."""
        ...

    def on_removed(self, conversation: Record, *, by_time: bool) -> None:
        """A conversation goes; ``by_time``: an offer that nobody took, or an agent who was not there for too long."""
        ...

    def on_page(self, conversation: str, before: int, messages: Sequence[Said]) -> None:
        """A page of history that was asked for."""
        ...

    def on_receipt(self, number: int, receipt: Receipt) -> None:
        """An answer is stored."""
        ...

    def on_refused(self, number: int, refusal: Refusal) -> None:
        """An answer was answered with an error."""
        ...

    def on_undone(self, action: str, conversation: str, refusal: Refusal) -> None:
        """Something else was answered with an error; ``action`` is the name of the link's method."""
        ...

    def on_lost(self) -> None:
        """The link is gone."""
        ...


class AgentLink(Protocol):
    """An open desk; what cannot be done there is told to `HearsAgent`, never raised."""

    def accept(self, conversation: str) -> None:
        """Take what was offered; systems that offer nothing do nothing."""
        ...

    def decline(self, conversation: str) -> None:
        """Turn down what was offered."""
        ...

    def answer(self, conversation: str, written: Written) -> None:
        """Say something; told by `HearsAgent.on_receipt` or `HearsAgent.on_refused`."""
        ...

    def typing(self, conversation: str) -> None:
        """Show that one types."""
        ...

    def transfer(self, conversation: str, to_agent: str) -> None:
        """Hand a conversation to a colleague."""
        ...

    def resolve(self, conversation: str) -> None:
        """Say that it is done."""
        ...

    def presence(self, *, online: bool) -> None:
        """Go away, or come back."""
        ...

    def read_back(self, conversation: str, before: int, limit: int) -> None:
        """Ask for the messages before a number; `HearsAgent.on_page` follows."""
        ...

    def ack(self, cursor: int) -> None:
        """Confirm what was shown."""
        ...

    def ping(self) -> None:
        """Send a heartbeat."""
        ...

    def drop(self) -> None:
        """Break it, as a network does that fails. `HearsAgent.on_lost` follows."""
        ...


class Target(Protocol):
    """A system under load, as one generator sees it; made with the generator's `Orders`."""

    async def start(self) -> None:
        """Get ready.

        Raises:
            CannotGenerate: the system is not there, or not as the orders say.
        """
        ...

    async def visitor(self, writer: int, hears: HearsVisitor, cursor: str | None) -> None:
        """Open a visitor's link and hand it to who hears; the same writer is the same person each time.

        Args:
            writer: its number; idle visitors have negative ones.
            hears: what comes.
            cursor: ``<conversation>-<seq>`` of the newest message seen; None: for the first time.

        Raises:
            OSError, TimeoutError: it could not be opened; worth trying again.
            CursorLost: the cursor is not known; worth trying again without one.
            CannotGenerate: it cannot be opened at all.
        """
        ...

    async def agent(self, login: AgentLogin, hears: HearsAgent, cursor: int | None) -> None:
        """Open an agent's desk, online the first time, and hand its link to who hears.

        Args:
            login: whose.
            hears: what comes.
            cursor: the newest entry seen; None: for the first time.

        Raises:
            OSError, TimeoutError: it could not be opened; worth trying again.
            CursorLost: the cursor is not known; worth trying again without one.
            CannotGenerate: it cannot be opened at all.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything; safe twice."""
        ...


def target_of(orders: Orders) -> Target:
    """Make the target that the orders name.

    Raises:
        CannotGenerate: there is none of that name.
    """
    name = "cluster.load.targets.raydesk:Raydesk" if orders.target == "raydesk" else orders.target
    module, _, kind = name.partition(":")
    try:
        return cast("Target", getattr(import_module(module), kind)(orders))
    except (ImportError, AttributeError, ValueError) as error:
        form = "raydesk, or module:Class of a class that can be imported"
        raise CannotGenerate(f"target: found {orders.target!r} ({error}); allowed: {form}") from None
