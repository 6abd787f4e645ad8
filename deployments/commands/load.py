"""``raydesk load``: drives a system with a scenario, shows how it goes, and writes the report.

The exit status tells a script: 0 passed, 1 failed, 2 it could not be run, 3 the run measured its own generators.
"""

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis
import tomli_w
from rich.console import Console

from cluster.load.orders import CannotGenerate
from cluster.load.report.knee import knee_page
from cluster.load.report.page import page
from cluster.load.report.parts import Setting
from cluster.load.report.report import Report, make_report
from cluster.load.run.conductor import Moment, Ran
from cluster.load.run.crew import Ray
from cluster.load.run.knee import Times, walk
from cluster.load.run.needs import changes, fitting, peak_rate
from cluster.load.run.observer import machine
from cluster.load.run.preparation import Preparation
from cluster.load.run.relay import Relays
from cluster.load.run.rig import Rig, Site, run_name, strangers
from cluster.load.run.strikes import Population
from cluster.load.scenario.checks import check
from cluster.load.scenario.errors import ScenarioError
from cluster.load.scenario.expect import InvalidExpectation
from cluster.load.scenario.faults import Cut, Fault
from cluster.load.scenario.phases import Steady
from cluster.load.scenario.quantities import Duration, Rate
from cluster.load.scenario.scenario import load_scenario
from cluster.load.scenario.tables import Scenario
from cluster.settings import Settings, SettingsError, load_settings
from cluster.store.embedded import EmbeddedStore, StoreError
from deployments.commands import boot
from deployments.commands.failure import CommandError
from deployments.commands.load_table import LiveTable
from deployments.commands.load_words import knee_lines, summary
from deployments.commands.own_system import OwnSystem, free_ports
from deployments.commands.readiness import store_client

PASSED, FAILED, CANNOT_RUN, INVALID = 0, 1, 2, 3
_STATUS = {"passed": PASSED, "failed": FAILED, "invalid": INVALID}
#: Where relays listen: another address of the loopback than the system's, so that ports are the same.
_RELAY_HOST = "127.0.7.1"
#: What the knee of any machine is below, for the limits of a system that is started to find it.
_BEYOND_ANY_KNEE = 100_000.0
_ACCOUNT = "load"
#: Adapters that are shipped, by the names that they go by.
_TARGETS = {"valkey-relay": "cluster.load.targets.valkey:ValkeyRelay"}


