"""The short way to refuse a call says what the long way says, and leaves alone what is not for it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import Overloaded
from models.protocol import jsonrpc

ERROR = Overloaded('too many "messages" are waiting; "id":0', 2.5)
refuse = jsonrpc.refuses("message.send", ERROR)


@given(number=st.integers(-(2**63), 2**63 - 1), text=st.text())
def test_it_says_what_the_long_way_says(number, text):
    call = {"jsonrpc": "2.0", "method": "message.send", "params": {"text": text}, "id": number}
    refused = refuse(msgspec.json.encode(call))
    assert refused is not None
    assert refused[0] == number
    assert msgspec.json.decode(refused[1]) == msgspec.json.decode(jsonrpc.failure_of(ERROR, number))


@pytest.mark.parametrize(
    "frame",
    [
        b'{"jsonrpc":"2.0","method":"visit.ack","id":1}',
        b'{"jsonrpc":"2.0","method":"message.send"}',
        b'{"jsonrpc":"2.0","method":"message.send","id":"a"}',
        b'{"jsonrpc":"2.0","method":"message.send","id":null}',
        b'{"jsonrpc":"1.0","method":"message.send","id":1}',
        b'[{"jsonrpc":"2.0","method":"message.send","id":1}]',
        b"{",
        b"\xff",
        b"",
    ],
)
def test_what_is_not_for_it_is_left_to_the_long_way(frame):
    assert refuse(frame) is None
