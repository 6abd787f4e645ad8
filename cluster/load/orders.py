"""What a generator is told to do, what it tells while it does it, and what it hands in at the end.

These values are the whole contract between whoever conducts a run and its generators; they cross processes.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np

from cluster.load.scenario.faults import Storm
from cluster.load.scenario.tables import Channel, Scenario
from cluster.load.truth.facts import Facts
from cluster.load.truth.recorder import Measured, percentile_of_wide_ms

#: Sockets that one generator or gateway holds at most: a process has 20,000 descriptors on a common machine, and needs
#: some itself.
MOST_SOCKETS = 15_000


class AgentLogin(msgspec.Struct, frozen=True, kw_only=True):
    """An agent; agent *n* of the list belongs to generator ``n % generators``.

    Args:
        name: as it logs in.
        password: with which it logs in.
        token: one that it has already; the generator logs in where it is empty.
    """

    name: str
    password: str = ""
    token: str = ""


class WebhookAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor knows of an account, and needs to call its webhook; as WeChat has it.

    Args:
        path: of the webhook, such as ``/v1/channels/wechat/service``.
        token, app_id, encoding_aes_key: the secrets that both sides share.
        mode: ``aes`` or ``plain``.
        api: ``host:port`` at which generator 0 answers as the vendor's API, which the inbox's ``api_base`` must
            name; empty: agents' answers go elsewhere and are not seen.
    """

    path: str
    token: str
    app_id: str
    encoding_aes_key: str = ""
    mode: str = "aes"
    api: str = ""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one generator must know.

    Args:
        run: name of the run, as `cluster/load/truth/message_ids.py` wants it.
        scenario: what happens; its faults are not the generator's.
        generator, generators: its number, from 0, and of how many.
        base: URL of the system's HTTP door.
        account: in which all happens.
        inboxes: channel -> its inbox; ``rest`` and ``bulk`` have the channel ``api``.
        agents: of the whole run, in one order for all generators.
        key: an API key of a backend; needed for ``rest``, ``bulk``, links, and reading back.
        webhook: needed for ``wechat``.
        addresses: source addresses of the loopback for its sockets, each good for some 28,000; 0: the default one,
            as for systems on other hosts.
        target: ``raydesk``, or ``module:Class`` of another system's adapter (`cluster/load/targets/target.py`).
        window: 0: the open model. Else each web writer keeps so many messages unconfirmed while the phases last,
            whatever their rates; its latencies mean nothing then.
    """

    run: str
    scenario: Scenario
    generator: int = 0
    generators: int = 1
    base: str
    account: str
    inboxes: dict[Channel, str]
    agents: tuple[AgentLogin, ...]
    key: str = ""
    webhook: WebhookAccount | None = None
    addresses: int = 0
    target: str = "raydesk"
    window: int = 0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How often something happened.

    Args:
        offered: messages that were due.
        sent: left for the first time.
        accepted: receipts.
        refused: errors, of each attempt.
        shown: messages pushed to desks.
        answers: agents' answers pushed to visitors.
    """

    offered: int = 0
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    shown: int = 0
    answers: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How a generator fares, for the table that people watch; no figure of the report is made of it.

    Args:
        generator: which.
        at_s: since the begin; negative before.
        total: since the begin.
        second: of the last whole second.
        sockets: open, with their session.
        connecting: on their way, or waiting for it.
        unanswered: messages that have neither a receipt nor a refusal.
        lag_p99_ms: of the last whole second, by how much messages left too late.
        cpu: of the last whole second, share of a core.
        recent: how often each latency to a desk was seen in the last 5 seconds, by the wide buckets of
            `cluster/load/truth/recorder.py`; see `recent_percentile_ms`.
        failure: why the generator cannot go on, in words; empty: it can.
    """

    generator: int
    at_s: float
    total: Counts = Counts()
    second: Counts = Counts()
    sockets: int = 0
    connecting: int = 0
    unanswered: int = 0
    lag_p99_ms: float = 0.0
    cpu: float = 0.0
    recent: bytes = b""
    failure: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a generator hands in.

    Args:
        messages: what contacts wrote and desks showed; writers are those of `cluster/load/scenario/people.py`,
            readers agents.
        answers: what agents wrote and visitors showed; writers are agents, readers are writers of ``messages``.
        measured: latencies and rates.
        sockets: that were open when the load began.
        nowhere: keys of messages that a vendor was told are taken, not where; `cluster/load/run/draining.py` finds out.
        at_vendor: answers that reached a vendor: key, and reader with kind as in `Facts.shown`; the same.
        refusals: how often each error was told, by its name.
    """

    messages: Facts
    answers: Facts
    measured: Measured
    sockets: int
    nowhere: bytes = b""
    at_vendor: tuple[bytes, bytes] = (b"", b"")
    refusals: dict[str, int] = msgspec.field(default_factory=dict[str, int])


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a generator knows, in the drain, of messages and answers; bits stand by writer and number.

    Args:
        shown: of each ledger (messages, answers), writer -> one bit for each number that was shown here.
        unanswered: own messages and answers without receipt or refusal, and messages that are still to be sent.
        moved: grows with everything that happens.
    """

    shown: tuple[dict[int, bytes], dict[int, bytes]]
    unanswered: int
    moved: int


class Generates(Protocol):
    """A generator, here or in a process of its own; `cluster/load/run/draining.py` ends a run of several."""

    async def connect(self) -> None:
        """Open every socket, at the scenario's rate, with desks online and links made.

        Raises:
            CannotGenerate: says what failed.
        """
        ...

    async def begin(self, begin_at: float) -> None:
        """Start at a wall-clock time, the same one for all generators; returns at once."""
        ...

    async def progress(self) -> Progress:
        """Tell how it fares."""
        ...

    async def storm(self, storm: Storm, seed: int) -> float | None:
        """Break the sockets that a storm hits here; returns after how many seconds all were back, None: not all."""
        ...

    async def standing(self) -> Standing:
        """Tell what was shown here, for the drain."""
        ...

    async def unshown(self, shown: tuple[dict[int, bytes], dict[int, bytes]]) -> int:
        """Count own messages and answers that have a receipt and are not among what was shown anywhere."""
        ...

    async def finish(self, shown: tuple[dict[int, bytes], dict[int, bytes]]) -> Outcome:
        """Hand in everything, once; reads back what has a receipt and was shown nowhere.

        Args:
            shown: over all generators, of each ledger.
        """
        ...

    async def aclose(self) -> None:
        """Close every socket; safe twice."""
        ...


class CannotGenerate(Exception):
    """A generator that cannot do what it was told; says what was found and what is needed."""

    def __init__(self, reason: str) -> None:
        """Keep the one line; it is positional, so that the error crosses Ray."""
        super().__init__(reason)
        self.reason = reason


def recent_percentile_ms(parts: Sequence[Progress], percentile: float) -> float | None:
    """Return a percentile of the last seconds over all generators, to 2 %; None where nothing was shown."""
    tables = [np.frombuffer(part.recent, dtype=np.int32) for part in parts if part.recent]
    if not tables:
        return None
    return percentile_of_wide_ms(np.sum(tables, axis=0), percentile)


def sockets_of(orders: Orders) -> int:
    """Return how many sockets a generator will hold."""
    scenario = orders.scenario
    groups = (scenario.writers_on("web"), scenario.visitors.idle, len(orders.agents))
    return sum(len(range(orders.generator, group, orders.generators)) for group in groups)