_Work = Callable[[], Coroutine[Any, Any, int]]


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What the command line asked for.

    Args:
        scenario: its name or file.
        config: of the system that runs; None: as other commands find it.
        url: of its HTTP door; empty: by the settings.
        start: start a system of its own.
        generators: how many; 0: as the scenario asks for.
        rate, lasts: instead of the phases one steady one; empty: the scenario's.
        faults: beside the scenario's.
        expect: beside the scenario's.
        seed, warm_up: instead of the scenario's; None and empty: the scenario's.
        out: folder of the report.
        find_knee: find the limit instead.
        closed: keep each writer's window full instead of the rate; the phases say only how long.
        window: unconfirmed messages of each writer in a closed loop, the knee's among them.
        target: what is driven.
        ray_address: of the Ray for the generators; empty: one of their own.
        command: as it was typed.
    """

    scenario: str
    config: Path | None = None
    url: str = ""
    start: bool = False
    generators: int = 0
    rate: str = ""
    lasts: str = ""
    faults: tuple[Fault, ...] = ()
    expect: str = ""
    seed: int | None = None
    warm_up: str = ""
    out: Path = Path("load-report")
    find_knee: bool = False
    closed: bool = False
    window: int = 40
    target: str = "raydesk"
    ray_address: str = ""
    command: str = "raydesk load"


def run_load(plan: LoadPlan) -> int:
    """Run what was asked for, and return the exit status."""
    try:
        scenario = composed(plan)
        with ExitStack() as stack:
            return _Run(plan, scenario, stack).run()
    except (CannotGenerate, ScenarioError, CommandError, StoreError, InvalidExpectation) as error:
        print(str(error), file=sys.stderr)
    except SettingsError as error:
        print("The settings are not right:\n" + "\n".join(f"  {each}" for each in error.problems), file=sys.stderr)
    return CANNOT_RUN


def composed(plan: LoadPlan) -> Scenario:
    """Return the scenario with what the command line changes.

    Raises:
        ScenarioError: it cannot be run so.
    """
    # other processes, which stand elsewhere, read the files that it names
    file = Path(plan.scenario)
    scenario = load_scenario(str(file.absolute()) if file.is_file() else plan.scenario)
    changed: dict[str, object] = {}
    try:
        if plan.rate or plan.lasts:
            scenario = _steady(scenario, plan.rate, plan.lasts)
        if plan.warm_up:
            changed["warm_up_s"] = Duration.parse(plan.warm_up)
    except ValueError as error:
        given = " ".join(filter(None, (plan.rate, plan.lasts, plan.warm_up)))
        raise ScenarioError(f"--rate, --for, --warm-up: found {given}; allowed: {error}") from None
    if plan.seed is not None:
        changed["seed"] = plan.seed
    changed["faults"] = (*scenario.faults, *plan.faults)
    changed["expect"] = ",".join(filter(None, (scenario.expect, plan.expect)))
    whole = msgspec.structs.replace(scenario, **changed)
    check(whole, plan.scenario)
    return whole


def _steady(scenario: Scenario, rate: str, lasts: str) -> Scenario:
    """Return a scenario with one steady phase; faults that would come after it are left out.

    Raises:
        ValueError: one of the two cannot be read.
    """
    per_s = Rate.parse(rate) if rate else Rate(peak_rate(scenario))
    lasts_s = Duration.parse(lasts) if lasts else Duration(scenario.lasts_s)
    faults = tuple(fault for fault in scenario.faults if fault.at_s < lasts_s)
    return msgspec.structs.replace(scenario, phases=(Steady(rate=per_s, lasts_s=lasts_s),), faults=faults)


class _Run:
    """One command, from the system to the report."""

    def __init__(self, plan: LoadPlan, scenario: Scenario, stack: ExitStack) -> None:
        self._plan = plan
        self._scenario = scenario
        self._stack = stack
        self._out = plan.out.absolute()
        self._console = Console()
        self._settings: Settings | None = None
        self._own: OwnSystem | None = None
        self._relays: Relays | None = None

    def run(self) -> int:
        """Run it."""
        raydesk = self._plan.target == "raydesk"
        if raydesk and not self._plan.start:
            # a config file is looked for where one stands
            self._settings = load_settings(self._plan.config, create_secrets=False)
        boot.stand_in_project()
        # an end by SIGTERM is as orderly as one by Ctrl-C
        _take_sigterm()
        self._out.mkdir(parents=True, exist_ok=True)
        site_of = self._raydesk() if raydesk else self._foreign()
        ray = Ray(self._plan.ray_address, self._messages())
        self._stack.callback(ray.close)
        ray.start()
        _take_sigterm()
        return asyncio.run(site_of())

    def _messages(self) -> int:
        return round(sum(p.lasts_s * (p.begin + p.end) / 2 for phase in self._scenario.phases for p in phase.pieces()))

    # -- the system

    def _foreign(self) -> _Work:
        base, target = self._plan.url, _TARGETS.get(self._plan.target, self._plan.target)
        also: dict[str, int] = {}
        if self._plan.start and self._plan.target == "valkey-relay":
            base, also = self._started_relay()
        if not base:
            raise CommandError(f"--target {self._plan.target}: say with --url where it is.")

        async def work() -> int:
            prepared = strangers(self._scenario, base)
            return await self._drive(Site(prepared, target=target, local=_is_local(base), also=also))

        return work

    def _started_relay(self) -> tuple[str, dict[str, int]]:
        """Start a Valkey in a folder of its own; returns its URL, and its process."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rd-")))
        store = EmbeddedStore(folder)
        self._stack.callback(store.stop)
        store.start()
        with redis.Redis(unix_socket_path=str(store.socket)) as client:
            server: Any = client.info("server")
        return store.url, {"valkey": int(server["process_id"])}

    def _raydesk(self) -> _Work:
        settings = self._settings or self._started()
        account = _ACCOUNT if self._plan.start else next(iter(settings.accounts))
        host = settings.http.host if self._relays is None else _RELAY_HOST
        base = self._plan.url or f"http://{host}:{settings.http.port}"
        client = self._stack.enter_context(store_client(settings))

        async def work() -> int:
            problems = changes(self._scenario, settings, account)
            preparation = Preparation(settings, self._scenario, run_name(), account, base)
            async with preparation:
                try:
                    prepared = await preparation.start()
                except CannotGenerate as error:
                    raise CannotGenerate(_with_changes(str(error), problems)) from None
                site = Site(
                    prepared,
                    Population(client),
                    self._relays.pids if self._relays else {},
                    local=_is_local(base),
                    also={"raydesk up": self._own.pid} if self._own and self._own.pid else {},
                )
                return await self._drive(site, preparation)

        return work

    def _started(self) -> Settings:
        """Start a system of the load's own, with relays where something is to be cut."""
        scenario = self._scenario
        if self._plan.find_knee or self._plan.closed:
            steady = (Steady(rate=Rate(_BEYOND_ANY_KNEE), lasts_s=Duration(60)),)
            scenario = msgspec.structs.replace(scenario, phases=steady)
        tables = fitting(scenario, _ACCOUNT, free_ports(1))
        cuts = any(isinstance(fault, Cut) for fault in self._scenario.faults)
        if cuts:
            tables["gateway"]["public_url"] = f"ws://{_RELAY_HOST}:{{port}}"
        own = self._own = OwnSystem(tables, gateways=tables["gateway"]["count"])
        self._stack.callback(own.remove)
        print(f"starting a system in {own.folder} ...", flush=True)
        own.start()
        settings = own.settings
        if cuts:
            gateways = {f"gateway:{index}": settings.gateway.port + index for index in range(settings.gateway.count)}
            self._relays = Relays(_RELAY_HOST, "127.0.0.1", {"ingress": settings.http.port, **gateways})
            self._stack.callback(self._relays.close)
            self._relays.start()
        return settings

    # -- the work

    async def _drive(self, site: Site, preparation: Preparation | None = None) -> int:
        rig = Rig(site, self._plan.generators)
        if self._plan.find_knee:
            return await self._find_knee(rig, site, preparation)
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        with LiveTable(self._console, self._plan.scenario, self._scenario.lasts_s) as tell:
            window = self._plan.window if self._plan.closed else 0
            ran = await rig.run(self._scenario, run_name(), window=window, tell=tell)
        report = make_report(
            self._setting(site, ran.sockets, started_at), ran.recorder, ran.audited, ran.system, self._scenario.expect
        )
        self._write(report)
        if preparation is not None and self._own is None:
            await preparation.resolve(ran.conversations)
        for each in summary(report):
            print(each)
        print(f"report: {self._out / 'report.html'}, {self._out / 'report.json'}")
        return _STATUS[report.verdict]

    async def _find_knee(self, rig: Rig, site: Site, preparation: Preparation | None) -> int:
        async def run(scenario: Scenario, window: int, what: str) -> Ran:
            with LiveTable(self._console, what, scenario.lasts_s) as tell:
                ran = await rig.run(scenario, run_name(), window=window, tell=_worded(what, tell))
            if preparation is not None:
                # the next run's conversations need the desks' room
                await preparation.resolve(ran.conversations)
            return ran

        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        times = Times()
        if self._plan.lasts:
            at_s = float(Duration.parse(self._plan.lasts))
            times = Times(closed=at_s, step=at_s, before=max(at_s / 2, 4.0), at=at_s, after=max(at_s, 8.0))
        knee = await walk(self._scenario, run, window=self._plan.window, times=times)
        setting = self._setting(site, 0, started_at)
        found = msgspec.json.encode({"setting": setting, "knee": knee})
        (self._out / "knee.json").write_bytes(msgspec.json.format(found, indent=1))
        (self._out / "knee.html").write_text(knee_page(setting, knee), encoding="utf-8")
        for each in knee_lines(knee):
            print(each)
        print(f"report: {self._out / 'knee.html'}, {self._out / 'knee.json'}")
        if knee.invalid or any(row.invalid for row in knee.rows if row.share <= 1):
            return INVALID
        return FAILED if not knee.rows or any(row.faults for row in knee.rows) else PASSED

    def _setting(self, site: Site, sockets: int, started_at: str) -> Setting:
        return Setting(
            scenario=Path(self._plan.scenario).stem,
            about=self._scenario.about,
            command=self._plan.command,
            started_at=started_at,
            machine=list(machine()),
            target=site.prepared.base if site.target == "raydesk" else f"{site.target} at {site.prepared.base}",
            due_s=self._scenario.lasts_s,
            warm_up_s=float(self._scenario.warm_up_s),
            sockets=sockets,
        )

    def _write(self, report: Report) -> None:
        (self._out / "report.json").write_bytes(report.encode())
        (self._out / "report.html").write_text(page(report), encoding="utf-8")


def _with_changes(problem: str, tables: dict[str, object]) -> str:
    if not tables:
        return problem
    return (
        f"{problem}\n\nThese settings would do (stop the system, change its config file, start it again; or let "
        f"`raydesk load --start` start one that has them):\n\n{tomli_w.dumps(tables)}"
    )


def _worded(what: str, tell: Callable[[Moment], None]) -> Callable[[Moment], None]:
    return lambda moment: tell(moment._replace(phase=f"{what}: {moment.phase}"))


def _is_local(url: str) -> bool:
    """Tell whether a URL names this machine, by the loopback or a socket of the file system."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "unix" or host == "localhost" or host.startswith("127.")


def _take_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
