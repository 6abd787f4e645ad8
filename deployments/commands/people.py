"""``raydesk user`` and ``raydesk key``: changes of the directory, whether the system runs or not.

A password never stands among the arguments, where every user of the machine could read it.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from getpass import getpass
from typing import Any

from rich.console import Console
from rich.table import Table

from cluster.settings import Settings
from cluster.store.directory import Directory
from cluster.store.passwords import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS
from deployments.commands.failure import CommandError
from deployments.commands.opening import opened_store
from models.domain.agent import User

Work = Callable[..., Awaitable[None]]


def run_with_directory(settings: Settings, account: str, work: Work, *args: Any) -> int:
    """Run ``work(directory, account, *args)`` on the store.

    Raises:
        CommandError: no such account, several to choose from, or no store.
    """
    chosen = _chosen(settings, account)

    async def run() -> None:
        async with opened_store(settings) as redis:
            directory = Directory(redis)
            known = {*settings.accounts, *await directory.accounts()}
            if chosen not in known:
                raise CommandError(f"There is no account {chosen!r}; there are: {', '.join(sorted(known))}.")
            await directory.add_account(chosen)
            await work(directory, chosen, *args)

    asyncio.run(run())
    return 0


def _chosen(settings: Settings, account: str) -> str:
    if account:
        return account
    if len(settings.accounts) > 1:
        raise CommandError(f"Which account? Say --account with one of: {', '.join(sorted(settings.accounts))}.")
    return next(iter(settings.accounts))


def new_password(from_stdin: bool) -> str:
    """Ask for a new password twice, or read one line.

    Raises:
        CommandError: the two differ, the length is not allowed, or there is nobody to ask.
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif not sys.stdin.isatty():
        raise CommandError("There is no terminal to ask for the password at; use --password-stdin.")
    else:
        password = getpass("Password: ")
        if password != getpass("Again: "):
            raise CommandError("The two passwords differ; nothing was changed.")
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise CommandError(f"A password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters; nothing changed.")
    return password


async def add_user(directory: Directory, account: str, user: User, password: str) -> None:
    """Add a user and say so."""
    await directory.add(account, user, password)
    print(f"{user.name} may log in to account {account} as {user.role}.")


async def set_password(directory: Directory, account: str, name: str, password: str) -> None:
    """Change a password and say so."""
    await directory.set_password(account, name, password)
    print(f"{name} has a new password; sessions that began before cannot be renewed.")


async def list_users(directory: Directory, account: str) -> None:
    """Print the users of an account."""
    users = await directory.list(account)
    if not users:
        print(f"Account {account} has no users; add one with `raydesk user add NAME`.")
        return
    rows = [
        (user.name, user.role, ", ".join(user.skills), str(user.capacity or "default"), "yes" if user.active else "no")
        for user in users
    ]
    _print_table(("name", "role", "skills", "capacity", "may log in"), rows)


async def add_key(directory: Directory, account: str, label: str) -> None:
    """Make a key; the key alone goes to standard output, for a script to take."""
    key, about = await directory.create_key(account, label)
    print(f"API key {about.id} of account {account}; it cannot be shown again:", file=sys.stderr)
    print(key)


async def list_keys(directory: Directory, account: str) -> None:
    """Print what is known of an account's keys."""
    found = await directory.list_keys(account)
    if not found:
        print(f"Account {account} has no API keys; make one with `raydesk key add LABEL`.")
        return
    rows = [(key.id, key.label, f"{_utc(key.created_at_ms):%Y-%m-%d %H:%M} UTC") for key in found]
    _print_table(("id", "label", "made at"), rows)


async def revoke_key(directory: Directory, account: str, key_id: str) -> None:
    """Revoke a key and say so."""
    await directory.revoke_key(account, key_id)
    print(f"API key {key_id} opens nothing any more.")


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table; a pipe gets plain columns without a frame, and no line is cut."""
    console = Console()
    if not console.is_terminal:
        widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
        for row in (columns, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
