"""A scenario: who writes what, on which channels, at which rate, to which agents, and what breaks meanwhile.

It is a TOML file. Whatever in it is unknown or impossible stops the load before it starts, with the file, the key,
what was found and what is allowed (`cluster/load/scenario/errors.py`).
"""

import tomllib
from pathlib import Path
from typing import cast

import msgspec

from cluster.load.scenario.checks import check
from cluster.load.scenario.errors import ScenarioError, problem_of
from cluster.load.scenario.quantities import DURATIONS, RATES, THINK_TIMES, Duration, Rate, ThinkTime
from cluster.load.scenario.tables import Scenario

SHIPPED = Path(__file__).parent / "shipped"


def load_scenario(name: str) -> Scenario:
    """Read a shipped scenario by its name, or any by the path of its file.

    Raises:
        ScenarioError: there is none, or something in it is wrong; one line for each problem.
    """
    path = SHIPPED / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        known = ", ".join(sorted(each.stem for each in SHIPPED.glob("*.toml")))
        reason = error.strerror or "cannot be read"
        raise ScenarioError(f"{name}: {reason}; allowed: a file, or one of {known}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{name}: found bytes that are no text; allowed: TOML in UTF-8") from None
    return parse_scenario(text, str(path))


def parse_scenario(text: str, source: str) -> Scenario:
    """Read a scenario from TOML.

    Args:
        text: the file's.
        source: its path, for errors and for the files it names.

    Raises:
        ScenarioError: something in it is wrong; one line for each problem.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{source}: no TOML: {error}") from None
    try:
        scenario = msgspec.convert(raw, Scenario, dec_hook=_quantity)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{source}: {problem_of(error, raw, Scenario)}") from None
    if scenario.words.file:
        file = str(Path(source).parent / scenario.words.file)
        scenario = msgspec.structs.replace(scenario, words=msgspec.structs.replace(scenario.words, file=file))
    check(scenario, source)
    return scenario


def _quantity(kind: type[object], found: object) -> object:
    """Read the types of `cluster/load/scenario/quantities.py`, for msgspec."""
    words = {Duration: DURATIONS, Rate: RATES, ThinkTime: THINK_TIMES}[cast("type[Duration]", kind)]
    if not isinstance(found, str):
        raise ValueError(words)
    return cast("type[Duration]", kind).parse(found)
