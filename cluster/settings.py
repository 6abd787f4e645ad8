"""All settings: one TOML file, each overridable by ``RAYDESK_<SECTION>__<NAME>``; the only reader of the environment.

Later sources win: defaults, config file, ``secrets.toml`` of the data directory, environment, the
caller's overrides (command line). The result is frozen, complete (no ``0`` that stands for "as many as
the cores allow") and goes by pickle to every actor, so that all processes of a system agree.
A wrong or unknown setting stops the start with a `SettingsError` that names it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from cluster.secrets_file import NAME as SECRETS_FILE
from cluster.secrets_file import ensure_secret_key, open_to_others, read_secrets, read_toml
from cluster.settings_error import SettingsError, problems_of, redacted

__all__ = ["MASK", "AccountSettings", "InboxSettings", "Settings", "SettingsError", "load_settings"]

MASK = "********"
PREFIX = "RAYDESK_"
CONFIG_VARIABLE = "RAYDESK_CONFIG"
DEFAULT_CONFIG = Path("config.toml")
DEFAULT_ACCOUNT = "default"

Port = Annotated[int, Field(ge=1, le=65_535)]
Count = Annotated[int, Field(ge=0, le=1_024)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Host = Annotated[str, Field(min_length=1, max_length=255)]
# No double underscore and none at the end: it parts the names of an environment variable.
Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]|_[a-z0-9-])*$", max_length=32)]


class Section(BaseModel):
    """A table of the file; frozen, and closed to unknown names."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, validate_default=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_by_accident(cls, value: object) -> object:
        """Refuse ``true`` where Python would take it for 1; no setting is a yes or no."""
        if isinstance(value, bool):
            raise ValueError(f"found {str(value).lower()}; allowed: a number or a text")  # noqa: TRY004 - for pydantic
        return value


class HttpSettings(Section):
    """Where the ingress listens."""

    host: Host = Field("127.0.0.1", description="Address that the HTTP ingress binds to.")
    port: Port = Field(7400, description="TCP port of the HTTP ingress.")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/@]+(/[^\s]*)?)?$",
        description="URL by which others reach the ingress, as a proxy in front shows it; empty = http://host:port.",
    )


class IngressSettings(Section):
    """How many ingress replicas run."""

    min_replicas: Positive = Field(1, description="Replicas of the ingress that always run.")
    max_replicas: Positive = Field(1, description="Replicas that load may raise it to; `--auto-scale` raises this.")
    max_ongoing_requests: Positive = Field(
        1_000, description="HTTP requests that one replica works on at once; more are refused with 503."
    )


class GatewaySettings(Section):
    """The processes that hold the sockets."""

    host: Host = Field("127.0.0.1", description="Address that the gateways bind to.")
    port: Port = Field(7410, description="TCP port of the first gateway; the others take the ports after it.")
    count: Count = Field(0, description="Gateways in the system; 0 = half the cores, at least 1.")
    public_url: str = Field(
        "",
        pattern=r"^(wss?://[^\s/@]+(/[^\s]*)?)?$",
        description="URL by which clients reach a gateway, where `{port}` stands for its port; empty = ws://host:port.",
    )
    ping_idle_s: Seconds = Field(20.0, description="Seconds of silence after which a socket is pinged.")
    open_timeout_s: Seconds = Field(
        10.0, description="Seconds within which a socket must open its session; after that it is closed."
    )


class RouterSettings(Section):
    """The actors that own the conversations, one per shard."""

    count: Count = Field(0, description="Routers, and so shards, in the system; 0 = half the cores, at least 1.")
    # Ray inlines arguments under 100 KB in the call; larger ones go through its object store.
    batch_bytes: Positive = Field(80_000, description="Bytes of encoded commands that one call to a router carries.")
    queue_limit: Positive = Field(
        20_000, description="Messages that one sender keeps waiting for one shard; more are refused as overloaded."
    )
    deadline_s: Seconds = Field(10.0, description="Seconds after which a command without answer is unavailable.")
    cached_contacts: Positive = Field(50_000, description="Contacts that one router keeps in memory.")


