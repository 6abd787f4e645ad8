"""What a system uses while it is under load, seen from beside it: processors, memory, the kernel's, batch sizes.

Once a second every process is looked at, the generators and the machine among them. A process that dies and one that
takes its place have one line in the report, as they have one name. What a look itself costs, some milliseconds, is in
the line of the process that conducts.
"""

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil

from cluster.load.report.parts import BatchSizes, ProcessUse, StageTime
from cluster.load.run.strikes import Population

_SOCKSTAT, _CPUINFO = Path("/proc/net/sockstat"), Path("/proc/cpuinfo")
_PAGE_MB = 4096 / 1e6
_MEGA = 1e6
#: Names of lines that are no processes.
MACHINE = "the whole machine"
KERNEL = "sockets in the kernel"
#: Stages that are sizes of batches; a process tells them in thousandths of millionths.
_SIZE = "_size_1e-6"
_BEFORE = float("-inf")
_Reports = Mapping[str, Mapping[str, Any]]
_NOTHING: Mapping[str, Any] = {}


class Memory(NamedTuple):
    """Memory in use, in megabytes; see `SocketCost`."""

    gateways_mb: float
    kernel_mb: float | None
    machine_mb: float


class _Line:
    """One line of the report: a process, or those that had its name one after the other."""

    def __init__(self) -> None:
        self.at_s: list[float] = []
        self.cpu: list[float] = []
        self.memory_mb: list[float] = []
        self.process: psutil.Process | None = None
        self.used_s = 0.0
        self.looked_s = 0.0

    def note(self, at_s: float, cpu: float, memory_mb: float) -> None:
        """Add one look."""
        self.at_s.append(round(at_s, 3))
        self.cpu.append(round(cpu, 4))
        self.memory_mb.append(round(memory_mb, 2))

    def look(self, pid: int, at_s: float) -> None:
        """Look at the process; the first look at it only begins to count."""
        now_s = time.monotonic()
        try:
            if self.process is None or self.process.pid != pid or not self.process.is_running():
                self.process = psutil.Process(pid)
                self.used_s, self.looked_s = _used_s(self.process), now_s
                return
            used_s = _used_s(self.process)
            memory_mb = self.process.memory_info().rss / _MEGA
        except psutil.Error:
            self.process = None
            return
        self.note(at_s, (used_s - self.used_s) / max(now_s - self.looked_s, 1e-3), memory_mb)
        self.used_s, self.looked_s = used_s, now_s


class Observer:
    """Looks at a system; all calls block for milliseconds.

    Args:
        population: its processes; None: it cannot be looked into, and only the machine is.
        others: name -> process id of what is not of the system: generators, relays, this process.
    """

    def __init__(self, population: Population | None, others: Mapping[str, int]) -> None:
        self._population = population
        self._others = dict(others)
        self._lines: dict[str, _Line] = {}
        #: second of the run -> what processes told at the first look from then on; and before the run.
        self._told: dict[float, dict[str, dict[str, Any]]] = {}
        self._to_keep: list[float] = []
        self._busy = psutil.cpu_times()
        self._busy_at_s = time.monotonic()

    def begin(self, marks: Sequence[float] = ()) -> None:
        """Remember what the system had counted before the run.

        Args:
            marks: seconds of the run at which it is to be remembered too, for `passes`.
        """
        self._told = {_BEFORE: self._reports()}
        self._to_keep = sorted(set(marks))

    def look(self, at_s: float) -> None:
        """Look once, at a time since the begin of the run; a look before it begins counts for nothing."""
        if self._to_keep and at_s >= self._to_keep[0]:
            reports = self._reports()
            while self._to_keep and at_s >= self._to_keep[0]:
                self._told[self._to_keep.pop(0)] = reports
        found = self._population.all() if self._population else []
        for each in found:
            self._line(each.name).look(each.pid, at_s)
        for name, pid in self._others.items():
            self._line(name).look(pid, at_s)
        self._look_at_machine(at_s)

    def memory(self) -> Memory:
        """Return what is in use now."""
        found = self._population.all() if self._population else []
        gateways = sum(_resident_mb(each.pid) for each in found if each.name.startswith("gateway:"))
        pages = kernel_pages(_text(_SOCKSTAT))
        machine = psutil.virtual_memory()
        kernel_mb = None if pages is None else pages * _PAGE_MB
        return Memory(gateways, kernel_mb, (machine.total - machine.available) / _MEGA)

    def uses(self) -> list[ProcessUse]:
        """Return what every process used."""
        return [
            ProcessUse(name=name, at_s=line.at_s, cpu=line.cpu, memory_mb=line.memory_mb)
            for name, line in self._lines.items()
            if line.at_s
        ]

    def shares(self, begin_s: float, end_s: float) -> dict[str, float]:
        """Return the mean share of a core that each process used between two times of the run."""
        found: dict[str, float] = {}
        for name, line in self._lines.items():
            used = [cpu for at_s, cpu in zip(line.at_s, line.cpu, strict=True) if begin_s < at_s <= end_s]
            if used and name not in (MACHINE, KERNEL):
                found[name] = sum(used) / len(used)
        return found

    def batches(self) -> list[BatchSizes]:
        """Return how many messages shared a pass since `begin`, as the system counts; percentiles since its start."""
        return _compared(self._told.get(_BEFORE, {}), self._reports())[0]

    def passes(self, begin_s: float, end_s: float) -> tuple[list[BatchSizes], list[StageTime]]:
        """Return the batches, and the times of the stages, between two of the marks; nothing of what was not seen."""
        if begin_s not in self._told or end_s not in self._told:
            return [], []
        batches, stages = _compared(self._told[begin_s], self._told[end_s])
        # the percentiles that processes tell are those since their start
        return [msgspec.structs.replace(each, p50=None, p99=None) for each in batches], stages

    def _reports(self) -> dict[str, dict[str, Any]]:
        return self._population.reports() if self._population else {}

    def _line(self, name: str) -> _Line:
        return self._lines.setdefault(name, _Line())

    def _look_at_machine(self, at_s: float) -> None:
        busy, now_s = psutil.cpu_times(), time.monotonic()
        idle_s = (busy.idle - self._busy.idle) + (getattr(busy, "iowait", 0.0) - getattr(self._busy, "iowait", 0.0))
        cores = max((psutil.cpu_count() or 1) - idle_s / max(now_s - self._busy_at_s, 1e-3), 0.0)
        self._busy, self._busy_at_s = busy, now_s
        memory = psutil.virtual_memory()
        self._line(MACHINE).note(at_s, cores, (memory.total - memory.available) / _MEGA)
        if (pages := kernel_pages(_text(_SOCKSTAT))) is not None:
            self._line(KERNEL).note(at_s, 0.0, pages * _PAGE_MB)


