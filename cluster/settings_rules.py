"""What no setting can tell alone: ports that collide, limits that contradict, inboxes without their secrets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.bot import make_bot
from cluster.secrets_file import NAME as SECRETS_FILE
from cluster.settings_sections import AccountSettings, BotSettings, InboxSettings, IntentSettings
from models.bot.replies import InvalidReplies
from models.intent.taxonomy import InvalidTaxonomy

if TYPE_CHECKING:
    from cluster.settings import Settings

PREFIX = "RAYDESK_"


def disagreements(settings: "Settings") -> Iterator[str]:
    """Yield one line for each setting that does not go with another."""
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
    yield from _intent_problems(settings.intent)
    yield from _bot_problems(settings.bot, settings.intent)
    for name, inbox in settings.inboxes.items():
        yield from _inbox_problems(f"inboxes.{name}", inbox, settings.accounts)


def _intent_problems(intent: IntentSettings) -> Iterator[str]:
    if intent.max_replicas < intent.min_replicas:
        yield f"intent.max_replicas: found {intent.max_replicas}; allowed: from min_replicas, {intent.min_replicas}"
    if intent.enabled and intent.artifact and not Path(intent.artifact).is_dir():
        yield f"intent.artifact: found {intent.artifact}, no folder; allowed: one that `raydesk intent train` wrote"


def _bot_problems(bot: BotSettings, intent: IntentSettings) -> Iterator[str]:
    """Read intents and replies of one's own at the start, where a mistake in them can still be told."""
    own_model = bool(intent.artifact)
    if not (intent.enabled and (bot.replies or own_model)) or (own_model and not Path(intent.artifact).is_dir()):
        return
    try:
        make_bot(bot, intent)
    except InvalidReplies as error:
        yield f"bot.replies: {error}"
    except InvalidTaxonomy as error:
        yield f"intent.artifact: {error}"


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
