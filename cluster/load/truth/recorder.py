"""What a generator measures: latency of each stage from the intended time, and all rates by the second.

A message counts from the moment at which it was *due*, whatever held it up, the generator included; so a stall
cannot hide itself by sending less (coordinated omission). What was due in the warm-up is in the curves over time
and in no percentile.

The stages: ``lag`` from due to sent (the generator's own lateness), ``receipt`` to the receipt, ``refusal`` to the
error, ``desk`` to the desk, ``answer`` from an agent's intended answer to the visitor, ``connect`` of a socket; and
``reach``, ``route``, ``push``: from sent to received, numbered, and shown, by the times that the message carries.
``silence`` is none of a message: the time in which one desk was told nothing, noted when it ends.

On the hot path a measurement is two integers appended to an array. `Recorder.fold`, once a second, counts them.
"""

from array import array
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from cluster.load.truth.bottleneck import GeneratorLoad, Limits
from cluster.load.truth.latencies import Latencies, Micros

#: Buckets of a second's own latencies: 16 for each doubling, so 2 % to either side.
_PER_OCTAVE = 16
_OCTAVES = 31
WIDE_BUCKETS = _PER_OCTAVE * _OCTAVES
#: What is counted by the second. ``offered`` and ``refused`` by the second in which a message was due, the others
#: by that in which it happened.
Rate = Literal["offered", "sent", "accepted", "shown", "refused", "resent", "answered", "connected"]
RATES: tuple[Rate, ...] = ("offered", "sent", "accepted", "shown", "refused", "resent", "answered", "connected")

