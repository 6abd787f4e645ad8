"""The report says of each run what it was, to programs and to people, and needs nothing but itself."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.load.report.charts import (
    HEIGHT,
    MOST_POINTS,
    WIDTH,
    Line,
    Mark,
    bars,
    chart,
    linear,
    logarithmic,
    nines,
    number_words,
    thinned,
    time_axis,
)
from cluster.load.report.page import page
from cluster.load.report.parts import System
from cluster.load.report.report import Audited, Report, figure, make_report
from cluster.load.report.words import CLASSES
from cluster.load.report.words import STAGES as STAGE_WORDS
from cluster.load.scenario.expect import STAGES, known_figures
from cluster.load.truth.findings import FAULTS, Findings
from cluster.load.truth.recorder import Recorder
from tests.cluster.load.report.invented import findings, report


@pytest.fixture(scope="module")
def sound() -> Report:
    return report(rate=60, expect="")


def svgs(html: str) -> list[ET.Element]:
    return [ET.fromstring(each) for each in re.findall(r"<svg .*?</svg>", html, re.DOTALL)]


def test_a_run_without_a_fault_passes(sound):
    assert (sound.verdict, sound.invalid) == ("passed", [])
    assert sound.rates["offered"] == pytest.approx(60, rel=0.03)


def test_a_fault_of_the_audit_fails_a_run_though_nothing_was_expected():
    assert report(rate=10, messages=findings(doubled=1), expect="").verdict == "failed"


def test_an_expectation_that_does_not_hold_fails_a_run():
    failed = report(rate=10, expect="lost=0,p50_ms<0.1,connect.p99_ms<5")
    assert failed.verdict == "failed"
    assert [each.held for each in failed.expectations] == [True, False, False]
    assert failed.expectations[2].measured is None


def test_a_run_whose_generator_was_late_is_invalid_whatever_its_figures():
    late = report(rate=10, late=True, expect="lost=0")
    assert late.verdict == "invalid"
    assert "left more than 20 ms after they were due" in late.invalid[0]
    assert "Invalid: the load generator was the bottleneck" in page(late)


def test_what_is_lost_is_lost_though_the_generator_was_late():
    assert report(rate=10, late=True, messages=findings(lost=1), expect="").verdict == "failed"
    assert report(rate=10, late=True, expect="accepted<5").verdict == "failed"
    assert report(rate=10, late=True, expect="p99_ms<0.001,achieved_per_s>1e9,silence_s<0.1").verdict == "invalid"


def test_a_kill_that_nobody_took_the_place_of_is_counted(sound):
    assert (figure(sound, "unreplaced"), figure(sound, "silence_s")) == (0, 1.38)
    (fault,) = sound.system.faults
    system = msgspec.structs.replace(sound.system, faults=[fault, msgspec.structs.replace(fault, replaced_s=None)])
    assert figure(msgspec.structs.replace(sound, system=system), "unreplaced") == 1


def test_every_figure_that_can_be_expected_can_be_measured(sound):
    missing = {name for name in known_figures() if figure(sound, name) is None}
    assert missing == {f"connect.{name}" for name in ("max_ms", "mean_ms")}
    assert figure(sound, "lost") == 0
    assert figure(sound, "achieved_share") == pytest.approx(1, abs=0.02)
    assert figure(sound, "p100_ms") == pytest.approx(figure(sound, "max_ms"), rel=0.001)
    assert figure(sound, "receipt.p50_ms") == pytest.approx(sound.stages["receipt"].percentiles["p50"])


def test_the_file_is_read_as_it_was_written(sound):
    assert msgspec.json.decode(sound.encode(), type=Report) == sound


def test_every_stage_and_every_count_has_words_for_the_reader():
    assert set(STAGE_WORDS) == set(STAGES)
    fields = set(Findings.__struct_fields__) - {"examples"}
    assert set(CLASSES) == fields
    assert set(FAULTS) <= fields


def test_the_page_needs_nothing_but_itself(sound):
    html = page(sound)
    assert not re.findall(r"https?://|<script|<link|<img|url\(|@import|\son\w+=", html)

    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br", "rect", "path", "li"):
                self.open.append(tag)

        def handle_endtag(self, tag):
            if tag not in ("rect", "path", "li"):
                assert self.open.pop() == tag

    parser = Tags()
    parser.feed(html)
    assert parser.open == []


def test_the_page_has_its_charts_and_its_audit(sound):
    html = page(sound)
    titles = {drawn.attrib["aria-label"] for drawn in svgs(html)}
    assert titles >= {"latency by percentile", "rate over time", "latency over time", "processor", "memory"}
    assert "0 lost of 599,400: at most 1 in 199,800 with 95 % confidence (3/N)" in html
    assert "kill router 0" in html
    for words in ("<b>400/s</b>", "14.2 ms", "1,375", "router:0: append 1.42 ms", "1.38s"):
        assert words in html


def test_what_others_wrote_is_shown_as_text(sound):
    bad = findings(lost=1, examples={"lost": ["<script>alert(1)</script>"]})
    setting = msgspec.structs.replace(sound.setting, scenario="<b>x</b>", command="a && b <c>")
    html = page(msgspec.structs.replace(sound, messages=bad, setting=setting, verdict="failed"))
    assert "<script" not in html
    assert "<b>x</b>" not in html
    assert "a &amp;&amp; b &lt;c&gt;" in html


def test_a_run_in_which_nothing_happened_has_a_report(sound):
    recorder = Recorder(0.0, 1.0)
    recorder.finish("generator 0")
    nothing = findings(**dict.fromkeys(("intended", "sent", "accepted", "delivered", "refused"), 0))
    empty = make_report(sound.setting, recorder, Audited(messages=nothing), System(), "p99_ms<1,lost=0")
    assert (empty.verdict, [each.held for each in empty.expectations]) == ("failed", [False, True])
    assert "nothing was accepted, so nothing is proved" in page(empty)


# -- charts

NUMBERS = st.floats(0.001, 1e6)


@given(st.lists(st.tuples(NUMBERS, st.none() | NUMBERS), min_size=1, max_size=30), st.booleans())
def test_lines_stay_within_the_chart(points, log):
    points.sort(key=lambda point: point[0])
    values = [y for _, y in points if y is not None] or [1.0]
    y = logarithmic("ms", min(values), max(values)) if log else linear("ms", 0, max(values))
    lines = [Line("a", points, 1), Line("b", points, 2, "area")]
    (drawn,) = svgs(chart(time_axis(points[-1][0]), y, lines, [Mark("m", points[0][0])], title="<t>"))
    for path in drawn.iter("path"):
        # every path is made of absolute pairs, save the strokes of the grid
        for at, up in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.attrib["d"]):
            assert 0 <= float(at) <= WIDTH
            assert 0 <= float(up) <= HEIGHT
    shown = sum(value is not None for _, value in points)
    assert len([path for path in drawn.iter("path") if "line1" in path.attrib["class"]]) == 1
    assert sum(path.attrib["d"].count(" ") for path in drawn.iter("path") if "line1" in path.attrib["class"]) == shown


@given(NUMBERS, NUMBERS)
@example(50.0, 0.00390625)
def test_axes_reach_from_end_to_end(low, more):
    for axis in (linear("", 0, more), logarithmic("", low, low + more), time_axis(more)):
        assert axis.place(axis.low) == pytest.approx(0, abs=1e-6)
        assert axis.place(axis.high) == pytest.approx(1, abs=1e-6)
        assert axis.high >= (more if axis.low == 0 else low + more) * 0.999
        assert 1 <= len(axis.ticks) <= 40
        assert all(-1e-6 <= axis.place(at) <= 1 + 1e-6 for at, _ in axis.ticks)


def test_each_further_nine_takes_the_same_room():
    axis = nines(99.999)
    places = [axis.place(at) for at in (0, 90, 99, 99.9, 99.99, 99.999)]
    assert places == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


def test_a_long_run_is_thinned_without_losing_its_peak():
    points = [(float(at), 1000.0 if at == 7_001 else None if at % 3 else 1.0) for at in range(10_000)]
    kept = thinned(points, max)
    assert len(kept) <= MOST_POINTS
    assert max(y for _, y in kept if y is not None) == 1000
    assert thinned([(0.0, None), (1.0, 2.0)], max) == [(0.0, None), (1.0, 2.0)]


def test_bars_are_as_long_as_what_they_show():
    (drawn,) = svgs(bars([("a", 2.0, "two"), ("b", 1.0, "one"), ("c", 0.0, "")], title="t"))
    wide = [float(each.attrib["width"]) for each in drawn.iter("rect")]
    assert wide[0] == pytest.approx(2 * wide[1], abs=0.2)
    assert wide[2] > 0


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (3, "3"), (0.1234, "0.123"), (1234, "1,234"), (12_340, "12.34k"), (2e6, "2M"), (3.2e9, "3.2G")],
)
def test_numbers_are_short(value, words):
    assert number_words(value) == words


@pytest.mark.parametrize("kind", ["line", "area"])
def test_what_was_not_measured_is_a_gap_and_no_line(kind):
    line = Line("a", [(0, 1.0), (1, 2.0), (2, None), (3, 1.0)], 1, kind)
    (drawn,) = svgs(chart(time_axis(3), linear("", 0, 2), [line], title="t"))
    (path,) = [each for each in drawn.iter("path") if each.attrib["class"].endswith("1")]
    assert path.attrib["d"].count("M") == 2
