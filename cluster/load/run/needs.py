"""What a scenario needs of a system's settings: to start one that has it, and to say plainly what another one lacks.

A limit that is there to keep one client from taking all would throttle a load, which stands for many clients with a
few addresses and keys; then the figures would be those of the limit. What is needed is counted for the worst second
of the scenario and doubled, as chance bunches messages.
"""

import math
import os
import secrets
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, NamedTuple

from cluster.load.orders import MOST_SOCKETS
from cluster.load.scenario.faults import Storm
from cluster.load.scenario.people import People
from cluster.load.scenario.tables import Scenario
from cluster.settings import Settings

#: WeChat's key has letters and digits alone.
_LETTERS_ONLY = str.maketrans("+/", "pS")
#: How much more than the mean of its busiest second one client may send.
_BUNCHED = 2.0
#: Frames a second that a desk sends beside its answers: acks, acceptances, pings.
_DESK_FRAMES = 10
#: After a break a client sends again what it had no answer to, all at once.
_UNANSWERED_S = 3


class Need(NamedTuple):
    """A setting that must be at least so large.

    Args:
        section, name: of the setting.
        least: smallest value that will do.
        reason: in words, after "since".
    """

    section: str
    name: str
    least: int
    reason: str


def peak_rate(scenario: Scenario) -> float:
    """Return the highest rate of a scenario, in messages a second."""
    return max(max(piece.begin, piece.end) for phase in scenario.phases for piece in phase.pieces())


def sockets(scenario: Scenario) -> int:
    """Return how many sockets a scenario holds."""
    return scenario.visitors.count + scenario.visitors.idle + scenario.desks.agents


def channels(scenario: Scenario) -> list[str]:
    """Return the kinds of inbox that a scenario needs."""
    visitors = scenario.visitors.count + scenario.visitors.idle
    needed = {
        "web": bool(visitors),
        "wechat": bool(scenario.contacts.wechat),
        "api": bool(scenario.contacts.rest or scenario.contacts.bulk),
    }
    return [channel for channel, is_needed in needed.items() if is_needed]


def needs(scenario: Scenario) -> list[Need]:
    """List what numbers a scenario needs, whatever the system has already."""
    return [*_clients(scenario), *_visits(scenario)]


def _clients(scenario: Scenario) -> Iterator[Need]:
    peak = peak_rate(scenario)
    share = {channel: scenario.mix.of(channel) for channel in ("web", "wechat", "rest", "bulk")}
    whole = sum(share.values())
    frames = [_DESK_FRAMES + peak * scenario.desks.answer_share / max(scenario.desks.agents, 1)]
    if scenario.visitors.count:
        frames.append(peak * share["web"] / whole / scenario.visitors.count)
    rate = math.ceil(max(frames) * _BUNCHED)
    yield Need("limits", "socket_rate", rate, f"a socket sends up to {max(frames):,.0f} frames/s")
    # at the begin a desk is offered all that it may hold at once, and accepts one by one
    each = math.ceil(_BUNCHED * People(scenario).count / max(scenario.desks.agents, 1))
    burst = rate * _UNANSWERED_S + min(each, scenario.desks.capacity)
    yield Need("limits", "socket_burst", burst, "a client that was cut off sends all at once what has no answer")
    by_key = peak * (share["rest"] + share["bulk"]) / whole
    if by_key:
        yield Need("limits", "key_rate", math.ceil(by_key * _BUNCHED), f"one key sends {by_key:,.0f} messages/s")
        yield Need("limits", "key_burst", math.ceil(by_key * _UNANSWERED_S), "one key sends for all contacts")
    if scenario.contacts.bulk:
        yield Need("limits", "bulk_lines", scenario.contacts.bulk_lines, "so many lines go in one call")


