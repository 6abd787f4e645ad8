"""What those who wait are told."""

import pytest

from models.routing.place import estimated_wait_s


@pytest.mark.parametrize(
    ("ahead", "since_s", "own_s", "expected"),
    [
        (3, 100, 220, 120),
        (1, 100, 120, 20),
        (0, 100, 100, None),
        (0, 100, 400, None),  # the others were taken between the two reads
        (9, 100, 119, None),  # all came at once
        (2, 300, 100, None),  # somebody came back to an older place meanwhile
    ],
)
def test_those_ahead_go_in_the_time_in_which_they_came(ahead: int, since_s: int, own_s: int, expected: int | None):
    assert estimated_wait_s(ahead, since_s * 1_000, own_s * 1_000) == expected
