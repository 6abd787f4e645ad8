"""The README's programs against a whole system: real Ray, real HTTP, real sockets.

``README_SYSTEM`` may name one that runs: base URL, inbox, account, name and password, with blanks between.
"""

import os

import pytest

from tests.readme import Place, run_both
from tests.system.command import passwords

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(400)]
_WORDS = ("base", "inbox", "account", "name", "password")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def place(request):
    named = os.environ.get("README_SYSTEM", "").split()
    if named:
        return Place(**dict(zip(_WORDS, named, strict=True)))
    system = request.getfixturevalue("system")
    password = passwords(system.said)["bob"]
    return Place(base=system.base, inbox="demo-web", account="demo", name="bob", password=password)


async def test_a_visitor_gets_the_agents_answer(place):
    assert "agent: It comes today." in await run_both(place)
