"""Every kind of process is killed under load, one after the other, and no message is lost, doubled or reordered.

Real Ray, real Valkey, real sockets, real SIGKILL. The audit compares what was sent, what was confirmed, what
is stored and what the desks showed, id by id, and prints its table (``pytest -s``, or with the failure).
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import pytest
import uvloop

from tests.chaos.audit import Audit, Findings, Kill, longest_silence_s, longest_wait_s
from tests.chaos.traffic import CONFIG, Traffic, read_back
from tests.running import RunningSystem, wait_until

MOST_SILENCE_S = 5.0
_BACK_WITHIN_S = 40.0
#: Of the columns of the report.
_WIDE = (12, 8, 16, 8, 8)


@pytest.mark.system
@pytest.mark.timeout(300)
def test_no_message_is_lost_when_every_kind_of_process_dies():
    """The short one: all five deaths within about a minute."""
    _judge(*_run(rate=500, visitors=40, routers=2, warm_up_s=3.0, between_s=8.0))


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_no_message_is_lost_at_two_thousand_messages_a_second():
    _judge(*_run(rate=2_000, visitors=100, routers=1, warm_up_s=5.0, between_s=15.0))


def _run(
    *, rate: float, visitors: int, routers: int, warm_up_s: float, between_s: float
) -> tuple[Traffic, list[Kill], Findings]:
    system = RunningSystem(CONFIG | {"router": {"count": routers}}, gateways=2)
    try:
        system.start()
        traffic, kills = uvloop.run(_live_through(system, rate, visitors, (warm_up_s, between_s)))
        stored, held = read_back(system)
    finally:
        system.remove()
    return traffic, kills, Audit(traffic.ledger, stored, held).run()


async def _live_through(
    system: RunningSystem, rate: float, visitors: int, seconds: tuple[float, float]
) -> tuple[Traffic, list[Kill]]:
    warm_up_s, between_s = seconds
    traffic = Traffic(system, rate=rate, visitors=visitors)
    kills: list[Kill] = []
    try:
        await traffic.start()
        await asyncio.sleep(warm_up_s)
        for what, pid_of in _victims(system).items():
            kills.append(await asyncio.to_thread(_kill, what, pid_of))
            await asyncio.sleep(max(0.0, kills[-1].at_s + between_s - time.monotonic()))
        await traffic.finish()
    finally:
        await traffic.aclose()
    return traffic, kills


def _victims(system: RunningSystem) -> dict[str, Callable[[], set[int]]]:
    def only(find: Callable[[], int | None]) -> Callable[[], set[int]]:
        return lambda: {pid} if (pid := find()) is not None else set()

    return {
        "router": only(lambda: system.pid_of("router", "0")),
        "dispatcher": only(lambda: system.pid_of("dispatcher", "dispatcher")),
        "gateway": only(lambda: system.pid_of("gateway", "0")),
        "ingress replica": lambda: set(system.pids_of_ingress()),
        "valkey-server": only(system.pid_of_store),
    }


def _kill(what: str, pids: Callable[[], set[int]]) -> Kill:
    """Kill a process the hard way, and wait until a new one of its kind is there."""
    before = wait_until(pids, _BACK_WITHIN_S, f"a {what} to kill")
    os.kill(min(before), signal.SIGKILL)
    died_at = time.monotonic()
    wait_until(lambda: pids() - before, _BACK_WITHIN_S, f"another {what}")
    return Kill(what, died_at, time.monotonic() - died_at)


def _judge(traffic: Traffic, kills: list[Kill], found: Findings) -> None:
    silences = _silences(traffic, kills)
    print(_report(traffic, kills, silences, found))
    assert not found.faults
    assert found.accepted == found.delivered == found.written
    assert len(kills) == 5
    assert {what: silence for what, silence in silences.items() if silence >= MOST_SILENCE_S} == {}
    assert _newly_offered(traffic, kills) > 0, "no conversation that began after the dispatcher's death was offered"


def _stretches(traffic: Traffic, kills: list[Kill]) -> list[tuple[Kill, float]]:
    ends = [*(kill.at_s for kill in kills[1:]), traffic.ended_s]
    return list(zip(kills, ends, strict=True))


def _silences(traffic: Traffic, kills: list[Kill]) -> dict[str, float]:
    shown_at = traffic.ledger.shown_at
    return {kill.what: longest_silence_s(shown_at, kill.at_s, end) for kill, end in _stretches(traffic, kills)}


def _newly_offered(traffic: Traffic, kills: list[Kill]) -> int:
    """Count contacts whose first message was due after the dispatcher's death, before the next one, and was shown."""
    (since, until) = next((kill.at_s, end) for kill, end in _stretches(traffic, kills) if kill.what == "dispatcher")
    ledger = traffic.ledger
    firsts = (sources[0] for sources in ledger.written.values())
    return sum(since < ledger.due[first] < until and first in ledger.first_shown for first in firsts)


def _report(traffic: Traffic, kills: list[Kill], silences: dict[str, float], found: Findings) -> str:
    lasted_s = traffic.ended_s - traffic.began_s
    lines = [
        f"\n{traffic.rate:,.0f} messages/s for {lasted_s:.0f} s, {traffic.connects} sessions opened, "
        f"{traffic.ledger.duplicates} repetitions recognised, "
        f"the generator at most {traffic.worst_lag_s * 1e3:.0f} ms late",
        f"  refused and sent again: {dict(traffic.ledger.refused) or 'nothing'}",
        found.table(),
        "\n  SIGKILL             back after   silence   receipt: socket      HTTP     offer   (each the longest)",
    ]
    waits = _waits(traffic)
    for kill, end in _stretches(traffic, kills):
        spans = [kill.back_after_s, silences[kill.what], *(longest_wait_s(*wait, kill.at_s, end) for wait in waits)]
        lines.append(
            f"  {kill.what:<16}" + "".join(f"{span:>{wide}.2f} s" for span, wide in zip(spans, _WIDE, strict=True))
        )
    return "\n".join(lines)


def _waits(traffic: Traffic) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Return since when and until when each of them waited: sockets and HTTP for receipts, new contacts for a desk."""
    ledger = traffic.ledger
    by_socket = {source_id: due for source_id, due in ledger.due.items() if source_id.startswith("web")}
    by_http = {source_id: due for source_id, due in ledger.due.items() if source_id not in by_socket}
    firsts = [sources[0] for sources in ledger.written.values()]
    stored = {first: ledger.confirmed_at[first] for first in firsts if first in ledger.confirmed_at}
    return [(by_socket, ledger.confirmed_at), (by_http, ledger.confirmed_at), (stored, ledger.first_shown)]
