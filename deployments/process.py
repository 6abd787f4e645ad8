"""What every long-running process of ours does at its start."""

import contextlib
import gc
import os
import sys
import threading

#: Young objects before a collection. The default (700) collects several times per batch of messages and
#: walks whatever the batch holds; almost all of ours die by reference count.
_YOUNG = 50_000
_OLD = 50


def settle_garbage_collector() -> None:
    """Leave what was imported out of every collection, and collect rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLD, _OLD)


#: Ray's own threads need the interpreter for a moment at each call, and a busy event loop keeps it for
#: this long before it is asked to give way; a call needs it several times on its way there and back.
_SWITCH_S = 0.0002


def give_way_to_ray() -> None:
    """Let Ray's threads have the interpreter soon, although the event loop is busy."""
    sys.setswitchinterval(_SWITCH_S)


#: A tenth of the weight of a process that carries messages.
_BEHIND = 10


def go_behind() -> None:
    """Leave the processors to whoever carries messages: this thread works with the time that is left.

    Only Linux gives a thread a priority of its own; elsewhere nothing happens.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _BEHIND)