def kernel_pages(sockstat: str) -> int | None:
    """Return the pages that the kernel's TCP buffers take, by ``/proc/net/sockstat``; None: it does not say."""
    for line in sockstat.splitlines():
        if line.startswith("TCP:"):
            words = line.split()
            return int(words[words.index("mem") + 1]) if "mem" in words else None
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _resident_mb(pid: int) -> float:
    try:
        return psutil.Process(pid).memory_info().rss / _MEGA
    except psutil.Error:
        return 0.0


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _compared(before: _Reports, after: _Reports) -> tuple[list[BatchSizes], list[StageTime]]:
    """Return what happened between two reports of each process; of one that took another's place, since its start."""
    batches: list[BatchSizes] = []
    stages: list[StageTime] = []
    for name, report in sorted(after.items()):
        old: Mapping[str, Any] = before.get(name, _NOTHING)
        if old.get("pid") != report["pid"]:
            old = _NOTHING
        batches += _lane(name, old, report)
        for stage, now in report.get("stages", {}).items():
            then = old.get("stages", {}).get(stage, {"n": 0, "sum_ms": 0.0})
            if (passes := now["n"] - then["n"]) <= 0:
                continue
            where, mean = f"{name}: {stage.removesuffix(_SIZE)}", (now["sum_ms"] - then["sum_ms"]) / passes
            if stage.endswith(_SIZE):
                p50, p99 = now["p50_ms"] * 1e3, now["p99_ms"] * 1e3
                batches.append(BatchSizes(where=where, batches=passes, mean=mean * 1e3, p50=p50, p99=p99))
            else:
                stages.append(StageTime(where=where, passes=passes, mean_ms=round(mean, 4)))
    return batches, stages


def _lane(name: str, before: Mapping[str, Any], report: Mapping[str, Any]) -> list[BatchSizes]:
    """Return how many commands of a gateway shared a call to a router."""
    batches = report.get("batches", 0) - before.get("batches", 0)
    if batches <= 0:
        return []
    mean = (report["batched"] - before.get("batched", 0)) / batches
    return [BatchSizes(where=f"{name}: call to a router", batches=batches, mean=mean)]


def machine() -> Sequence[str]:
    """Say what machine this is, a line for each thing that a reader must know."""
    memory = psutil.virtual_memory()
    return [
        f"{_processor()}, {psutil.cpu_count()} logical cores",
        f"{memory.total / 2**30:.0f} GiB of memory",
        f"{platform.system()} {platform.release()} on {platform.machine()}",
        f"Python {sys.version.split()[0]}",
    ]


def _processor() -> str:
    for line in _text(_CPUINFO).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "a processor without a name"