class DispatcherSettings(Section):
    """Who gets the next conversation."""

    offer_timeout_s: Seconds = Field(30.0, description="Seconds that an agent has to accept an offer.")
    away_grace_s: Seconds = Field(
        30.0, description="Seconds that an agent may be gone before the conversations are handed on."
    )
    tick_s: Seconds = Field(0.25, description="Seconds between two looks at offers, graces and snoozes that end.")
    default_capacity: Positive = Field(
        5, description="Conversations that an agent holds at once, where the user has no own capacity."
    )


class StoreSettings(Section):
    """The Valkey that keeps everything."""

    url: str = Field(
        "",
        pattern=r"^((redis|rediss|unix)://[^\s]+)?$",
        description="URL of your own Valkey or Redis (redis://, rediss://, unix://); empty = the embedded one.",
    )
    password: SecretStr = Field(SecretStr(""), description="Secret. Password of your own store; empty = none.")
    data_dir: Path = Field(
        Path("data"), description="Folder of the embedded store and of secrets.toml, seen from where raydesk starts."
    )
    log_entries: Positive = Field(
        10_000, description="Entries kept of each desk's event log; a desk that is further behind gets a snapshot."
    )
    appendfsync: Literal["always", "everysec"] = Field(
        "always", description="When the embedded store calls fsync; `everysec` may lose a second at a power cut."
    )

    @model_validator(mode="before")
    @classmethod
    def _take_password_out_of_url(cls, given: object) -> object:
        if not isinstance(given, Mapping) or not isinstance(url := given.get("url"), str):
            return cast("object", given)
        values = dict(cast("Mapping[str, object]", given))
        bare, password = _split_password(url)
        if password and values.get("password"):
            raise ValueError("url and password both have a password; allowed: one of them")
        return values | {"url": bare} | ({"password": password} if password else {})

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        """Fix the folder at the start: actors run elsewhere."""
        return path.expanduser().absolute()

    @property
    def embedded(self) -> bool:
        """Whether raydesk runs the store itself."""
        return not self.url


class LimitSettings(Section):
    """What one client may ask for."""

    text_bytes: Positive = Field(20_000, description="Bytes of UTF-8 in the text of one message.")
    frame_bytes: Positive = Field(65_536, description="Bytes in one frame of a socket.")
    body_bytes: Positive = Field(1_048_576, description="Bytes in the body of one HTTP request.")
    bulk_lines: Positive = Field(1_000, description="Lines in one NDJSON body.")
    socket_rate: Positive = Field(50, description="Frames a second that one socket may send for long.")
    socket_burst: Positive = Field(200, description="Frames that one socket may send at once.")
    key_rate: Positive = Field(1_000, description="Messages a second that one API key may send for long.")
    key_burst: Positive = Field(5_000, description="Messages that one API key may send at once.")
    sockets_per_address: Positive = Field(2_000, description="Open sockets of one IP address at one gateway.")
    logins_per_minute: Positive = Field(20, description="Login attempts a minute, per IP address and per user.")


class SecuritySettings(Section):
    """Keys and lifetimes of tokens."""

    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Secret. Key that signs the tokens, at least 32 characters; empty = made once, in secrets.toml.",
    )
    token_lifetime_s: Seconds = Field(3_600, description="Seconds for which the token of `POST /v1/connect` opens.")
    session_lifetime_s: Seconds = Field(43_200, description="Seconds for which an agent stays logged in.")
    visitor_lifetime_s: Seconds = Field(2_592_000, description="Seconds for which a visitor's token is good.")


class AccountSettings(Section):
    """A tenant."""

    vouch_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret. Key of the HMAC by which the account's backend vouches for a user; empty = refused.",
    )


