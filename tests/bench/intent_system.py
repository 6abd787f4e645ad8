"""The intent model's deployment alone on a Ray of its own, with a store to report to: for measuring and soaking it."""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import ray
import redis
from ray import serve

from cluster.actors import APP_NAME, INTENT_MODEL
from cluster.ray_flags import FLAGS, LOCAL_FLAGS
from cluster.settings import Settings, load_settings
from cluster.store import keys
from cluster.store.embedded import EmbeddedStore
from deployments.app import intent_deployment
from deployments.intent_client import IntentClient

_Done = TypeVar("_Done")
_ENVIRONMENT = (
    dict(FLAGS)
    | dict(LOCAL_FLAGS)
    | {
        "RAY_AUTH_MODE": "disabled",  # this Ray listens on the loopback only, and ends with us
        "TOKENIZERS_PARALLELISM": "false",  # as our deployment has it
    }
)


def restart_with_flags(module: str) -> None:
    """Run ``python -m module`` anew with Ray's flags in its environment; Ray reads them when it is imported."""
    if any(os.environ.get(name) != value for name, value in _ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], os.environ | _ENVIRONMENT)


@contextlib.contextmanager
def alone(intent: Mapping[str, Any]) -> Iterator[Settings]:
    """Start store and Ray; yields settings with ``intent`` in them."""
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    try:
        with EmbeddedStore(folder / "data") as store:
            (folder / "config.toml").write_text("")
            chosen = {"intent": dict(intent), "store": {"url": store.url, "data_dir": str(folder / "data")}}
            settings = load_settings(folder / "config.toml", chosen)
            ray.init("local", num_cpus=4, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
            try:
                yield settings
            finally:
                ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def then_shut_down(work: Awaitable[_Done]) -> _Done:
    """Shut Serve down after the work, in the loop in which its handles live."""
    try:
        return await work
    finally:
        await serve.shutdown_async()


@contextlib.contextmanager
def deployed(settings: Settings) -> Iterator[IntentClient]:
    """Run our deployment alone, as `deployments.app` makes it; yields its client."""
    serve.run(intent_deployment(settings).bind(settings), name=APP_NAME, route_prefix=None)
    try:
        yield IntentClient(serve.get_deployment_handle(INTENT_MODEL, APP_NAME))
    finally:
        serve.delete(APP_NAME)


def told(settings: Settings) -> dict[str, Any]:
    """Return what our replica said of itself last."""
    time.sleep(1.2)
    with redis.Redis.from_url(settings.store.url) as client:
        return msgspec.json.decode(client.get(keys.alive("intent", "0")) or b"{}")
