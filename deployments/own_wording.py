"""What admins have the bot say, in a router: the rules of an account are made anew when its replies changed."""

import logging
from functools import cached_property

from cluster.bot import replies_of, taxonomy_of
from cluster.settings import Settings
from cluster.store.following import Following
from models.administration.sections import Reply
from models.bot.policy import Bot
from models.bot.replies import InvalidReplies, Replies
from models.intent.taxonomy import Taxonomy
from models.timeline.bot_part import BotPart

log = logging.getLogger(__name__)


class OwnWording:
    """Keeps the rules of accounts in step with what their admins said.

    Args:
        settings: of the whole system.
        part: whose ``own`` rules are kept; where it has none at all, nothing is said.
        following: what admins said.
    """

    def __init__(self, settings: Settings, part: BotPart, following: Following) -> None:
        self._settings = settings
        self._part = part
        self._following = following
        self._taken: dict[str, dict[str, Reply]] = {}

    def take(self, account: str) -> None:
        """Take what the admins of an account say by now; must be called between two turns."""
        replies = self._following.said(account).replies
        if self._part.answers is None or replies == self._taken.get(account, {}):
            return
        self._taken[account] = replies
        if not replies:
            self._part.own.pop(account, None)
            return
        wordings = {_place(name): reply.wordings for name, reply in replies.items()}
        try:
            own = self._rest[1].reworded(wordings)
        except InvalidReplies:
            # it was checked when it was said, maybe by another release: the bot says what it said before
            log.exception("what the bot of account %s shall say cannot be said", account)
            return
        self._part.own[account] = Bot(self._rest[0], own, misses_to_human=self._settings.bot.misses)

    @cached_property
    def _rest(self) -> tuple[Taxonomy, Replies]:
        """The intents, and what is said where no admin said otherwise."""
        return taxonomy_of(self._settings.intent), replies_of(self._settings.bot, self._settings.intent)


def _place(name: str) -> tuple[str, str]:
    intent, _, language = name.rpartition(":")
    return intent, language