Table = npt.NDArray[np.int64]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A recorder as it is sent; to be merged with `merged`.

    Args:
        warm_up_s: what is in no percentile.
        stages: stage -> HdrHistogram, encoded.
        sums: stage -> sum of the latencies, and the longest, in microseconds.
        seconds: how many seconds the tables have.
        rates: rate -> its count in each second.
        by_second: stage -> table of seconds by `WIDE_BUCKETS`.
        longest: stage -> the longest latency in microseconds of each second.
        generators: how each fared.
    """

    warm_up_s: float
    stages: dict[str, bytes]
    sums: dict[str, tuple[int, int]]
    seconds: int
    rates: dict[str, bytes]
    by_second: dict[str, bytes]
    longest: dict[str, bytes]
    generators: list[GeneratorLoad]


class Recorder:
    """One generator's, or the whole run's.

    Args:
        warm_up_s: what is in no percentile.
        lasts_s: of the run with its drain; what happens later counts in the last second.
        followed: the stages whose latency is kept by the second too.
    """

    def __init__(self, warm_up_s: float, lasts_s: float, followed: Sequence[str] = ("desk", "silence")) -> None:
        self.warm_up_s = warm_up_s
        self.seconds = max(int(np.ceil(lasts_s)), 1)
        self.stages: dict[str, Latencies] = {}
        self.generators: list[GeneratorLoad] = []
        self._pending: dict[str, tuple[array[int], array[int]]] = {}
        self._counted: dict[str, array[int]] = {rate: array("q") for rate in RATES}
        self._rates: dict[str, Table] = {rate: np.zeros(self.seconds, dtype=np.int64) for rate in RATES}
        self._by_second: dict[str, Table] = {
            stage: np.zeros((self.seconds, WIDE_BUCKETS), dtype=np.int64) for stage in followed
        }
        self._longest: dict[str, Table] = {stage: np.zeros(self.seconds, dtype=np.int64) for stage in followed}
        self._late = 0
        self._cpu: list[float] = []

    # -- while it runs

    def record(self, stage: str, due_us: int, latency_us: int) -> None:
        """Note how long a message took to a stage.

        Args:
            stage: which.
            due_us: when it was due, since the begin of the run.
            latency_us: from then.
        """
        pending = self._pending.get(stage)
        if pending is None:
            pending = self._pending[stage] = (array("q"), array("q"))
        pending[0].append(due_us)
        pending[1].append(latency_us)

    def count(self, rate: Rate, at_us: int) -> None:
        """Note that something happened once, at a time since the begin of the run."""
        self._counted[rate].append(at_us)

    def record_all(self, stage: str, due_us: Micros, latency_us: Micros) -> None:
        """Note how long each of many messages took to a stage; cheaper than one by one."""
        if len(due_us):
            self._fold_stage(stage, due_us, latency_us)

    def count_all(self, rate: Rate, at_us: Micros) -> None:
        """Note that something happened at each of many times."""
        self._add(rate, at_us)

    def offer(self, due_s: npt.NDArray[np.float64]) -> None:
        """Note that all messages of a window are due."""
        self._add("offered", (due_s * 1e6).astype(np.int64))

    def cpu(self, at_s: float, share: float) -> None:
        """Note which share of a core the generator used in the last second."""
        if at_s >= self.warm_up_s:
            self._cpu.append(share)

    def fold(self) -> None:
        """Count what was noted; to be called each second, and before anything is read."""
        for stage, (due, latency) in self._pending.items():
            self._fold_stage(stage, _taken(due), _taken(latency))
        for rate, counted in self._counted.items():
            self._add(rate, _taken(counted))

    def _fold_stage(self, stage: str, due_us: Micros, latency_us: Micros) -> None:
        timed = due_us >= self.warm_up_s * 1e6
        self.stages.setdefault(stage, Latencies()).add(latency_us[timed])
        if stage == "lag":
            self._late += int((latency_us[timed] > Limits().late_ms * 1e3).sum())
        if stage in self._by_second:
            second = self._second(due_us)
            np.add.at(self._by_second[stage], (second, _wide(latency_us)), 1)
            np.maximum.at(self._longest[stage], second, latency_us)

    def _add(self, rate: str, at_us: Micros) -> None:
        self._rates[rate] += np.bincount(self._second(at_us), minlength=self.seconds)

    def _second(self, at_us: Micros) -> Micros:
        return np.clip(at_us // 1_000_000, 0, self.seconds - 1)

    # -- afterwards

    def finish(self, name: str) -> None:
        """Close a generator's own books; once."""
        self.fold()
        lag = self.stages.get("lag", Latencies())
        due = int(self._rates["offered"][int(np.ceil(self.warm_up_s)) :].sum())
        self.generators.append(
            GeneratorLoad(
                name=name,
                due=due,
                late=self._late + max(due - lag.count, 0),
                lag_p99_ms=lag.percentiles_us([99])[0] / 1e3,
                worst_lag_ms=lag.longest_us / 1e3,
                cpu=self._cpu,
            )
        )

    def rate(self, rate: Rate) -> Table:
        """Return how often it happened in each second."""
        return self._rates[rate]

    def recent(self, stage: str, until_s: float, seconds: int) -> bytes:
        """Return how often each wide bucket was seen for what was due in the last so many seconds."""
        last = min(max(int(until_s), 0), self.seconds - 1)
        return self._by_second[stage][max(last - seconds, 0) : last + 1].sum(axis=0).astype(np.int32).tobytes()

    def percentile_between_ms(self, stage: str, percentile: float, begin: int, end: int) -> float | None:
        """Return a percentile of what was due in some seconds, to 2 %; None where nothing was."""
        return percentile_of_wide_ms(self._by_second[stage][begin:end].sum(axis=0), percentile)

    def percentile_by_second_ms(self, stage: str, percentile: float) -> list[float | None]:
        """Return a percentile of what was due in each second, to 2 %; None where nothing was."""
        table = self._by_second[stage]
        until = np.cumsum(table, axis=1)
        total = until[:, -1]
        wanted = np.maximum(np.ceil(total * percentile / 100), 1)
        buckets = (until >= wanted[:, None]).argmax(axis=1)
        middle_ms = 2 ** ((buckets + 0.5) / _PER_OCTAVE) / 1e3
        highest_ms = self._longest[stage] / 1e3
        return [
            min(float(value), float(most)) if some else None
            for value, most, some in zip(middle_ms, highest_ms, total, strict=True)
        ]

    def longest_by_second_ms(self, stage: str) -> list[float | None]:
        """Return the longest latency of what was due in each second; None where nothing was."""
        counts = self._by_second[stage].sum(axis=1).tolist()
        longest_us = self._longest[stage].tolist()
        return [value / 1e3 if count else None for value, count in zip(longest_us, counts, strict=True)]

    def longest_between_ms(self, stage: str, begin_s: float, end_s: float) -> float:
        """Return the longest latency of what was due between two times, by whole seconds; 0 where nothing was."""
        seconds = self._longest[stage][max(int(begin_s), 0) : max(int(np.ceil(end_s)), 0)]
        return float(seconds.max(initial=0)) / 1e3

    def measured(self) -> Measured:
        """Return all that was counted."""
        self.fold()
        return Measured(
            warm_up_s=self.warm_up_s,
            stages={stage: found.encode() for stage, found in self.stages.items()},
            sums={stage: (found.sum_us, found.longest_us) for stage, found in self.stages.items()},
            seconds=self.seconds,
            rates={rate: table.tobytes() for rate, table in self._rates.items()},
            by_second={stage: table.astype(np.int32).tobytes() for stage, table in self._by_second.items()},
            longest={stage: table.tobytes() for stage, table in self._longest.items()},
            generators=self.generators,
        )

    @classmethod
    def merged(cls, parts: Sequence[Measured]) -> "Recorder":
        """Return what all generators of a run measured.

        Args:
            parts: at least one, of one run.

        Raises:
            ValueError: they are of different lengths.
        """
        first = parts[0]
        if len({(part.seconds, part.warm_up_s, tuple(part.by_second)) for part in parts}) != 1:
            raise ValueError("measurements of different runs")
        whole = cls(first.warm_up_s, first.seconds, tuple(first.by_second))
        for part in parts:
            whole._take(part)
        return whole

    def _take(self, part: Measured) -> None:
        for stage, encoded in part.stages.items():
            sum_us, longest_us = part.sums[stage]
            decoded = Latencies.decode(encoded, sum_us, longest_us)
            self.stages.setdefault(stage, Latencies()).merge(decoded)
        for rate, data in part.rates.items():
            self._rates[rate] += np.frombuffer(data, dtype=np.int64)
        for stage, data in part.by_second.items():
            self._by_second[stage] += np.frombuffer(data, dtype=np.int32).reshape(self.seconds, WIDE_BUCKETS)
            np.maximum(
                self._longest[stage], np.frombuffer(part.longest[stage], dtype=np.int64), out=self._longest[stage]
            )
        self.generators += part.generators


def percentile_of_wide_ms(counts: npt.NDArray[np.integer[Any]], percentile: float) -> float | None:
    """Return a percentile of counts by wide bucket, to 2 %; None where there are none."""
    until = np.cumsum(counts, dtype=np.int64)
    if not until[-1]:
        return None
    bucket = int(np.searchsorted(until, max(int(np.ceil(int(until[-1]) * percentile / 100)), 1)))
    return float(2 ** ((bucket + 0.5) / _PER_OCTAVE) / 1e3)


def _taken(column: "array[int]") -> Micros:
    """Return what a column holds, and empty it."""
    found = np.array(column, dtype=np.int64)
    del column[:]
    return found


def _wide(latency_us: Micros) -> Micros:
    """Return the wide bucket of each latency."""
    return np.minimum(
        (np.log2(np.maximum(latency_us, 1).astype(np.float64)) * _PER_OCTAVE).astype(np.int64), WIDE_BUCKETS - 1
    )
