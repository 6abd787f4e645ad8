"""What is done to a system while it is under load: deaths, stops, cut networks, storms of reconnecting sockets.

Here they are only said: in a scenario's file, or on the command line as ``router@30s``, ``gateway:1@40s:5s``,
``store@20s`` and ``visitors:2000@60s``.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from cluster.load.scenario.quantities import Duration

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


class Rewrite(_Fault, frozen=True, kw_only=True, tag="rewrite"):
    """The store writes its log anew, as it does by itself whenever the log has doubled: a core is busy meanwhile."""

    target: Literal["store"] = "store"


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


Fault = Kill | Pause | Cut | Rewrite | Storm
#: What the command line may say of a process: an option, and an example of its text.
_EXAMPLES = {"kill": "router@30s", "pause": "gateway@40s:5s", "cut": "gateway@40s:5s", "rewrite": "store@20s"}
_AT_ONCE = ("kill", "rewrite")


def parse_fault(kind: Literal["kill", "pause", "cut", "rewrite"], text: str) -> Fault:
    """Read what the command line says: ``target@when`` or ``target@when:how long``.

    Raises:
        ValueError: it says something else; names the option and the part.
    """
    form = "target@when" if kind in _AT_ONCE else "target@when:how-long"
    found = _ON_COMMAND.fullmatch(text.strip())
    if found is None or (found["lasts"] is None) != (kind in _AT_ONCE):
        raise ValueError(f"--{kind}: found {text!r}; allowed: {form}, such as {_EXAMPLES[kind]}")
    target = found["target"]
    allowed = ("store",) if kind == "rewrite" else TARGETS
    if not re.match(_TARGET, target) or target.partition(":")[0] not in allowed:
        words = "store" if kind == "rewrite" else f"{', '.join(TARGETS)}, or router:0"
        raise ValueError(f"--{kind}: found target {target!r}; allowed: {words}")
    try:
        at_s = Duration.parse(found["at"])
        lasts_s = Duration(0.0) if kind in _AT_ONCE else Duration.parse(found["lasts"])
    except ValueError as error:
        raise ValueError(f"--{kind}: found {text!r}; allowed for its times: {error}") from None
    match kind:
        case "kill":
            return Kill(target=target, at_s=at_s)
        case "rewrite":
            return Rewrite(at_s=at_s)
        case "pause":
            return Pause(target=target, at_s=at_s, lasts_s=lasts_s)
        case "cut":
            return Cut(target=target, at_s=at_s, lasts_s=lasts_s)


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