def _visits(scenario: Scenario) -> Iterator[Need]:
    visitors = scenario.visitors.count + scenario.visitors.idle
    storms = [fault.count or visitors for fault in scenario.faults if isinstance(fault, Storm)]
    again = max(storms, default=0)
    # the visitors of a gateway that dies come back within seconds, from a few addresses
    a_minute = max(min(visitors, math.ceil(60 * scenario.visitors.connect_rate)), again, visitors // 2) + again
    yield Need("limits", "connects_per_minute", max(a_minute, 1), f"{visitors:,} visitors connect from few addresses")
    yield Need("limits", "logins_per_minute", scenario.desks.agents, "so many agents log in from few addresses")
    held = math.ceil(sockets(scenario) / MOST_SOCKETS)
    yield Need("gateway", "count", held, f"a gateway has descriptors for some {MOST_SOCKETS:,} sockets")


def lacking(scenario: Scenario, settings: Settings) -> list[Need]:
    """List the needs that a system's settings do not meet."""
    return [need for need in needs(scenario) if getattr(getattr(settings, need.section), need.name) < need.least]


def disagreements(scenario: Scenario, settings: Settings, account: str) -> list[str]:
    """List, each in a line with what to change, why a running system cannot be driven by a scenario.

    Args:
        scenario: that is to run.
        settings: of the system.
        account: that the load belongs to.
    """
    problems = [
        f"{need.section}.{need.name}: found {getattr(getattr(settings, need.section), need.name):,}; "
        f"needed at least {need.least:,}, since {need.reason}"
        for need in lacking(scenario, settings)
    ]
    problems += _inbox_problems(scenario, settings, account)
    if settings.bot.enabled != scenario.system.bot:
        found, wanted = str(settings.bot.enabled).lower(), str(scenario.system.bot).lower()
        problems.append(f"bot.enabled: found {found}; the scenario says [system] bot = {wanted}")
    return problems


def inboxes_of(settings: Settings, account: str) -> dict[str, str]:
    """Return, of each kind of inbox that an account has, one by its name."""
    found: dict[str, str] = {}
    for name, inbox in sorted(settings.inboxes.items(), reverse=True):
        if inbox.account == account:
            found[inbox.channel] = name
    return found


def _inbox_problems(scenario: Scenario, settings: Settings, account: str) -> Iterator[str]:
    found = inboxes_of(settings, account)
    for channel in channels(scenario):
        if channel not in found:
            yield f"inboxes: found none of account {account!r} for channel {channel!r}; the scenario writes on one"
    if "wechat" not in channels(scenario) or "wechat" not in found:
        return
    inbox = settings.inboxes[found["wechat"]]
    if not inbox.api_base.startswith(("http://127.", "http://localhost")):
        # or what invented agents answer would go to real people
        yield (
            f"inboxes.{found['wechat']}.api_base: found {inbox.api_base}; allowed: an address of this machine, where "
            "the load stands in for the vendor"
        )


def changes(scenario: Scenario, settings: Settings, account: str) -> dict[str, Any]:
    """Return the tables of the config file that would make a system fit a scenario, secrets of inboxes left out."""
    tables: dict[str, Any] = {}
    for need in lacking(scenario, settings):
        tables.setdefault(need.section, {})[need.name] = need.least
    if settings.bot.enabled != scenario.system.bot:
        tables["bot"] = {"enabled": scenario.system.bot}
    missing = [channel for channel in channels(scenario) if channel not in inboxes_of(settings, account)]
    if missing:
        tables["inboxes"] = {f"load-{channel}": {"account": account, "channel": channel} for channel in missing}
    return tables


def fitting(scenario: Scenario, account: str, vendor_port: int) -> dict[str, Any]:
    """Return the settings of a system that is started for a scenario, without its own ports and folders.

    Args:
        scenario: that is to run.
        account: that the load belongs to.
        vendor_port: where the load stands in for WeChat's API.
    """
    tables: dict[str, Any] = {"accounts": {account: {}}}
    default = Settings()
    for need in needs(scenario):
        least = max(need.least, getattr(getattr(default, need.section), need.name))
        tables.setdefault(need.section, {})[need.name] = least
    parts = scenario.system
    half = max((os.cpu_count() or 1) // 2, 1)
    tables["gateway"]["count"] = parts.gateways or max(tables["gateway"]["count"], half)
    if parts.routers:
        tables["router"] = {"count": parts.routers}
    tables["limits"]["sockets_per_address"] = max(sockets(scenario) + MOST_SOCKETS, 2_000)
    tables["intent"] = {"enabled": parts.bot}
    tables["bot"] = {"enabled": parts.bot}
    tables["inboxes"] = {f"load-{channel}": {"account": account, "channel": channel} for channel in channels(scenario)}
    if "load-wechat" in tables["inboxes"]:
        tables["inboxes"]["load-wechat"] |= {
            "app_id": "wx" + secrets.token_hex(8),
            "token": secrets.token_hex(16),
            "app_secret": secrets.token_hex(16),
            "encoding_aes_key": b64encode(secrets.token_bytes(32)).decode().rstrip("=").translate(_LETTERS_ONLY),
            "api_base": f"http://127.0.0.1:{vendor_port}",
        }
    return tables
