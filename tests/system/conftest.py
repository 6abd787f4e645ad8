"""One real system for all tests that only talk to one; starting it takes many seconds."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.command import Raydesk


@pytest.fixture(scope="session")
def system() -> Iterator[Raydesk]:
    """The demo system in a folder that has nothing but a ``models`` and a ``cluster`` folder of somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    for name in ("models", "cluster", "deployments"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('the wrong package was imported')\n")
    raydesk = Raydesk(folder)
    try:
        raydesk.up("--demo")
        yield raydesk
        raydesk.run("down")
    finally:
        raydesk.kill()
        shutil.rmtree(folder)


@pytest.fixture
def quiet() -> Iterator[Raydesk]:
    """A folder where no system runs."""
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    raydesk = Raydesk(folder)
    yield raydesk
    raydesk.kill()
    shutil.rmtree(folder)
