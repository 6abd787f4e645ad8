"""``--expect 'p99_ms<68,lost=0'``: what a run must have shown, parsed and judged.

A part is ``figure``, an operator, and a number. Figures are those of `known_figures`, and for any percentile of any
stage ``p99_ms`` (of the whole way to the desk) or ``receipt.p99.9_ms``. What was not measured does not hold: a run
that failed to measure never passes.
"""

import difflib
import operator
import re
from collections.abc import Callable, Collection

import msgspec

_PART = re.compile(r"\s*(?P<figure>[a-z][a-z0-9_.]*?)\s*(?P<sign><=|>=|==|!=|<|>|=)\s*(?P<number>\S+)\s*")
_PERCENTILE = re.compile(r"(?:(?P<stage>[a-z_]+)\.)?p(?P<percentile>\d{1,2}(?:\.\d{1,4})?|100)_ms")
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
#: Stages of a message, as `cluster/load/truth/recorder.py` records them; each is a latency.
STAGES = ("desk", "receipt", "lag", "reach", "route", "push", "answer", "connect", "refusal")
#: Counts and shares of a run, beside the percentiles.
_FIGURES = frozenset(
    (
        *("intended", "sent", "accepted", "delivered", "refused", "kept", "resent"),
        *("lost", "doubled", "reordered", "misplaced", "unaccounted", "unsent", "contradicted", "gaps"),
        *("held_twice", "held_elsewhere", "handed_on", "conversations", "unreplaced", "silence_s"),
        *("answers_lost", "answers_doubled", "answers_reordered", "answers_misplaced", "mishaps", "faults"),
        *("offered_per_s", "accepted_per_s", "achieved_per_s", "achieved_share", "refused_share", "sockets"),
    )
)


class InvalidExpectation(ValueError):
    """An expectation that cannot be read; names the part."""


class Expectation(msgspec.Struct, frozen=True):
    """One condition.

    Args:
        figure: what is measured.
        sign: one of ``< <= > >= = !=``.
        number: what it is compared with.
    """

    figure: str
    sign: str
    number: float

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self.figure}{self.sign}{self.number:g}"

    def holds(self, measured: float | None) -> bool:
        """Tell whether it holds; what was not measured does not."""
        return measured is not None and _SIGNS[self.sign](measured, self.number)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one expectation.

    Args:
        expected: as it was given.
        measured: the figure; None: it was not measured.
        held: whether it holds.
    """

    expected: str
    measured: float | None
    held: bool


def known_figures() -> Collection[str]:
    """Return the names that an expectation may use, save percentiles."""
    latencies = {f"{stage}.{name}" for stage in STAGES for name in ("max_ms", "mean_ms")}
    return _FIGURES | latencies | {"max_ms", "mean_ms"}


def is_timed(figure: str) -> bool:
    """Tell whether a figure depends on how fast the generators were; counts do not."""
    return figure.endswith(("_ms", "_s", "_share"))


def parse_percentile(figure: str) -> tuple[str, float] | None:
    """Return stage and percentile that ``p99_ms`` or ``receipt.p50_ms`` names; None: it is no percentile."""
    found = _PERCENTILE.fullmatch(figure)
    return (found["stage"] or "desk", float(found["percentile"])) if found else None


def parse_expectations(text: str) -> tuple[Expectation, ...]:
    """Read conditions with commas between.

    Raises:
        InvalidExpectation: a part is none; names it, what was found and what is allowed.
    """
    return tuple(_parsed(part) for part in text.split(",") if part.strip())


def judge(expectations: Collection[Expectation], measure: Callable[[str], float | None]) -> list[Judged]:
    """Compare each expectation with what was measured.

    Args:
        expectations: the conditions.
        measure: returns a figure by its name, None where it was not measured.
    """
    found = [(each, measure(each.figure)) for each in expectations]
    return [Judged(expected=str(each), measured=value, held=each.holds(value)) for each, value in found]


def _parsed(part: str) -> Expectation:
    found = _PART.fullmatch(part)
    if found is None:
        raise InvalidExpectation(f"found {part.strip()!r}; allowed: a figure, a sign and a number, such as p99_ms<68")
    figure = found["figure"]
    _check_figure(part.strip(), figure)
    try:
        number = float(found["number"].replace("_", ""))
    except ValueError:
        number = float("nan")
    if number != number or number in (float("inf"), float("-inf")):
        raise InvalidExpectation(f"{part.strip()!r}: found {found['number']!r} after the sign; allowed: a number")
    return Expectation(figure, "=" if found["sign"] == "==" else found["sign"], number)


def _check_figure(part: str, figure: str) -> None:
    percentile = parse_percentile(figure)
    if percentile is not None:
        if percentile[0] not in STAGES:
            raise InvalidExpectation(f"{part!r}: found stage {percentile[0]!r}; allowed: {', '.join(STAGES)}")
        return
    if figure not in known_figures():
        close = difflib.get_close_matches(figure, ["p50_ms", "p99_ms", "p99.9_ms", *known_figures()], n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        names = ", ".join(sorted(_FIGURES))
        raise InvalidExpectation(f"{part!r}: found figure {figure!r}{hint}; allowed: p99_ms and the like, {names}")
