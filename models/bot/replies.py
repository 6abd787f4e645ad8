"""What the bot says: wordings per intent and language, read from a file that a user may replace."""

from pathlib import Path

from models.intent.taxonomy import Taxonomy

SHIPPED = Path(__file__).with_name("replies.toml")


class InvalidReplies(ValueError):
    """A file of replies cannot be used; the message names the file, the intent, the language and what is wrong."""


class Replies:
    """All wordings and phrases of a file."""


def load_replies(taxonomy: Taxonomy, path: Path = SHIPPED) -> Replies:
    """Read a file of replies to the intents of a taxonomy.

    Raises:
        InvalidReplies: it is not there, no TOML, or cannot be used.
    """
    return Replies()
