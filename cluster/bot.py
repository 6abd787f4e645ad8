"""The bot that the settings ask for: the intents of the chosen model, and the chosen replies."""

from pathlib import Path
from typing import TYPE_CHECKING

from models.bot.policy import Bot
from models.bot.replies import Replies, load_replies
from models.intent.taxonomy import SHIPPED, Taxonomy, load_taxonomy

if TYPE_CHECKING:
    from cluster.settings_sections import BotSettings, IntentSettings

#: The file of an artefact that names its intents.
_TAXONOMY = "taxonomy.toml"


def make_bot(bot: "BotSettings", intent: "IntentSettings") -> Bot:
    """Make the bot of a system.

    Raises:
        InvalidTaxonomy: the artefact's intents cannot be read.
        InvalidReplies: the replies cannot be read, or are no replies to these intents.
    """
    return Bot(taxonomy_of(intent), replies_of(bot, intent), misses_to_human=bot.misses)


def replies_of(bot: "BotSettings", intent: "IntentSettings") -> Replies:
    """Return what the bot says where no admin said otherwise.

    Raises:
        InvalidTaxonomy, InvalidReplies: as `make_bot`.
    """
    return load_replies(taxonomy_of(intent), Path(bot.replies) if bot.replies else None)


def taxonomy_of(intent: "IntentSettings") -> Taxonomy:
    """Return the intents of the model that the settings choose.

    Raises:
        InvalidTaxonomy: they cannot be read.
    """
    return load_taxonomy(Path(intent.artifact) / _TAXONOMY if intent.artifact else SHIPPED)
