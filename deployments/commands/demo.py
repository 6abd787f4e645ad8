"""The demo account: one web inbox, two agents, a supervisor and an API key, with random secrets of this data directory.

The secrets are made once and kept in ``demo.toml`` (mode 600), so that every start prints the same ones and
an open desk stays logged in.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from cluster.secrets_file import read_private, write_private
from cluster.settings import SettingsError
from cluster.store.directory import Directory
from models.domain.agent import User
from models.domain.errors import Conflict

NAME = "demo.toml"
ACCOUNT = "demo"
INBOX = "demo-web"
_KEY_LABEL = "demo"
_PASSWORD_BYTES = 9
_VOUCH_BYTES = 32
USERS: tuple[User, ...] = (
    User(name="alice"),
    User(name="bob"),
    User(name="carol", role="supervisor"),
)


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """The demo account's secrets.

    Args:
        vouch_secret: the key of the account's HMAC.
        passwords: by user; one that was changed since with ``raydesk user passwd`` is empty.
        api_key: empty until the store made one.
    """

    vouch_secret: str
    passwords: dict[str, str]
    api_key: str = ""

    def overrides(self) -> Mapping[str, Any]:
        """Return the settings that add the account and its inbox to the configured ones."""
        return {
            "accounts": {ACCOUNT: {"vouch_secret": self.vouch_secret}},
            "inboxes": {INBOX: {"account": ACCOUNT, "channel": "web"}},
        }


def load_demo(data_dir: Path) -> Demo:
    """Return the secrets of a data directory, new ones the first time.

    Raises:
        SettingsError: the file is not as it should be, or others may read it.
    """
    path = data_dir / NAME
    kept = read_private(path)
    if not kept:
        return Demo(
            vouch_secret=secrets.token_hex(_VOUCH_BYTES),
            passwords={user.name: secrets.token_urlsafe(_PASSWORD_BYTES) for user in USERS},
        )
    try:
        return msgspec.convert(kept, Demo)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}; remove the file for a new demo account") from None


async def settle_demo(demo: Demo, directory: Directory, data_dir: Path) -> Demo:
    """Bring users and API key into the store and the secrets into their file; returns what holds now."""
    await directory.add_account(ACCOUNT)
    passwords: dict[str, str] = {}
    for user in USERS:
        password = demo.passwords.get(user.name) or secrets.token_urlsafe(_PASSWORD_BYTES)
        try:
            await directory.add(ACCOUNT, user, password)
        except Conflict:
            if await directory.verify(ACCOUNT, user.name, password) is None:
                password = ""
        passwords[user.name] = password
    api_key = demo.api_key
    if not api_key or await directory.verify_key(api_key) is None:
        api_key, _ = await directory.create_key(ACCOUNT, _KEY_LABEL)
    settled = Demo(vouch_secret=demo.vouch_secret, passwords=passwords, api_key=api_key)
    if settled != demo or not (data_dir / NAME).exists():
        write_private(data_dir / NAME, tomli_w.dumps(msgspec.to_builtins(settled)))
    return settled
