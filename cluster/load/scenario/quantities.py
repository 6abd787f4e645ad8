"""Durations, rates and think times as people write them: ``90s``, ``2000/s``, ``2s..8s``.

Each is a type of its own, so that a scenario's file can be checked against it; a text that is none raises
``ValueError`` with what is allowed, in words that fit after "allowed:".
"""

import math
import re
from typing import Literal

import numpy as np

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_RATE = re.compile(r"(\d[\d,_]*(?:\.\d+)?)(k?)\s*/\s*(s|m|h)")
_LOG_NORMAL = re.compile(r"(.+?)\s*\*/\s*(\d+(?:\.\d+)?)")
#: No think time of a person is longer; it also bounds the tail of a log-normal draw.
_LONGEST_THINK_S = 3600.0

Kind = Literal["fixed", "even", "exponential", "log_normal"]
DURATIONS = "a duration such as 250ms, 90s, 2m or 1h30m"
RATES = "a rate such as 2000/s, 1.5k/s, 120/m or 30/h"
THINK_TIMES = "a time such as 4s, 2s..8s (even), ~4s (exponential, of that mean) or 4s*/2 (log-normal, most in 2s..8s)"


class Duration(float):
    """A length of time in seconds, not negative."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read ``90s``, ``250ms``, ``2m``, ``1h30m``.

        Raises:
            ValueError: it is none.
        """
        compact = text.replace(" ", "")
        parts = _PART.findall(compact)
        if not parts or "".join(number + unit for number, unit in parts) != compact:
            raise ValueError(DURATIONS)
        return cls(sum(float(number) * _UNIT_S[unit] for number, unit in parts))

    def __str__(self) -> str:
        """Write it as it is read."""
        if self < 1:
            return f"{self * 1000:g}ms" if self else "0s"
        minutes, seconds = divmod(float(self), 60)
        hours, minutes = divmod(int(minutes), 60)
        parts: list[tuple[float, str]] = [(hours, "h"), (minutes, "m"), (round(seconds, 3), "s")]
        return "".join(f"{value:g}{unit}" for value, unit in parts if value)


class Rate(float):
    """So many a second, not negative."""

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read ``2000/s``, ``2,000/s``, ``1.5k/s``, ``120/m``.

        Raises:
            ValueError: it is none.
        """
        found = _RATE.fullmatch(text.strip())
        if found is None:
            raise ValueError(RATES)
        number, thousand, unit = found.groups()
        count = float(number.replace(",", "").replace("_", "")) * (1000 if thousand else 1)
        return cls(count / _UNIT_S[unit])

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self:g}/s" if self >= 1 or not self else f"{self * 60:g}/m"


class ThinkTime:
    """How long somebody takes, as a distribution.

    Args:
        kind: its form.
        first_s: the time itself, the lower end, the mean, or the median.
        second: of ``even`` the upper end in seconds; of ``log_normal`` the factor of one standard deviation.
    """

    __slots__ = ("first_s", "kind", "second")

    def __init__(self, kind: Kind, first_s: float, second: float = 0.0) -> None:
        self.kind: Kind = kind
        self.first_s = first_s
        self.second = second

    def __eq__(self, other: object) -> bool:
        """Compare by value."""
        return isinstance(other, ThinkTime) and str(self) == str(other)

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(str(self))

    def __str__(self) -> str:
        """Write it as it is read."""
        first = str(Duration(self.first_s))
        match self.kind:
            case "fixed":
                return first
            case "even":
                return f"{first}..{Duration(self.second)}"
            case "exponential":
                return f"~{first}"
            case "log_normal":
                return f"{first}*/{self.second:g}"

    @classmethod
    def parse(cls, text: str) -> "ThinkTime":
        """Read ``4s``, ``2s..8s``, ``~4s``, ``4s*/2``.

        Raises:
            ValueError: it is none.
        """
        stripped = text.strip()
        try:
            if stripped.startswith("~"):
                return cls("exponential", float(Duration.parse(stripped[1:])))
            if ".." in stripped:
                low, _, high = stripped.partition("..")
                return cls._even(Duration.parse(low), Duration.parse(high))
            if (found := _LOG_NORMAL.fullmatch(stripped)) is not None:
                return cls._log_normal(Duration.parse(found[1]), float(found[2]))
            return cls("fixed", float(Duration.parse(stripped)))
        except ValueError:
            raise ValueError(THINK_TIMES) from None

    @classmethod
    def _even(cls, low: Duration, high: Duration) -> "ThinkTime":
        if high < low:
            raise ValueError(THINK_TIMES)
        return cls("even", float(low), float(high))

    @classmethod
    def _log_normal(cls, median: Duration, factor: float) -> "ThinkTime":
        if factor < 1:
            raise ValueError(THINK_TIMES)
        return cls("log_normal", float(median), factor)

    def draw(self, random: np.random.Generator) -> float:
        """Draw one time in seconds, at most an hour."""
        match self.kind:
            case "fixed":
                return self.first_s
            case "even":
                return float(random.uniform(self.first_s, self.second))
            case "exponential":
                return min(float(random.exponential(self.first_s)), _LONGEST_THINK_S)
            case "log_normal":
                spread = math.log(self.second)
                return min(self.first_s * math.exp(spread * float(random.standard_normal())), _LONGEST_THINK_S)
