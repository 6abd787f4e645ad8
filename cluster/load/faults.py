"""What is done to a system while it is under load: deaths, stops, cut networks, storms of reconnecting sockets.

Here they are only said: in a scenario's file, or on the command line as ``router@30s``, ``gateway:1@40s:5s`` and
``visitors:2000@60s``.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from cluster.load.quantities import Duration

#: What can be struck; ``router`` is any one of them, ``router:2`` a certain one.
TARGETS = ("router", "gateway", "dispatcher", "outbox", "store", "ingress", "intent", "supervisor")
_TARGET = rf"^({'|'.join(TARGETS)})(:\d+)?$"
Target = Annotated[str, Meta(pattern=_TARGET, description=f"{', '.join(TARGETS)}, or a certain one such as router:0")]
_STORM = re.compile(r"(?P<who>visitors|desks|all)(?::(?P<count>\d+))?@(?P<at>[^:@]+)(?::(?P<within>[^:@]+))?")
_ON_COMMAND = re.compile(r"(?P<target>[a-z]+(?::\d+)?)@(?P<at>[^:@]+)(?::(?P<lasts>[^:@]+))?")


class _Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all faults have.

    Args:
        at_s: when, from the begin of the run.
    """

    at_s: Duration = field(name="at")


class Kill(_Fault, frozen=True, kw_only=True, tag="kill"):
    """A process dies at once, as by SIGKILL."""

    target: Target


class Pause(_Fault, frozen=True, kw_only=True, tag="pause"):
    """A process stands still for a time, as by SIGSTOP, and goes on."""

    target: Target
    lasts_s: Duration = field(name="lasts")


class Cut(_Fault, frozen=True, kw_only=True, tag="cut"):
    """A process can be reached by nobody for a time."""

    target: Target
    lasts_s: Duration = field(name="lasts")


class Storm(_Fault, frozen=True, kw_only=True, tag="storm"):
    """Many sockets are gone at once, as when a mobile network fails, and all come back.

    Args:
        who: whose.
        count: how many; 0 = all.
        within_s: over which time they break.
    """

    who: Literal["visitors", "desks", "all"] = "visitors"
    count: Annotated[int, Meta(ge=0)] = 0
    within_s: Duration = field(name="within", default=Duration(1.0))


Fault = Kill | Pause | Cut | Storm


def parse_fault(kind: Literal["kill", "pause", "cut"], text: str) -> Fault:
    """Read what the command line says: ``target@when`` or ``target@when:how long``.

    Raises:
        ValueError: it says something else; names the option and the part.
    """
    form = "target@when" if kind == "kill" else "target@when:how-long"
    found = _ON_COMMAND.fullmatch(text.strip())
    if found is None or (found["lasts"] is None) != (kind == "kill"):
        example = "router@30s" if kind == "kill" else "gateway@40s:5s"
        raise ValueError(f"--{kind}: found {text!r}; allowed: {form}, such as {example}")
    if not re.match(_TARGET, found["target"]):
        raise ValueError(f"--{kind}: found target {found['target']!r}; allowed: {', '.join(TARGETS)}, or router:0")
    try:
        at_s = Duration.parse(found["at"])
        if kind == "kill":
            return Kill(target=found["target"], at_s=at_s)
        lasts_s = Duration.parse(found["lasts"])
    except ValueError as error:
        raise ValueError(f"--{kind}: found {text!r}; allowed for its times: {error}") from None
    make = Pause if kind == "pause" else Cut
    return make(target=found["target"], at_s=at_s, lasts_s=lasts_s)


def parse_storm(text: str) -> Storm:
    """Read what the command line says: ``who@when``, with ``:how many`` and ``:within`` where they are wanted.

    Raises:
        ValueError: it says something else.
    """
    found = _STORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"--storm: found {text!r}; allowed: visitors, desks or all, then how many and when, such as "
            "visitors:2000@60s or all@60s:5s"
        )
    try:
        at_s, within_s = Duration.parse(found["at"]), Duration.parse(found["within"] or "1s")
    except ValueError as error:
        raise ValueError(f"--storm: found {text!r}; allowed for its times: {error}") from None
    who: Literal["visitors", "desks", "all"] = found["who"]  # type: ignore[assignment]
    return Storm(who=who, count=int(found["count"] or 0), at_s=at_s, within_s=within_s)
