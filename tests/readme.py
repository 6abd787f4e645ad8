"""The programs that README.md shows, run as they stand there: only the line with address and login is changed."""

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
_PROGRAM = re.compile(r"^## (?P<title>A visitor|An agent)$.*?^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A running system, and who may use it.

    Args:
        base: URL of the ingress.
        inbox: a web inbox of ``account``.
        account, name, password: the login of an agent with room for a conversation.
    """

    base: str
    inbox: str
    account: str
    name: str
    password: str


def programs() -> dict[str, str]:
    """Return the programs of the README by the heading above them."""
    return {found["title"]: found["code"] for found in _PROGRAM.finditer(README.read_text(encoding="utf-8"))}


def at(place: Place, code: str) -> str:
    """Return a program with the address and login of another place in the one line that has them."""
    login = {"account": place.account, "name": place.name, "password": place.password}
    line = f"base, inbox, login = {place.base!r}, {place.inbox!r}, {login!r}"
    changed, count = re.subn(r"^base, \w+ = .*$", lambda _: line, code, flags=re.MULTILINE)
    assert count == 1, "a program of the README has one line with address and login"
    return changed


async def run_both(place: Place, within_s: float = 30.0) -> str:
    """Run both until the visitor has the agent's answer; returns what the visitor printed.

    Raises:
        AssertionError: a program failed; its words are in the message.
        TimeoutError: there was no answer.
    """
    agent = await _start(at(place, programs()["An agent"]))
    try:
        async with asyncio.timeout(within_s):
            visitor = await _start(at(place, programs()["A visitor"]))
            try:
                printed = await _until_the_agent_speaks(visitor)
            finally:
                await _end(visitor)
        assert agent.returncode is None, (await agent.communicate())[1].decode()
    finally:
        await _end(agent)
    return printed


async def _until_the_agent_speaks(visitor: asyncio.subprocess.Process) -> str:
    assert visitor.stdout is not None
    assert visitor.stderr is not None
    printed = ""
    while line := (await visitor.stdout.readline()).decode():
        printed += line
        if line.startswith("agent:"):
            return printed
    raise AssertionError(f"the visitor ended: {(await visitor.stderr.read()).decode()}")


async def _start(code: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe, stderr=pipe)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
