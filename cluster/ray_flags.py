"""Flags of Ray and Serve: the one place that lists them, each with its reason.

Ray's processes, Serve's controller, its replicas and the driver each read them from their own environment,
so they are exported before Ray starts. ``raydesk up`` does it for a Ray of its own; a cluster's files
(cluster.yaml, cluster/kubernetes/rayservice.yaml) carry the same `FLAGS`, which a test compares.
A flag that stands in the environment already is left as it is.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType

#: For every system.
FLAGS: Mapping[str, str] = MappingProxyType(
    {
        # Ten times the requests of Serve's default path; docs/architecture.md has the figures.
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # HAProxy in front of the replicas, instead of a proxy written in Python.
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # A self-hosted system reports to nobody.
        "RAY_USAGE_STATS_ENABLED": "0",
        # Nobody may run code on the cluster without its token. Said outright, Ray does not warn about it.
        "RAY_AUTH_MODE": "token",
        # Ray would start a worker per core for tasks that we do not have.
        "RAY_prestart_worker_first_driver": "0",
        # Ray runs its workers at niceness 15, behind everything else on the machine; ours are the service.
        "RAY_worker_niceness": "0",
        # Events of each call are for the dashboard's task view, and cost on the hot path.
        "RAY_task_events_report_interval_ms": "0",
    }
)

#: Despite its name it holds on Linux too: 0 makes every process of Ray listen on 127.0.0.1 only.
LOOPBACK_FLAG = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

#: For a Ray that lives on one machine, beside `FLAGS`.
LOCAL_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        LOOPBACK_FLAG: "0",
        # No load balancer of others has to notice first that a replica goes; 30 s otherwise at each stop.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    }
)


def export(flags: Mapping[str, str]) -> None:
    """Put flags into the environment of this process and of all that it starts."""
    for name, value in flags.items():
        os.environ.setdefault(name, value)
