"""The tables of the config file: every setting with its default, its bounds and its unit.

docs/settings.md tells the same to people; a test compares the two.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

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
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, validate_default=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_by_accident(cls, value: object, about: ValidationInfo) -> object:
        """Refuse ``true`` where Python would take it for 1, and 1 where it stands for nothing but yes or no."""
        field = cls.model_fields.get(about.field_name or "")
        if field is not None and field.annotation is bool:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                raise PydanticCustomError("number_given", "a number is no yes or no")
        elif isinstance(value, bool):
            raise PydanticCustomError("bool_given", "true or false is no setting")
        return value


class HttpSettings(Section):
    """Where the ingress listens."""

    host: Host = Field(default="127.0.0.1", description="Address that the HTTP ingress binds to.")
    port: Port = Field(default=7400, description="TCP port of the HTTP ingress.")
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/@]+(/[^\s]*)?)?$",
        examples=["https://desk.example.org"],
        description="URL by which others reach the ingress, as a proxy in front shows it; empty = http://host:port.",
    )


class IngressSettings(Section):
    """How many ingress replicas run."""

    min_replicas: Positive = Field(
        default=2, description="Replicas of the ingress that always run; with one, HTTP waits seconds when it dies."
    )
    max_replicas: Positive = Field(
        default=2, description="Replicas that load may raise it to; `--auto-scale` raises this."
    )
    max_ongoing_requests: Positive = Field(
        default=1_000, description="HTTP requests that one replica works on at once; more are refused with 503."
    )


class GatewaySettings(Section):
    """The processes that hold the sockets."""

    host: Host = Field(default="127.0.0.1", description="Address that the gateways bind to.")
    port: Port = Field(default=7410, description="TCP port of the first gateway; the others take the ports after it.")
    count: Count = Field(
        default=0, description="Gateways in the system; 0 = half the cores where raydesk starts, at least 1."
    )
    public_url: str = Field(
        default="",
        pattern=r"^(wss?://[^\s/@]+(/[^\s]*)?)?$",
        examples=["wss://desk.example.org/socket/{port}"],
        description="URL by which clients reach a gateway, where `{port}` stands for its port; empty = ws://host:port.",
    )
    ping_idle_s: Seconds = Field(
        default=20.0,
        description="Seconds of silence after which a desk's socket is pinged; it is dropped after as many more.",
    )
    visitor_ping_idle_s: Seconds = Field(
        default=50.0,
        description="The same seconds for a visitor's socket; below 60, as many proxies end a minute's silence.",
    )
    open_timeout_s: Seconds = Field(
        default=10.0, description="Seconds within which a socket must open its session; after that it is closed."
    )


class RouterSettings(Section):
    """The actors that own the conversations, one per shard."""

    count: Count = Field(
        default=0,
        description="Routers, and so shards, in the system; 0 = half the cores where raydesk starts, at least 1.",
    )
    # Ray inlines arguments under 100 KB in the call; larger ones go through its object store.
    batch_bytes: Positive = Field(
        default=80_000, description="Bytes of encoded commands that one call to a router carries."
    )
    queue_limit: Positive = Field(
        default=20_000,
        description="Messages that one sender keeps waiting for one shard; more are refused as overloaded.",
    )
    queue_wait_s: Seconds = Field(
        default=0.5,
        description="Seconds that messages may wait for their turn; when they have waited longer for twice as long, "
        "contacts' new messages are refused as overloaded until the queue is short again.",
    )
    deadline_s: Seconds = Field(
        default=10.0, description="Seconds after which a command without answer is unavailable."
    )
    cached_contacts: Positive = Field(default=50_000, description="Contacts that one router keeps in memory.")


class DispatcherSettings(Section):
    """Who gets the next conversation."""

    offer_timeout_s: Seconds = Field(default=30.0, description="Seconds that an agent has to accept an offer.")
    away_grace_s: Seconds = Field(
        default=30.0, description="Seconds that an agent may be gone before the conversations are handed on."
    )
    tick_s: Seconds = Field(
        default=0.25, description="Seconds between two looks at offers, graces and snoozes that end."
    )
    default_capacity: Positive = Field(
        default=5, description="Conversations that an agent holds at once, where the user has no own capacity."
    )


class IntentSettings(Section):
    """The model that tells what a contact wants."""

    enabled: bool = Field(default=True, description="Whether the model runs; without it nothing is understood.")
    artifact: str = Field(
        default="",
        max_length=4_096,
        description="Folder of a model made by `raydesk intent train`, on every node; empty = the shipped one.",
    )
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="Batches that one replica runs at once, each on a core."
    )
    min_replicas: Positive = Field(default=1, description="Replicas of the model that always run.")
    max_replicas: Positive = Field(
        default=1, description="Replicas that load may raise it to; `--auto-scale` raises this."
    )
    token_budget: Positive = Field(
        default=128, description="Tokens, padding among them, that the model looks at in one batch."
    )
    max_waiting: Positive = Field(
        default=4_096, description="Texts that wait for one replica; more are refused as overloaded."
    )
    cache_texts: Annotated[int, Field(ge=0)] = Field(
        default=10_000, description="Texts that one replica remembers the answers of; 0 = none."
    )
    wait_ms: Positive = Field(
        default=1_000, description="Milliseconds that `POST /v1/intent` waits for the model at most."
    )

    @field_validator("artifact")
    @classmethod
    def _absolute(cls, path: str) -> str:
        """Fix the folder at the start: replicas run elsewhere."""
        return str(Path(path).expanduser().absolute()) if path else ""


class BotSettings(Section):
    """The bot that answers first; it needs the intent model."""

    enabled: bool = Field(
        default=True, description="Whether the bot answers first; without it each conversation waits for a human."
    )
    replies: str = Field(
        default="",
        max_length=4_096,
        description="TOML file of what the bot says, on every node; empty = the shipped one.",
    )
    misses: Positive = Field(
        default=2, description="Times that the same is asked again until a human goes on; 2 = one more answer is tried."
    )
    patience_ms: Positive = Field(
        default=1_500, description="Milliseconds that the intent model has; what is late goes to a human."
    )
    idle_s: Seconds = Field(
        default=1_800,
        description="Seconds without a word of the contact after an answer of the bot, until the case is resolved.",
    )
    route_by_skill: bool = Field(
        default=False, description="Whether what the bot hands over asks for the skill of its intent."
    )
    max_pending: Positive = Field(
        default=512, description="Messages that one router keeps for the intent model; more go to humans at once."
    )

    @field_validator("replies")
    @classmethod
    def _absolute(cls, path: str) -> str:
        """Fix the file at the start: routers run elsewhere."""
        return str(Path(path).expanduser().absolute()) if path else ""


class StoreSettings(Section):
    """The Valkey that keeps everything."""

    url: str = Field(
        default="",
        pattern=r"^((redis|rediss|unix)://[^\s]+)?$",
        examples=["redis://host:6379/0", "rediss://host:6379/0", "unix:///run/valkey.sock"],
        description="URL of your own Valkey or Redis (redis://, rediss://, unix://); empty = the embedded one.",
    )
    password: SecretStr = Field(default=SecretStr(""), description="Secret. Password of your own store; empty = none.")
    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of the embedded store and of secrets.toml, seen from where raydesk starts.",
    )
    log_entries: Positive = Field(
        default=10_000,
        description="Entries kept of each desk's event log; a desk that is further behind gets a snapshot.",
    )
    appendfsync: Literal["always", "everysec"] = Field(
        default="always",
        description="When the embedded store calls fsync; `everysec` may lose a second at a power cut.",
    )

    files_dir: str = Field(
        default="",
        max_length=4_096,
        description="Folder of the files that people send; with several nodes a shared one, at the same path on each; "
        "empty = `files` of data_dir beside the embedded store, none with your own.",
    )
    files_keep_free_bytes: Annotated[int, Field(ge=0)] = Field(
        default=1_073_741_824, description="Bytes that files leave free on their disk; the embedded store needs them."
    )

    @model_validator(mode="before")
    @classmethod
    def _take_password_out_of_url(cls, given: object) -> object:
        values = dict(cast("Mapping[str, object]", given)) if isinstance(given, Mapping) else {}
        url = values.get("url")
        if not isinstance(url, str):
            return cast("object", given)
        bare, password = split_password(url)
        if password and values.get("password"):
            raise ValueError("url and password both have a password; allowed: one of them")
        return values | {"url": bare} | ({"password": password} if password else {})

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        """Fix the folder at the start: actors run elsewhere."""
        return path.expanduser().absolute()

    @field_validator("files_dir")
    @classmethod
    def _absolute_files(cls, path: str) -> str:
        """Fix the folder at the start, as above."""
        return str(Path(path).expanduser().absolute()) if path else ""

    @property
    def files_folder(self) -> Path | None:
        """Where files are kept; None: there is no folder that all nodes are sure to share."""
        if self.files_dir:
            return Path(self.files_dir)
        return self.data_dir / "files" if self.embedded else None

    @property
    def embedded(self) -> bool:
        """Whether raydesk runs the store itself."""
        return not self.url


class LimitSettings(Section):
    """What one client may ask for."""

    text_bytes: Positive = Field(default=20_000, description="Bytes of UTF-8 in the text of one message.")
    frame_bytes: Positive = Field(default=65_536, description="Bytes in one frame of a socket.")
    body_bytes: Positive = Field(default=1_048_576, description="Bytes in the body of one HTTP request.")
    bulk_lines: Positive = Field(default=1_000, description="Lines in one NDJSON body.")
    socket_rate: Positive = Field(default=50, description="Frames a second that one socket may send for long.")
    socket_burst: Positive = Field(default=200, description="Frames that one socket may send at once.")
    key_rate: Positive = Field(default=1_000, description="Messages a second that one API key may send for long.")
    key_burst: Positive = Field(default=5_000, description="Messages that one API key may send at once.")
    sockets_per_address: Positive = Field(default=2_000, description="Open sockets of one IP address at one gateway.")
    logins_per_minute: Positive = Field(default=20, description="Login attempts a minute, per IP address and per user.")
    connects_per_minute: Positive = Field(
        default=600, description="Visitors a minute that one IP address may have told where to connect."
    )
    file_bytes: Annotated[int, Field(ge=0)] = Field(
        default=10_485_760, description="Bytes in one file that somebody sends; 0 = no files are taken."
    )
    files_per_minute: Positive = Field(
        default=30, description="Files a minute that one agent or visitor may send in, and the visitors of an address."
    )


class SecuritySettings(Section):
    """Keys and lifetimes of tokens."""

    secret_key: SecretStr = Field(
        default=SecretStr(""),
        description="Secret. Key that signs the tokens, at least 32 characters; empty = made once, in secrets.toml.",
    )
    token_lifetime_s: Seconds = Field(
        default=3_600, description="Seconds for which the token of `POST /v1/connect` opens."
    )
    session_lifetime_s: Seconds = Field(default=43_200, description="Seconds for which an agent stays logged in.")
    visitor_lifetime_s: Seconds = Field(default=2_592_000, description="Seconds for which a visitor's token is good.")


class AccountSettings(Section):
    """A tenant."""

    vouch_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret. Key of the HMAC by which the account's backend vouches for a user; empty = refused.",
    )
    answer_within_s: Seconds = Field(
        default=120.0, description="Seconds within which a contact shall get an answer; desks colour by it."
    )


class InboxSettings(Section):
    """One configured endpoint of a channel."""

    account: str = Field(description="Account that the inbox belongs to.")
    channel: Literal["web", "wechat", "api"] = Field(description="Kind of medium.")
    skill: str = Field(
        default="", max_length=64, description="Skill that its conversations ask for; empty = any agent."
    )
    origins: str = Field(
        default="",
        max_length=4_096,
        pattern=r"^(https?://[^\s/@]+( https?://[^\s/@]+)*)?$",
        examples=["https://shop.example https://www.shop.example"],
        description="web: origins of the pages that may open a visit, parted by spaces; empty = any.",
    )
    app_id: str = Field(default="", description="WeChat: the AppID of the official account.")
    token: SecretStr = Field(default=SecretStr(""), description="Secret. WeChat: the token that signs its requests.")
    encoding_aes_key: SecretStr = Field(
        default=SecretStr(""), description="Secret. WeChat: the 43 characters that encrypt its messages, for mode aes."
    )
    app_secret: SecretStr = Field(default=SecretStr(""), description="Secret. WeChat: the AppSecret, to send answers.")
    mode: Literal["aes", "plain"] = Field(
        default="aes", description="WeChat: whether messages come encrypted; the other kind is refused."
    )
    api_base: str = Field(
        default="https://api.weixin.qq.com",
        pattern=r"^https?://[^\s/@]+(/[^\s]*)?$",
        examples=["https://api.weixin.qq.com"],
        description="WeChat: base URL of the vendor's API.",
    )
    reply_budget: int = Field(
        default=5,
        ge=0,
        le=1_000,
        description="WeChat: answers that it takes after a message of the contact, refused beyond; 0 = do not count.",
    )
    reply_within_s: float = Field(
        default=172_800.0,
        gt=0,
        le=31_536_000,
        description="WeChat: seconds after a message of the contact within which it takes answers.",
    )


class RaySettings(Section):
    """The Ray that everything runs on."""

    address: str = Field(default="", description="Address of a running Ray to join; empty = start one on this machine.")
    namespace: Name = Field(default="raydesk", description="Ray namespace of the actors; two systems need two.")
    cpus: Count = Field(
        default=0, description="Logical CPUs given to a Ray started here; 0 = the cores of the machine."
    )


class LogSettings(Section):
    """What is told while running."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least grave log line written."
    )


def split_password(url: str) -> tuple[str, str]:
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
