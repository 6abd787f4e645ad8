"""Keeping a Serve replica off the network where Ray itself is.

A replica opens a port for calls between deployments on every interface, whatever address its node has.
Ray's token guards it, but a system that binds to the loopback has no reason to show it at all.
"""

from typing import Any

import ray
from ray.serve._private import replica

_LOOPBACK = ("127.0.0.1", "::1")
_EVERYWHERE = "[::]:"


def keep_on_loopback() -> None:
    """Have this process' replica listen on the loopback, if its node does; call it from the deployment's constructor.

    Serve has no setting for it, so its reference to the function that opens the port is replaced. The replica
    builds its deployment before it opens the port.
    """
    address = ray.util.get_node_ip_address()
    if address not in _LOOPBACK:
        return
    open_port = replica.add_port_to_grpc_server
    host = f"[{address}]" if ":" in address else address

    def open_local_port(server: Any, wanted: str) -> int:
        return open_port(server, wanted.replace(_EVERYWHERE, f"{host}:", 1))

    replica.add_port_to_grpc_server = open_local_port
