"""A Ray that is not there is noticed in seconds; one that is just starting is waited for."""

import socket
import threading
import time

import pytest

from cluster.ray_address import await_head


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_place_where_nothing_listens_is_told(port, form):
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match=r"nothing listened there for 0\.5 s"):
        await_head(form.format(port), within_s=0.5)
    assert time.monotonic() - begun < 3


def test_a_head_that_is_just_starting_is_waited_for(port):
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def listen():
        listening.bind(("127.0.0.1", port))
        listening.listen()

    with listening:
        starting = threading.Timer(0.6, listen)
        starting.start()
        await_head(f"127.0.0.1:{port}", within_s=10)
        starting.join()


@pytest.mark.parametrize("address", ["auto", "local"])
def test_words_that_name_no_place_are_left_to_ray(address):
    await_head(address, within_s=0)


def test_a_port_that_is_none_is_told():
    with pytest.raises(ConnectionError, match="no port"):
        await_head("127.0.0.1:99999999")
