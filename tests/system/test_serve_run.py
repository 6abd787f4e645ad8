"""``serve run deployments.app:app`` on a Ray that runs already brings up the same system, and takes it down."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.commands.own_system import free_ports
from tests.system.own_ray import OwnRay
from tests.waiting import wait_until

WITHIN_S = 90.0


class RayWithSystem(OwnRay):
    """A Ray head as an administrator starts it, and what runs on it."""

    def __init__(self, folder: Path) -> None:
        self.http, self.gateway = free_ports(1), free_ports(1)
        super().__init__(
            folder,
            RAYDESK_GATEWAY__PORT=str(self.gateway),
            RAYDESK_GATEWAY__COUNT="1",
            RAYDESK_STORE__DATA_DIR=str(folder / "data"),
            RAYDESK_INBOXES__WEB__ACCOUNT="default",
            RAYDESK_INBOXES__WEB__CHANNEL="web",
        )

    def kill(self) -> None:
        """End whatever is left, by pid."""
        super().kill()
        psutil.wait_procs([child for child in self.stores() if child.kill() is None], timeout=5)

    def stores(self) -> list[psutil.Process]:
        """The valkey-server of our data folder, while it lives."""
        try:
            return [psutil.Process(int((self.folder / "data" / "store" / "valkey.pid").read_text()))]
        except (OSError, ValueError, psutil.NoSuchProcess):
            return []


@pytest.fixture
def ray() -> Iterator[RayWithSystem]:
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    ray = RayWithSystem(folder)
    yield ray
    ray.kill()
    shutil.rmtree(folder)


@pytest.mark.timeout(240)
def test_serve_run_brings_up_the_same_system_and_takes_it_down(ray: RayWithSystem) -> None:
    ray.start_head()
    serving = ["serve", "start", "--http-host=127.0.0.1", f"--http-port={ray.http}"]
    wait_until(lambda: ray.start("start", *serving).wait() == 0, WITHIN_S, "Serve to start")
    run = ray.start("run", "serve", "run", "deployments.app:app")

    def connected() -> dict[str, str] | None:
        if run.poll() is not None:
            raise AssertionError((ray.folder / "run.txt").read_text())
        try:
            answer = httpx.post(f"http://127.0.0.1:{ray.http}/v1/connect", json={"inbox": "web"})
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None

    seat = wait_until(connected, WITHIN_S, "a gateway to be handed out")
    assert seat["gateway"] == f"ws://127.0.0.1:{ray.gateway}/visitor"
    assert ray.stores()
    run.send_signal(signal.SIGINT)
    run.wait(WITHIN_S)
    wait_until(lambda: not ray.stores(), WITHIN_S, "the store to be stopped")
