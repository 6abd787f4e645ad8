"""The limit of a system, and how it behaves around it: ``raydesk load --find-knee``.

First a closed loop: each writer keeps a window of unconfirmed messages, so the system is as busy as it can be and
nothing waits outside of it. What is accepted a second then is more than it can take for long, as no chance bunches
its messages; so open loops near it look for the knee, the highest rate at which nearly all that is offered is shown
while latency does not grow. Then open loops at shares of the knee say what a user would see. At each share the load
comes from half the knee and goes back to it, so the time until latency is as usual again is measured too.

What is decided here is pure; `walk` runs what it is given.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from cluster.load.report.knee import Knee, Row
from cluster.load.run.conductor import Ran, curve_of
from cluster.load.run.recovery import back_after_s, usual_ms
from cluster.load.scenario.phases import Steady
from cluster.load.scenario.quantities import Duration, Rate
from cluster.load.scenario.tables import Scenario
from cluster.load.truth.bottleneck import invalid_because
from cluster.load.truth.recorder import Recorder

SHARES = (0.5, 0.7, 0.9, 1.1, 1.5)
#: A rate holds while so much of it is shown, nothing is refused, and the end is not slower than this times the begin.
_SHOWN_SHARE = 0.99
_SLOWER = 2.0
_SLOWER_BY_MS = 50.0
#: The search ends when the highest rate that holds and the lowest that does not are so near.
_NEAR = 0.05
_MOST_STEPS = 6
#: Of what a closed loop lets through, the first guess.
_FIRST_GUESS = 0.85
_CALM_SHARE = 0.5


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How long each part of the walk lasts, in seconds.

    Args:
        closed: the closed loop.
        step: each look for the knee.
        before, at, after: of a share: at half the knee, at the share, at half the knee again.
    """

    closed: float = 15.0
    step: float = 15.0
    before: float = 8.0
    at: float = 20.0
    after: float = 15.0


class Search:
    """Looks for the highest rate that holds, by halving.

    Args:
        guess: where to look first, messages a second.
        most: beyond which nothing holds.
    """

    def __init__(self, guess: float, most: float) -> None:
        self._next = guess
        self._holds = 0.0
        self._fails = most
        self.steps: list[tuple[float, bool]] = []

    @property
    def knee(self) -> float:
        """The highest rate that held; 0: none did."""
        return self._holds

    def next(self) -> float | None:
        """Return the rate to look at; None: the knee is known well enough."""
        if len(self.steps) >= _MOST_STEPS or self._fails - self._holds <= _NEAR * self._fails:
            return None
        return self._next

    def note(self, rate: float, *, held: bool) -> None:
        """Take in what a rate showed."""
        self.steps.append((rate, held))
        if held:
            self._holds = max(self._holds, rate)
        else:
            self._fails = min(self._fails, rate)
        self._next = (self._holds + self._fails) / 2


def at_rate(scenario: Scenario, *phases: tuple[float, float]) -> Scenario:
    """Return a scenario with steady phases, each a rate and its seconds; and without faults and expectations."""
    steady = tuple(Steady(rate=Rate(rate), lasts_s=Duration(lasts_s)) for rate, lasts_s in phases)
    warm_up = Duration(min(2.0, phases[0][1] / 4))
    return msgspec.structs.replace(scenario, phases=steady, warm_up_s=warm_up, faults=(), expect="")


def holds(recorder: Recorder, begin: int, end: int) -> bool:
    """Tell whether the rate between two seconds was one that the system can take for long.

    Args:
        recorder: of the run.
        begin, end: its whole seconds.
    """
    offered, shown = (float(recorder.rate(rate)[begin:end].sum()) for rate in ("offered", "shown"))
    if not offered or recorder.rate("refused")[begin:end].sum() or shown < _SHOWN_SHARE * offered:
        return False
    third = max((end - begin) // 3, 1)
    first = recorder.percentile_between_ms("desk", 50, begin, begin + third)
    last = recorder.percentile_between_ms("desk", 50, end - third, end)
    # a queue that grows shows in the middle of the distribution, not at its end, which chance moves
    return first is not None and last is not None and last <= max(_SLOWER * first, first + _SLOWER_BY_MS)


def row_of(share: float, ran: Ran, times: Times) -> Row:
    """Return what a share showed."""
    recorder = ran.recorder
    begin, end = int(times.before), int(times.before + times.at)
    seconds = max(end - begin, 1)
    refusals = recorder.stages.get("refusal")
    curve = curve_of(recorder)
    whole_s = times.before + times.at + times.after
    system = [each for each in ran.system.processes if ":" in each.name or each.name in ("store", "dispatcher")]
    found = ran.audited.messages
    return Row(
        share=share,
        offered=float(recorder.rate("offered")[begin:end].sum()) / seconds,
        goodput=float(recorder.rate("shown")[begin:end].sum()) / seconds,
        p50_ms=recorder.percentile_between_ms("desk", 50, begin, end),
        p99_ms=recorder.percentile_between_ms("desk", 99, begin, end),
        refused=found.refused,
        refusal_p99_ms=refusals.percentiles_us([99])[0] / 1e3 if refusals is not None and refusals.count else None,
        memory_mb=sum(max(each.memory_mb, default=0.0) for each in system),
        back_s=back_after_s(curve, float(end), due_s=whole_s, usual=usual_ms(curve, recorder.warm_up_s, begin)),
        lost=found.lost,
        faults=sum(found.faults.values()),
        invalid=invalid_because(recorder.generators),
    )


async def walk(
    scenario: Scenario,
    run: Callable[[Scenario, int, str], Awaitable[Ran]],
    *,
    window: int,
    times: Times | None = None,
    shares: Sequence[float] = SHARES,
) -> Knee:
    """Find the knee and look around it.

    Args:
        scenario: whose people write and read; its rates, faults and expectations count for nothing.
        run: runs one with a window (0: open), and is told in words what for.
        window: unconfirmed messages of each writer in the closed loop.
        times: of each part.
        shares: of the knee, at which it is looked at.

    Raises:
        CannotGenerate: of ``run``.
    """
    lasts = times or Times()
    # the rate of a closed loop is the system's; the phase says only how long
    ran = await run(at_rate(scenario, (1.0, lasts.closed)), window, "closed loop")
    closed = _accepted_per_s(ran.recorder, lasts.closed)
    search = Search(_FIRST_GUESS * closed, 1.1 * closed)
    invalid: list[str] = []
    while (rate := search.next()) is not None:
        ran = await run(at_rate(scenario, (rate, lasts.step)), 0, f"does {rate:,.0f}/s hold?")
        held = holds(ran.recorder, int(lasts.step / 4), int(lasts.step))
        search.note(rate, held=held)
        invalid += [f"{rate:,.0f}/s: {reason}" for reason in invalid_because(ran.recorder.generators) if not held]
    rows: list[Row] = []
    for share in shares if search.knee else ():
        calm = _CALM_SHARE * search.knee
        phases = ((calm, lasts.before), (share * search.knee, lasts.at), (calm, lasts.after))
        rows.append(row_of(share, await run(at_rate(scenario, *phases), 0, f"{share:.0%} of the knee"), lasts))
    return Knee(closed_per_s=closed, per_s=search.knee, steps=search.steps, rows=rows, invalid=invalid)


def _accepted_per_s(recorder: Recorder, lasts_s: float) -> float:
    """Return the mean of the second half, when the loop is full."""
    begin, end = int(lasts_s / 2), max(int(lasts_s), 1)
    return float(recorder.rate("accepted")[begin:end].mean())
