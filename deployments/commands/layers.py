"""Settings that the command line lays over the others."""

import os
from collections.abc import Mapping
from typing import Any

from cluster.settings import Settings


def layered(overrides: Mapping[str, Any], demo: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the overrides with the demo account in them, beside the accounts that there are without it.

    ``settings`` are those without the demo: an account that they have by default would vanish beside it.
    """
    accounts: dict[str, Any] = {name: {} for name in settings.accounts}
    return {**overrides, **demo, "accounts": {**accounts, **demo["accounts"]}}


def auto_scaled(settings: Settings) -> Settings:
    """Let the load raise the number of replicas to the cores here, or to what the settings say if more."""
    cores = os.cpu_count() or 1
    ingress, intent = settings.ingress, settings.intent
    most = max(ingress.max_replicas, ingress.min_replicas + 1, cores)
    models = max(intent.max_replicas, intent.min_replicas + 1, cores // intent.threads)
    changed = {
        "ingress": ingress.model_copy(update={"max_replicas": most}),
        "intent": intent.model_copy(update={"max_replicas": models}),
    }
    return settings.model_copy(update=changed)
