"""The reply budgets that the settings give to inboxes of vendors' channels."""

from typing import TYPE_CHECKING

from models.channels.budget import OWN_CHANNELS, Budget

if TYPE_CHECKING:
    from cluster.settings import Settings


def reply_budgets(settings: "Settings", account: str = "") -> dict[str, Budget]:
    """Return inbox -> its budget, for those that have one.

    Args:
        settings: of the whole system.
        account: only its inboxes; empty means all.
    """
    return {
        name: Budget(inbox.reply_budget, round(inbox.reply_within_s * 1000))
        for name, inbox in settings.inboxes.items()
        if inbox.channel not in OWN_CHANNELS and inbox.reply_budget and account in ("", inbox.account)
    }
