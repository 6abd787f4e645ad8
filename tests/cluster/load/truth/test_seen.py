"""Bits for what was shown: they agree with plain sets, alone and over several generators."""

from array import array

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cluster.load.truth.ledger import key_of
from cluster.load.truth.seen import Pending, Seen, joined, unseen

MESSAGES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300)), max_size=60)


@given(MESSAGES, MESSAGES, MESSAGES)
def test_what_several_saw_is_what_none_of_them_lacks(here, there, asked):
    one, other = Seen(), Seen()
    assert [one.first(*message) for message in here] == [
        message not in here[:place] for place, message in enumerate(here)
    ]
    for message in there:
        other.first(*message)
    assert one.count == len(set(here))
    keys = np.array([key_of(*message) for message in asked], dtype=np.int64)
    whole = joined([one.bits(), other.bits()])
    assert unseen(keys, whole).tolist() == [message not in here + there for message in asked]
    assert unseen(keys, {}).all()


@given(MESSAGES, st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=8))
def test_looking_often_finds_what_looking_once_finds(messages, looks):
    keys, seen, shown = array("q"), Seen(), set()
    pending = Pending(keys)
    to_come = list(messages)
    for more, showings in [*looks, (len(messages), 0)]:
        for message in to_come[:more]:
            keys.append(key_of(*message))
        del to_come[:more]
        for message in messages[:showings]:
            seen.first(*message)
            shown.add(message)
        found = [keys[row] for row in pending.look(seen.bits())]
        assert found == [key for key in keys if (key >> 32, key & 0xFFFFFFFF) not in shown]
