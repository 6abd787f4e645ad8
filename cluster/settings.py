"""All settings: one TOML file, each overridable by ``RAYDESK_<SECTION>__<NAME>``; the only reader of the environment.

Later sources win: defaults, config file, ``secrets.toml`` of the data directory, environment, the
caller's overrides (command line). The result is frozen, complete (no ``0`` that stands for "as many as
the cores allow") and goes by pickle to every actor, so that all processes of a system agree.
A wrong or unknown setting stops the start with a `SettingsError` that names it.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, cast

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from cluster.secrets_file import NAME as SECRETS_FILE
from cluster.secrets_file import ensure_secret_key, open_to_others, read_secrets, read_toml
from cluster.settings_error import SettingsError, problems_of, redacted
from cluster.settings_rules import PREFIX, disagreements
from cluster.settings_sections import (
    AccountSettings,
    BotSettings,
    DispatcherSettings,
    GatewaySettings,
    HttpSettings,
    InboxSettings,
    IngressSettings,
    IntentSettings,
    LimitSettings,
    LogSettings,
    Name,
    RaySettings,
    RouterSettings,
    Section,
    SecuritySettings,
    StoreSettings,
)

__all__ = [
    "MASK",
    "AccountSettings",
    "BotSettings",
    "DispatcherSettings",
    "GatewaySettings",
    "HttpSettings",
    "InboxSettings",
    "IngressSettings",
    "IntentSettings",
    "LimitSettings",
    "LogSettings",
    "RaySettings",
    "RouterSettings",
    "SecuritySettings",
    "Settings",
    "SettingsError",
    "StoreSettings",
    "find_config",
    "load_settings",
]

MASK = "********"
CONFIG_VARIABLE = "RAYDESK_CONFIG"
DEFAULT_CONFIG = Path("config.toml")
DEFAULT_ACCOUNT = "default"
# Kubernetes tells a pod of every Service by such variables; those of a Service named raydesk-... are no settings.
_SERVICE_LINK = re.compile(
    r"RAYDESK_(?:(?!__)\w)*?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)$"
)


class Settings(BaseSettings):
    """All settings of one system.

    Made by `load_settings`; made directly, it reads nothing but its arguments.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    http: HttpSettings = HttpSettings()
    ingress: IngressSettings = IngressSettings()
    gateway: GatewaySettings = GatewaySettings()
    router: RouterSettings = RouterSettings()
    dispatcher: DispatcherSettings = DispatcherSettings()
    intent: IntentSettings = IntentSettings()
    bot: BotSettings = BotSettings()
    store: StoreSettings = Field(default_factory=StoreSettings)
    limits: LimitSettings = LimitSettings()
    security: SecuritySettings = SecuritySettings()
    accounts: dict[Name, AccountSettings] = Field(default_factory=dict[str, AccountSettings])
    inboxes: dict[Name, InboxSettings] = Field(default_factory=dict[str, InboxSettings])
    ray: RaySettings = RaySettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments alone: `load_settings` reads the sources, as their errors must name them."""
        return (init_settings,)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Add what must be there, and check what no setting can tell alone."""
        if not self.accounts:
            self.accounts[DEFAULT_ACCOUNT] = AccountSettings()
        if problems := list(disagreements(self)):
            raise ValueError("\n".join(problems))
        return self

    @property
    def files_folder(self) -> Path | None:
        """Where files are kept; None where none are taken."""
        return self.store.files_folder if self.limits.file_bytes else None

    def answer_within_s(self, account: str) -> float:
        """Return the seconds within which a contact of an account shall get an answer."""
        return self.accounts.get(account, AccountSettings()).answer_within_s

    def masked(self) -> dict[str, Any]:
        """Return everything as plain values, with ``********`` for each secret that is set."""
        return _masked(self)


def load_settings(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None, *, create_secrets: bool = True
) -> Settings:
    """Read the settings of this process.

    Args:
        path: the config file; None = ``RAYDESK_CONFIG``, or ``config.toml`` here if there is one.
        overrides: settings that win over all others, by section: ``{"http": {"port": 8080}}``.
        create_secrets: make ``security.secret_key`` and keep it in the data directory, if none is set.

    Raises:
        SettingsError: a setting is unknown, wrong, or stands where others may read it.
    """
    config_path = find_config(path)
    environment, problems = _environment()
    sources: list[tuple[str, dict[str, Any]]] = [("the command line", _plain(overrides or {}))]
    sources.append(("the environment", environment))
    if config_path:
        config = read_toml(config_path)
        problems += _exposed_secrets(config_path, config)
        sources.append((str(config_path), config))
    data_dir = _data_dir(sources)
    sources.insert(2, (str(data_dir / SECRETS_FILE), read_secrets(data_dir)))
    settings = _validated(sources, problems)
    if create_secrets and not settings.security.secret_key.get_secret_value():
        made = {"security": {"secret_key": ensure_secret_key(settings.store.data_dir)}}
        settings = _validated([(str(data_dir / SECRETS_FILE), made), *sources], [])
    return settings


class _EnvironmentSource(EnvSettingsSource):
    """Reads ``RAYDESK_`` variables as plain text: a secret made of digits must not become a JSON number."""

    def decode_complex_value(self, field_name: str, field: object, value: object) -> object:
        return value