class InboxSettings(Section):
    """One configured endpoint of a channel."""

    account: str = Field(description="Account that the inbox belongs to.")
    channel: Literal["web", "wechat", "api"] = Field(description="Kind of medium.")
    skill: str = Field("", max_length=64, description="Skill that its conversations ask for; empty = any agent.")
    app_id: str = Field("", description="WeChat: the AppID of the official account.")
    token: SecretStr = Field(SecretStr(""), description="Secret. WeChat: the token that signs its requests.")
    encoding_aes_key: SecretStr = Field(
        SecretStr(""), description="Secret. WeChat: the 43 characters that encrypt its messages, for mode aes."
    )
    app_secret: SecretStr = Field(SecretStr(""), description="Secret. WeChat: the AppSecret, to send answers.")
    mode: Literal["aes", "plain"] = Field(
        "aes", description="WeChat: whether messages come encrypted; the other kind is refused."
    )
    api_base: str = Field(
        "https://api.weixin.qq.com",
        pattern=r"^https?://[^\s/@]+(/[^\s]*)?$",
        description="WeChat: base URL of the vendor's API.",
    )


class RaySettings(Section):
    """The Ray that everything runs on."""

    address: str = Field("", description="Address of a running Ray to join; empty = start one on this machine.")
    namespace: Name = Field("raydesk", description="Ray namespace of the actors; two systems need two.")
    cpus: Count = Field(0, description="Logical CPUs given to a Ray started here; 0 = the cores of the machine.")


