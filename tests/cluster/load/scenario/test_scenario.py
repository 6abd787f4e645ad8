"""A scenario is read, or refused with the file, the key, what was found and what is allowed."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.load.scenario.errors import ScenarioError
from cluster.load.scenario.expect import parse_expectations
from cluster.load.scenario.faults import Cut, Kill, Pause, Rewrite, Storm, parse_fault
from cluster.load.scenario.quantities import Duration, Rate, ThinkTime
from cluster.load.scenario.scenario import SHIPPED, load_scenario, parse_scenario

PHASE = '[[phases]]\nshape = "steady"\nrate = "10/s"\nlasts = "10s"\n'
NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))


def problems(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "my.toml")
    return list(caught.value.problems)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scenario_is_sound_and_says_what_it_proves(name):
    scenario = load_scenario(name)
    assert scenario.about.startswith("Proves ")
    assert parse_expectations(scenario.expect)


def test_the_scenarios_that_are_promised_are_there():
    promised = "black-friday bot connections day duplicate-webhooks kills knee rates reconnect-storm slow-agents smoke"
    assert promised.split() == NAMES


def test_the_smallest_scenario_is_one_phase():
    scenario = parse_scenario(PHASE, "my.toml")
    assert (scenario.lasts_s, scenario.mix.web, scenario.visitors.count) == (10.0, 1.0, 100)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("phases = 3", "phases: found 3; allowed: a list of at least 1, each a table with shape = 'steady' or"),
        ("phases = []", "phases: found an empty list; allowed: a list of at least 1"),
        ("", "phases: found nothing; allowed: a list of at least 1"),
        (PHASE.replace("steady", "stady"), "phases[0].shape: found 'stady'; allowed: steady or ramp or bursts or day"),
        (PHASE.replace("shape", "shap"), "phases[0].shape: found nothing; allowed: steady or ramp or bursts or day"),
        (PHASE.replace("10/s", "fast"), "phases[0].rate: found 'fast'; allowed: a rate such as 2000/s"),
        (PHASE.replace('"10s"', "10"), "phases[0].lasts: found 10; allowed: a duration such as 250ms, 90s"),
        (PHASE.replace("lasts", "#"), "phases[0].lasts: found nothing; allowed: a duration such as"),
        (
            PHASE.replace("lasts", "last"),
            "phases[0].last: found an unknown key (did you mean lasts?); allowed in phases[",
        ),
        (PHASE + "[visitors]\ncout = 3", "visitors.cout: found an unknown key (did you mean count?); allowed in visit"),
        ("foo = 3\n" + PHASE, "foo: found an unknown key; allowed here: about, arrivals, contacts"),
        (PHASE + "[visitors]\ncount = -3", "visitors.count: found -3; allowed: a whole number from 0 up to 10,000,000"),
        (PHASE + "[mix]\nweb = true", "mix.web: found true; allowed: a number from 0"),
        (PHASE + "[desks]\ntyping = 1", "desks.typing: found 1; allowed: true or false"),
        (PHASE + "[desks]\naccept_after = 3", "desks.accept_after: found 3; allowed: a time such as 4s, 2s..8s (even)"),
        (PHASE + "[desks]\naway_every = 'never'", "desks.away_every: found 'never'; allowed: a time such as 4s"),
        (PHASE + "[words]\nlanguages = ['fr']", "words.languages[0]: found 'fr'; allowed: en or zh"),
        (
            PHASE + "[[faults]]\nkind = 'kill'\nat = '3s'\ntarget = 'me'",
            "faults[0].target: found 'me'; allowed: router,",
        ),
        (
            PHASE + "[[faults]]\nkind = 'kil'",
            "faults[0].kind: found 'kil'; allowed: kill or pause or cut or rewrite or storm",
        ),
        ("arrivals = 'both'\n" + PHASE, "arrivals: found 'both'; allowed: even or poisson"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_allowed(text, problem):
    (found,) = problems(text)
    assert found.startswith("my.toml: " + problem)


def test_what_contradicts_itself_is_told_all_at_once():
    text = (
        'warm_up = "10s"\nexpect = "p99<3"\n'
        + PHASE
        + PHASE.replace("steady", "bursts").replace("10s", "5s")
        + 'peak = "20/s"\nevery = "2s"\neach = "3s"\n'
        + "[mix]\nwechat = 1\n[visitors]\ncount = 10\nseveral_channels = 0.5\n[desks]\nagents = 0\n"
        + "[[faults]]\nkind = 'kill'\ntarget = 'store'\nat = '15s'\n[[faults]]\nkind = 'storm'\ncount = 11\nat = '1s'\n"
    )
    assert [each.split(";")[0].removeprefix("my.toml: ") for each in problems(text)] == [
        "contacts.wechat: found 0",
        "visitors.several_channels: found 0.5, which is 5 visitors",
        "desks.agents: found 0",
        "phases[1].each: found 3s",
        "faults[0].at: found 15s",
        "faults[1].count: found 11",
        "expect: 'p99<3': found figure 'p99' (did you mean p99_ms?)",
    ]


def test_a_warm_up_as_long_as_the_run_is_refused():
    assert problems('warm_up = "10s"\n' + PHASE) == [
        "my.toml: warm_up: found 10s; allowed: less than all phases together, 10s"
    ]


def test_no_toml_is_told_with_its_place():
    (found,) = problems("x = ")
    assert found.startswith("my.toml: no TOML: ")


def test_an_unknown_scenario_is_told_with_those_that_are_known():
    with pytest.raises(ScenarioError, match="smok: No such file or directory; allowed: a file, or one of black-friday"):
        load_scenario("smok")


def test_a_file_of_words_stands_beside_the_scenario(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PHASE + "[words]\nfile = 'said.jsonl'")
    assert load_scenario(str(path)).words.file == str(tmp_path / "said.jsonl")


def test_the_error_crosses_processes():
    error = ScenarioError("a: b", "c: d")
    assert str(pickle.loads(pickle.dumps(error))) == "a: b\nc: d"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("250ms", 0.25), ("2m", 120), ("1h30m", 5400), ("1.5s", 1.5), ("2m 5s", 125), ("0s", 0)],
)
def test_durations(text, seconds):
    assert Duration.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "90", "s", "-3s", "3 weeks", "1s?", "s3"])
def test_no_duration(text):
    with pytest.raises(ValueError, match="a duration such as"):
        Duration.parse(text)


@given(st.integers(0, 10_000_000))
def test_a_duration_is_read_as_it_is_written(milliseconds):
    assert Duration.parse(str(Duration(milliseconds / 1000))) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("text", "rate"), [("2000/s", 2000), ("2,000/s", 2000), ("1.5k/s", 1500), ("120/m", 2), ("36 / h", 0.01)]
)
def test_rates(text, rate):
    assert Rate.parse(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["2000", "/s", "-1/s", "2/d", "1e3/s"])
def test_no_rate(text):
    with pytest.raises(ValueError, match="a rate such as"):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("text", "mean"), [("4s", 4), ("2s..8s", 5), ("~4s", 4), ("4s*/2", 4 * np.exp(np.log(2) ** 2 / 2))]
)
def test_think_times_have_their_mean(text, mean):
    random = np.random.default_rng(1)
    drawn = [ThinkTime.parse(text).draw(random) for _ in range(20_000)]
    assert np.mean(drawn) == pytest.approx(mean, rel=0.03)
    assert min(drawn) >= 0


def test_half_of_a_log_normal_time_is_below_its_median_and_two_thirds_within_the_factor():
    random = np.random.default_rng(1)
    drawn = np.array([ThinkTime.parse("4s*/2").draw(random) for _ in range(20_000)])
    assert (drawn < 4).mean() == pytest.approx(0.5, abs=0.02)
    assert ((drawn > 2) & (drawn < 8)).mean() == pytest.approx(0.683, abs=0.02)


@pytest.mark.parametrize("text", ["4", "8s..2s", "4s*/0.5", "~", "fast", "4s..", "4s*/"])
def test_no_think_time(text):
    with pytest.raises(ValueError, match="a time such as"):
        ThinkTime.parse(text)


@pytest.mark.parametrize("text", ["4s", "2s..8s", "~4s", "4s*/2"])
def test_a_think_time_is_read_as_it_is_written(text):
    assert str(ThinkTime.parse(text)) == text
    assert ThinkTime.parse(str(ThinkTime.parse(text))) == ThinkTime.parse(text)


def test_faults_on_the_command_line():
    assert parse_fault("kill", "router@30s") == Kill(target="router", at_s=Duration(30))
    assert parse_fault("pause", "gateway:1@40s:5s") == Pause(target="gateway:1", at_s=Duration(40), lasts_s=Duration(5))
    assert parse_fault("cut", "store@1m:500ms") == Cut(target="store", at_s=Duration(60), lasts_s=Duration(0.5))
    assert parse_fault("rewrite", "store@20s") == Rewrite(at_s=Duration(20))


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        ("kill", "router", "--kill: found 'router'; allowed: target@when, such as router@30s"),
        ("kill", "router@30s:5s", "allowed: target@when, such as router@30s"),
        ("pause", "router@30s", "--pause: found 'router@30s'; allowed: target@when:how-long, such as gateway@40s:5s"),
        ("kill", "rooter@30s", "--kill: found target 'rooter'; allowed: router, gateway"),
        ("rewrite", "router@30s", "--rewrite: found target 'router'; allowed: store"),
        ("rewrite", "store@30s:5s", "--rewrite: found 'store@30s:5s'; allowed: target@when, such as store@20s"),
        ("kill", "router@30", "--kill: found 'router@30'; allowed for its times: a duration such as"),
    ],
)
def test_no_fault_on_the_command_line(kind, text, problem):
    with pytest.raises(ValueError) as caught:
        parse_fault(kind, text)
    assert problem in str(caught.value)


def test_the_store_alone_can_be_told_to_write_its_log_anew():
    scenario = parse_scenario(PHASE + "[[faults]]\nkind = 'rewrite'\nat = '5s'", "my.toml")
    assert scenario.faults == (Rewrite(at_s=Duration(5)),)
    (found,) = problems(PHASE + "[[faults]]\nkind = 'rewrite'\ntarget = 'router'\nat = '5s'")
    assert found == "my.toml: faults[0].target: found 'router'; allowed: store"


def test_a_storm_takes_all_visitors_within_a_second_by_default():
    scenario = parse_scenario(PHASE + "[[faults]]\nkind = 'storm'\nat = '5s'", "my.toml")
    assert scenario.faults == (Storm(at_s=Duration(5), who="visitors", count=0, within_s=Duration(1)),)
