"""The parts of a report that are seen from beside the system: processes, batches, stages, faults, phases."""

import msgspec


class ProcessUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a process used; the lists have the same length.

    Args:
        at_s: when, since the begin of the run.
        cpu: share of one core.
        memory_mb: resident memory.
    """

    name: str
    at_s: list[float]
    cpu: list[float]
    memory_mb: list[float]


class BatchSizes(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages shared one pass, as the system itself counts; None: of that it keeps no distribution."""

    where: str
    batches: int
    mean: float
    p50: float | None = None
    p99: float | None = None


class SocketCost(msgspec.Struct, frozen=True, kw_only=True):
    """What it took to open the run's sockets: memory afterwards less memory before, of all of them together.

    Args:
        count: how many.
        took_s: until all were open, with log-ins and links.
        gateways_mb: resident memory of the gateways.
        kernel_mb: the kernel's TCP buffers, of both ends; None: it does not say.
        machine_mb: memory in use on the whole machine, generators and all else that happened meanwhile included.
    """

    count: int
    took_s: float
    gateways_mb: float
    kernel_mb: float | None
    machine_mb: float


class FaultSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was done.

    Args:
        kind: ``kill``, ``pause``, ``cut``, ``rewrite`` or ``storm``.
        what: in words.
        at_s: when.
        back_s: after how long all was as before; None: it was not, or nobody could tell.
        replaced_s: after a kill, how long until another process was there; None: there was none.
        silence_s: the longest time in which any one desk was told nothing, from this fault to the next one.
    """

    kind: str
    what: str
    at_s: float
    back_s: float | None = None
    replaced_s: float | None = None
    silence_s: float = 0.0


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader must know to repeat the run.

    Args:
        scenario: its name.
        about: what it proves.
        command: that ran it.
        started_at: when, ISO 8601.
        machine: in words, one line each: processor, memory, system, versions.
        target: what was driven.
        due_s: how long messages were due.
        warm_up_s: of them, not timed.
        sockets: the most that were open at once.
    """

    scenario: str
    about: str
    command: str
    started_at: str
    machine: list[str]
    target: str
    due_s: float
    warm_up_s: float
    sockets: int


class StageTime(msgspec.Struct, frozen=True, kw_only=True):
    """How long one stage of a process took, as the process itself counts."""

    where: str
    passes: int
    mean_ms: float


class PhaseSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of the scenario, its first seconds left out; so each rate has figures of its own.

    Args:
        name: in words: the rate, and what was done to the system meanwhile.
        begin_s, end_s: the seconds of the run that are meant.
        offered, accepted, shown, refused: messages a second.
        percentiles: ``p50`` and so on to the desk, in milliseconds, to 2 %; empty: nothing was shown.
        used_us: process -> its processor time in microseconds, for each message shown.
        batches, stages: as the processes themselves counted meanwhile, to a second.
    """

    name: str
    begin_s: int
    end_s: int
    offered: float
    accepted: float
    shown: float
    refused: float
    percentiles: dict[str, float]
    used_us: dict[str, float]
    batches: list[BatchSizes]
    stages: list[StageTime]


class System(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of the system from beside it."""

    processes: list[ProcessUse] = msgspec.field(default_factory=list[ProcessUse])
    batches: list[BatchSizes] = msgspec.field(default_factory=list[BatchSizes])
    faults: list[FaultSeen] = msgspec.field(default_factory=list[FaultSeen])
    sockets: SocketCost | None = None
    phases: list[PhaseSeen] = msgspec.field(default_factory=list[PhaseSeen])
