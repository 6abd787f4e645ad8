"""``raydesk config``: the settings that count, as TOML, and where they were found."""

from pathlib import Path

import tomli_w

from cluster.secrets_file import NAME as SECRETS_FILE
from cluster.settings import Settings, find_config


def config_text(settings: Settings, given: Path | None) -> str:
    """Return a config file that has the same effect, but for its secrets, which are masked."""
    found = find_config(given)
    secrets = settings.store.data_dir / SECRETS_FILE
    lines = [
        f"# config file: {found.absolute() if found else 'none (config.toml here, --config or RAYDESK_CONFIG)'}",
        f"# secrets file: {secrets if secrets.exists() else f'none yet ({secrets})'}",
        "# RAYDESK_<SECTION>__<NAME> in the environment wins over both.",
        "",
    ]
    return "\n".join(lines) + "\n" + tomli_w.dumps(settings.masked())