class LogSettings(Section):
    """What is told while running."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least grave log line written.")


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
    store: StoreSettings = Field(default_factory=lambda: StoreSettings.model_validate({"data_dir": "data"}))
    limits: LimitSettings = LimitSettings()
    security: SecuritySettings = SecuritySettings()
    accounts: dict[Name, AccountSettings] = Field(default_factory=dict[str, AccountSettings])
    inboxes: dict[Name, InboxSettings] = Field(default_factory=dict[str, InboxSettings])
    ray: RaySettings = RaySettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments alone: `load_settings` reads the sources, as their errors must name them."""
        return (init_settings,)

    @field_validator("accounts")
    @classmethod
    def _at_least_one_account(cls, accounts: dict[str, AccountSettings]) -> dict[str, AccountSettings]:
        return accounts or {DEFAULT_ACCOUNT: AccountSettings()}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Check what no setting can tell alone."""
        if not self.accounts:  # defaults are not validated
            self.accounts[DEFAULT_ACCOUNT] = AccountSettings()
        if problems := list(_disagreements(self)):
            raise ValueError("\n".join(problems))
        return self

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
    config_path = _config_path(path)
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

    def decode_complex_value(self, field_name: str, field: object, value: object) -> object:  # noqa: ARG002
        return value


def _environment() -> tuple[dict[str, Any], list[str]]:
    """Return the overrides in the environment, and a line for every variable that is none."""
    source = _EnvironmentSource(Settings, env_prefix=PREFIX, env_nested_delimiter="__", case_sensitive=False)
    values = cast("dict[str, Any]", source())
    problems: list[str] = []
    for variable in sorted(os.environ):
        if not variable.upper().startswith(PREFIX) or variable.upper() == CONFIG_VARIABLE:
            continue
        section, *names = variable[len(PREFIX) :].lower().split("__")
        if section not in Settings.model_fields or not names:
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
    if problems:
        raise SettingsError(*problems)
    return _completed(settings)


def _completed(settings: Settings) -> Settings:
    """Put numbers in place of "as many as the cores allow", so that every process counts the same."""
    cores = settings.ray.cpus or len(os.sched_getaffinity(0))
    half = max(1, cores // 2)
    changed: dict[str, Section] = {}
    if not settings.gateway.count:
        changed["gateway"] = settings.gateway.model_copy(update={"count": half})
    if not settings.router.count:
        changed["router"] = settings.router.model_copy(update={"count": half})
    return settings.model_copy(update=changed)


def _finder(sources: list[tuple[str, dict[str, Any]]]) -> Callable[[tuple[str, ...]], str]:
    def found_in(path: tuple[str, ...]) -> str:
        for name, values in sources:
            if path and _lookup(values, path) is not None:
                variable = PREFIX + "__".join(path).upper()
                return f" in {variable if name == 'the environment' else name}"
        return ""

    return found_in


def _disagreements(settings: Settings) -> Iterator[str]:
    gateway, limits, ingress = settings.gateway, settings.limits, settings.ingress
    last_port = gateway.port + max(1, gateway.count) - 1
    if last_port > 65_535:
        yield f"gateway.port: found {gateway.port} for {gateway.count} gateways; allowed: all ports up to 65535"
    if gateway.port <= settings.http.port <= last_port:
        yield f"http.port: found {settings.http.port}; allowed: any but the gateways' {gateway.port} to {last_port}"
    if gateway.public_url and gateway.count > 1 and "{port}" not in gateway.public_url:
        yield f"gateway.public_url: found no {{port}}; allowed: a URL with {{port}}, as there are {gateway.count}"
    if ingress.max_replicas < ingress.min_replicas:
        yield f"ingress.max_replicas: found {ingress.max_replicas}; allowed: from min_replicas, {ingress.min_replicas}"
    if limits.text_bytes > limits.frame_bytes:
        yield f"limits.text_bytes: found {limits.text_bytes}; allowed: up to frame_bytes, {limits.frame_bytes}"
    if 0 < len(settings.security.secret_key.get_secret_value()) < 32:
        yield "security.secret_key: found a text that is too short; allowed: at least 32 characters, or empty"
    for name, inbox in settings.inboxes.items():
        yield from _inbox_problems(f"inboxes.{name}", inbox, settings.accounts)


def _inbox_problems(name: str, inbox: InboxSettings, accounts: Mapping[str, AccountSettings]) -> Iterator[str]:
    if inbox.account not in accounts:
        yield f"{name}.account: found {inbox.account!r}; allowed: one of {', '.join(sorted(accounts))}"
    if inbox.channel != "wechat":
        return
    needed: dict[str, str] = {
        "app_id": inbox.app_id,
        "token": inbox.token.get_secret_value(),
        "app_secret": inbox.app_secret.get_secret_value(),
    }
    aes_key = inbox.encoding_aes_key.get_secret_value()
    if inbox.mode == "aes":
        needed["encoding_aes_key"] = aes_key
    for setting, value in needed.items():
        if not value:
            variable = PREFIX + f"{name}.{setting}".replace(".", "__").upper()
            yield f"{name}.{setting}: found nothing; a wechat inbox needs it (in {SECRETS_FILE} or {variable})"
    if aes_key and not (len(aes_key) == 43 and aes_key.isascii() and aes_key.isalnum()):
        yield f"{name}.encoding_aes_key: found another form; allowed: 43 letters and digits, as WeChat shows them"


def _config_path(path: Path | None) -> Path | None:
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
        if value and _is_secret(name)
    ]


def _is_secret(path: tuple[str, ...]) -> bool:
    """Tell whether a path names a secret, or a URL with a password in it is handled by the caller."""
    secret_names = {
        name
        for section in (StoreSettings, SecuritySettings, AccountSettings, InboxSettings)
        for name, field in section.model_fields.items()
        if field.annotation is SecretStr
    }
    return path[-1] in secret_names


def _split_password(url: str) -> tuple[str, str]:
    """Return a store's URL without its password, and the password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("url is not a URL; allowed: redis://host:port/0, rediss://..., unix:///path") from None
    if "password" in parse_qs(parts.query):
        raise ValueError("url has a password among its parameters; allowed: store.password")
    credentials, at, address = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    kept = f"{user}@{address}" if at and user else address
    return url.replace(parts.netloc, kept, 1) if at else url, unquote(password)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        both = isinstance(value, Mapping) and isinstance(below, dict)
        merged[name] = _merge(cast("dict[str, Any]", below), cast("Mapping[str, Any]", value)) if both else value
    return merged


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) if isinstance(value, Mapping) else value for name, value in values.items()}


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