def _environment() -> tuple[dict[str, Any], list[str]]:
    """Return the overrides in the environment, and a line for every variable that is none."""
    source = _EnvironmentSource(Settings, env_prefix=PREFIX, env_nested_delimiter="__", case_sensitive=False)
    values = source()
    problems: list[str] = []
    for variable in sorted(os.environ):
        if not variable.upper().startswith(PREFIX) or variable.upper() == CONFIG_VARIABLE:
            continue
        if "KUBERNETES_SERVICE_HOST" in os.environ and _SERVICE_LINK.match(variable):
            continue
        section, *names = variable[len(PREFIX) :].lower().split("__")
        taken = _lookup(values, (section, *names)) == os.environ[variable]
        if section not in Settings.model_fields or not names or not taken:
            known = ", ".join(Settings.model_fields)
            problems.append(
                f"{variable}: unknown variable in the environment; allowed: {PREFIX}<SECTION>__<NAME>, or "
                f"{CONFIG_VARIABLE} for the file; the sections are {known}"
            )
            values.pop(section, None)
    return values, problems


def _validated(sources: list[tuple[str, dict[str, Any]]], problems: list[str]) -> Settings:
    """Merge the sources, first one first, and check the result."""
    merged: dict[str, Any] = {}
    for _, values in reversed(sources):
        merged = _merge(merged, values)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingsError(*problems, *problems_of(error, Settings, _finder(sources))) from None
    settings = _completed(settings)
    # With the real numbers, the gateways' ports may reach further.
    if problems := [*problems, *disagreements(settings)]:
        raise SettingsError(*problems)
    return settings


def _completed(settings: Settings) -> Settings:
    """Put numbers in place of "as many as the cores allow", so that every process counts the same."""
    cores = settings.ray.cpus or _cores()
    half = max(1, cores // 2)
    changed: dict[str, Section] = {}
    if not settings.gateway.count:
        changed["gateway"] = settings.gateway.model_copy(update={"count": half})
    if not settings.router.count:
        changed["router"] = settings.router.model_copy(update={"count": half})
    return settings.model_copy(update=changed)


def _cores() -> int:
    """Count the cores that this process may use; not every system can tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finder(sources: list[tuple[str, dict[str, Any]]]) -> Callable[[tuple[str, ...]], str]:
    def found_in(path: tuple[str, ...]) -> str:
        for name, values in sources:
            if path and _lookup(values, path) is not None:
                variable = PREFIX + "__".join(path).upper()
                return f" in {variable if name == 'the environment' else name}"
        return ""

    return found_in


def find_config(path: Path | None = None) -> Path | None:
    """Return the config file that counts: ``path``, else ``RAYDESK_CONFIG``, else ``config.toml`` here, else none.

    Raises:
        SettingsError: the file that was named does not exist.
    """
    named = path or (Path(variable) if (variable := os.environ.get(CONFIG_VARIABLE)) else None)
    if named is None:
        return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None
    if not named.is_file():
        origin = "" if path else f" (from {CONFIG_VARIABLE})"
        raise SettingsError(f"{named}{origin}: no such config file; allowed: the path of a TOML file")
    return named


def _data_dir(sources: list[tuple[str, dict[str, Any]]]) -> Path:
    """Find the data directory before all is validated, as it holds one of the sources."""
    given = next((found for _, values in sources if (found := _lookup(values, ("store", "data_dir")))), None)
    return Path(given if isinstance(given, str | Path) else "data").expanduser().absolute()


def _exposed_secrets(path: Path, config: dict[str, Any]) -> list[str]:
    if not open_to_others(path):
        return []
    return [
        f"{'.'.join(name)}: a secret in {path}, which others may read; allowed: a file of mode 600 "
        f"(chmod 600 {path}), {SECRETS_FILE} of the data directory, or the environment"
        for name, value in _leaves(config)
        if value and _is_secret(name, value)
    ]


def _is_secret(path: tuple[str, ...], value: object) -> bool:
    """Tell whether a setting is a secret by its name, or has a password in its URL."""
    if path == ("store", "url"):
        return isinstance(value, str) and redacted(value) != value
    sections = (StoreSettings, SecuritySettings, AccountSettings, InboxSettings)
    fields = [section.model_fields.get(path[-1]) for section in sections]
    return any(field is not None and field.annotation is SecretStr for field in fields)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        both = isinstance(value, Mapping) and isinstance(below, dict)
        merged[name] = _merge(cast("dict[str, Any]", below), cast("Mapping[str, Any]", value)) if both else value
    return merged


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }


def _lookup(values: Mapping[str, Any], path: tuple[str, ...]) -> object:
    current: object = values
    for part in path:
        if not isinstance(current, Mapping):
            return None
        current = cast("Mapping[str, object]", current).get(part)
    return current


def _leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(cast("Mapping[str, Any]", value), (*path, name))
        else:
            yield (*path, name), value


def _masked(model: BaseModel) -> dict[str, Any]:
    return {name: _masked_value(getattr(model, name)) for name in type(model).model_fields}


def _masked_value(value: object) -> Any:
    match value:
        case BaseModel():
            return _masked(value)
        case dict():
            return {name: _masked_value(entry) for name, entry in cast("dict[str, object]", value).items()}
        case SecretStr():
            return MASK if value.get_secret_value() else ""
        case Path():
            return str(value)
        case str():
            return redacted(value)
        case _:
            return value
