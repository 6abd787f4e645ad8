import pytest

from cluster.load.run.recovery import Curve, back_after_s, usual_ms


def curve(p99: list[float | None], refused: dict[int, int] | None = None, offered: int = 100) -> Curve:
    return Curve(p99, [offered] * len(p99), [(refused or {}).get(second, 0) for second in range(len(p99))])


def back(curve: Curve, at_s: float, calm_s: float) -> float | None:
    return back_after_s(curve, at_s, due_s=20, usual=usual_ms(curve, calm_s, at_s))


CALM = [5.0] * 20


def test_a_fault_that_nobody_felt_took_no_time():
    assert back(curve(CALM), 10.3, calm_s=2) == 0.0


def test_the_time_ends_with_the_first_second_that_is_as_usual_again():
    felt = [*CALM[:10], 900.0, 400.0, 60.0, *CALM[13:]]
    assert back(curve(felt), 10.5, calm_s=2) == pytest.approx(2.5)


def test_a_good_second_between_bad_ones_is_no_end():
    felt = [*CALM[:10], 900.0, 5.0, 800.0, *CALM[13:]]
    assert back(curve(felt), 10.0, calm_s=2) == pytest.approx(3.0)


def test_a_second_with_refusals_is_not_as_usual():
    assert back(curve(CALM, refused={10: 3, 11: 1}), 10.0, calm_s=2) == pytest.approx(2.0)


def test_a_second_in_which_nothing_was_shown_is_not_as_usual_unless_nothing_was_due():
    silent: list[float | None] = [*CALM[:10], None, None, *CALM[12:]]
    assert back(curve(silent), 10.0, calm_s=2) == pytest.approx(2.0)
    assert back(curve(silent, offered=0), 10.0, calm_s=2) == 0.0


def test_what_is_not_over_at_the_end_has_no_time():
    assert back(curve([*CALM[:10], *[900.0] * 10]), 10.0, calm_s=2) is None
    assert back(curve([*CALM[:10], *[900.0] * 9, 5.0]), 10.0, calm_s=2) is None


def test_nobody_can_tell_where_there_was_no_calm_before():
    assert back(curve(CALM), 10.0, calm_s=10.0) is None


def test_what_is_usual_is_told_by_the_seconds_between():
    assert usual_ms(curve([1.0, 100.0, 100.0, 1.0]), 1, 3) == pytest.approx(200.0)
    assert usual_ms(curve([4.0] * 5), 0, 5) == pytest.approx(14.0)
    assert usual_ms(curve([None, None]), 0, 2) is None
