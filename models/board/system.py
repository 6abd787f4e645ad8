"""How a system's processes do, put together from what each tells of itself (`cluster.telemetry`).

The system serves all accounts, so these numbers are not of one of them. Counts go back to the start of the process
that tells them; a process that died took what it had counted along, so ``since_ms`` says how far back they go.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from models.board.buckets import added, percentile

#: kind of process -> what each of them tells.
Told = Mapping[str, Sequence[Mapping[str, Any]]]
#: The stages whose times are shown: of which process, and under which name it tells them.
_STAGES = (("router", "stored"), ("router", "turn"), ("router", "append"), ("router", "understand"))


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took in the last minute or two, in all processes together."""

    stage: Annotated[
        str,
        Meta(
            description="`stored`: from a gateway or the ingress to the store, of the first of each batch; `turn`: a "
            "round of a router; `append`: its write to the store; `understand`: a call of the intent model."
        ),
    ]
    n: Annotated[int, Meta(description="How many were measured.")]
    p50_ms: Annotated[float, Meta(description="Half took no longer, in milliseconds, to an eighth.")]
    p95_ms: Annotated[float, Meta(description="95 of 100 took no longer.")]
    p99_ms: Annotated[float, Meta(description="99 of 100 took no longer.")]


class Losses(msgspec.Struct, frozen=True, kw_only=True):
    """What the system knows of messages that went wrong; each number is of something that was looked at."""

    checked: Annotated[int, Meta(description="Messages of open conversations whose numbers were looked at just now.")]
    missing: Annotated[int, Meta(description="Numbers among them without a message: lost after their receipt.")]
    refused: Annotated[
        int, Meta(description="Calls of sockets that were refused at once, as too many waited for a router.")
    ]
    unknown: Annotated[int, Meta(description="Writes that failed or got no answer, and were tried again.")]
    duplicates: Annotated[int, Meta(description="Messages that came twice and were taken once.")]
    repaired: Annotated[int, Meta(description="Conversations that the dispatcher found changed without word of it.")]


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """Answers on their way to vendors."""

    state: Annotated[str, Meta(description="Of the outbox: `running`, `starting`, `broken`; empty: none is there.")]
    queued: Annotated[int, Meta(description="Answers that wait to be sent.")]
    sent: Annotated[int, Meta(description="Answers that vendors took.")]
    failed: Annotated[int, Meta(description="Answers that were given up.")]
    retried: Annotated[int, Meta(description="Attempts that failed and were made again.")]


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of one kind."""

    kind: Annotated[str, Meta(description="`router`, `gateway`, `dispatcher`, `outbox`, `intent`.")]
    alive: Annotated[int, Meta(description="How many tell that they live.")]
    planned: Annotated[int, Meta(description="How many there should be.")]


class System(msgspec.Struct, frozen=True, kw_only=True):
    """How the system does."""

    latencies: Annotated[list[Latency], Meta(description="Of the stages that were passed lately.")]
    losses: Losses
    channels: Channels
    processes: list[Process]
    sockets: Annotated[int, Meta(description="Open sockets of visitors and desks.")]
    desks: Annotated[int, Meta(description="Agents with an open desk.")]
    since_ms: Annotated[int | None, Meta(description="Since when the counts of all processes count; null: none told.")]


def system_of(told: Told, planned: Mapping[str, int], *, checked: int, missing: int) -> System:
    """Put together what the processes tell.

    Args:
        told: by kind.
        planned: kind -> how many there should be.
        checked, missing: messages that were looked for, and those that were not there.
    """
    nobody: Mapping[str, Any] = {}
    outbox = next(iter(told.get("outbox", ())), nobody)
    gateways = told.get("gateway", ())
    everyone = [about for kind in told.values() for about in kind]
    counts = _sums(told.get("router", ()))
    started = [float(about["started_at"]) for about in everyone if "started_at" in about]
    return System(
        latencies=_latencies(told),
        losses=Losses(
            checked=checked,
            missing=missing,
            refused=sum(about.get("refused", 0) for about in gateways),
            unknown=counts.get("turns_failed", 0),
            duplicates=counts.get("duplicates", 0),
            repaired=sum(_repaired(about) for about in told.get("dispatcher", ())),
        ),
        channels=Channels(
            state=outbox.get("state", ""),
            **{name: outbox.get(name, 0) for name in ("queued", "sent", "failed", "retried")},
        ),
        processes=[
            Process(kind=kind, alive=len(told.get(kind, ())), planned=number) for kind, number in planned.items()
        ],
        sockets=sum(about.get("sockets", 0) for about in gateways),
        desks=sum(about.get("desks", 0) for about in gateways),
        since_ms=int(max(started) * 1000) if started else None,
    )


def _repaired(about: Mapping[str, Any]) -> int:
    accounts = cast("dict[str, dict[str, Any]]", about.get("accounts", {}))
    return sum(int(account.get("repaired", 0)) for account in accounts.values())


def _sums(told: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for about in told:
        for name, count in cast("dict[str, int]", about.get("counts", {})).items():
            total[name] = total.get(name, 0) + count
    return total


def _latencies(told: Told) -> list[Latency]:
    found: list[Latency] = []
    for kind, stage in _STAGES:
        lately = [cast("dict[str, dict[str, int]]", about.get("lately", {})) for about in told.get(kind, ())]
        counts = added({int(bucket): n for bucket, n in each.get(stage, {}).items()} for each in lately)
        p50, p95, p99 = (percentile(counts, percent) for percent in (50, 95, 99))
        if p50 is None or p95 is None or p99 is None:
            continue
        n = sum(counts.values())
        found.append(Latency(stage=stage, n=n, p50_ms=p50 / 1e3, p95_ms=p95 / 1e3, p99_ms=p99 / 1e3))
    return found
