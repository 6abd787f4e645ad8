"""What every long-running process of ours does at its start."""

import gc

#: Young objects before a collection. The default (700) collects several times per batch of messages and
#: walks whatever the batch holds; almost all of ours die by reference count.
_YOUNG = 50_000
_OLD = 50


def settle_garbage_collector() -> None:
    """Leave what was imported out of every collection, and collect rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLD, _OLD)
