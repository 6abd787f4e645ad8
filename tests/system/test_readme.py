"""The README's programs against a whole system that runs: real Ray, real HTTP, real sockets.

The system is named by ``README_SYSTEM``: base URL, inbox, account, name and password, with blanks between.
"""

import os

import pytest

from tests.readme import Place, run_both

pytestmark = [pytest.mark.anyio, pytest.mark.system]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def place():
    named = os.environ.get("README_SYSTEM", "").split()
    if not named:
        pytest.skip("README_SYSTEM names no running system")
    return Place(**dict(zip(("base", "inbox", "account", "name", "password"), named, strict=True)))


async def test_a_visitor_gets_the_agents_answer(place):
    assert "answer: It comes today." in await run_both(place)
