"""The file that keeps secrets: `secrets.toml` in the data directory, readable by its owner alone.

It has the structure of the config file. A file that anybody else may read is refused, not repaired:
what it holds may be known already. Two processes that start at once make one secret key, not two.
"""

import fcntl
import os
import re
import secrets
import stat
import tomllib
from pathlib import Path
from typing import Any, cast

from cluster.settings_error import SettingsError

NAME = "secrets.toml"
_OTHERS = 0o077
# 48 random bytes: more than the 256 bits that HMAC-SHA256 makes use of.
_KEY_BYTES = 48


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SettingsError: it cannot be read, or is not TOML; the message never quotes the file.
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text; allowed: TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None


def open_to_others(path: Path) -> bool:
    """Tell whether group or others have any right on a file."""
    return bool(path.stat().st_mode & _OTHERS)


def read_secrets(data_dir: Path) -> dict[str, Any]:
    """Read the secrets of a data directory; an absent file is an empty one.

    Raises:
        SettingsError: others may read it, it cannot be read, or it is not TOML.
    """
    return read_private(data_dir / NAME)


def read_private(path: Path) -> dict[str, Any]:
    """Read a TOML file that only its owner may read; an absent file is an empty one.

    Raises:
        SettingsError: others may read it, it cannot be read, or it is not TOML.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode) or mode & _OTHERS:
        raise SettingsError(
            f"{path}: found mode {stat.S_IMODE(mode):o}; allowed: 600, as it holds secrets (chmod 600 {path}, "
            "and replace them if others could read it)"
        )
    return read_toml(path)


def ensure_secret_key(data_dir: Path) -> str:
    """Return the signing key of a data directory, making it the first time.

    Raises:
        SettingsError: the directory cannot be written, or the file is not as it should be.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (data_dir / "secrets.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return _key_in(read_secrets(data_dir)) or _add_key(data_dir / NAME)
    except OSError as error:
        raise SettingsError(f"store.data_dir: {data_dir} cannot be written: {error.strerror}") from None


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 600, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _key_in(content: dict[str, Any]) -> str:
    section: object = content.get("security")
    key = cast("dict[str, object]", section).get("secret_key") if isinstance(section, dict) else None
    return key if isinstance(key, str) else ""


def _add_key(path: Path) -> str:
    key = secrets.token_urlsafe(_KEY_BYTES)
    line = f'secret_key = "{key}"\n'
    text = path.read_text() if path.exists() else "# Secrets of raydesk, read by its owner alone.\n"
    with_section, found = re.subn(r"(?m)^(\[security\][^\n]*\n)", lambda header: header[1] + line, text, count=1)
    text = with_section if found else f"{text.rstrip()}\n\n[security]\n{line}"
    try:
        written = _key_in(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        written = ""
    if written != key:
        raise SettingsError(f"{path}: no place found for security.secret_key; add a [security] table with it")
    write_private(path, text)
    return key
