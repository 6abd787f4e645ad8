"""As many descriptors as a generator's sockets need, or a plain word that the machine does not allow them."""

import resource

from cluster.load.orders import CannotGenerate

#: Descriptors beside the sockets: connections for HTTP, pipes, files.
_SPARE_DESCRIPTORS = 1_000


def check_descriptors(sockets: int) -> None:
    """Allow this process as many descriptors as its sockets need.

    Raises:
        CannotGenerate: the machine does not allow it.
    """
    needed = sockets + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise CannotGenerate(
            f"descriptors: found at most {hard:,}; needed: {needed:,} for {sockets:,} sockets; raise them with "
            "`ulimit -n`, or use more generators"
        )
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
