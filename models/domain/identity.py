"""An identity: who somebody is at one inbox, and the contact that follows from it."""

import msgspec

from models.domain.ids import contact_id


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A contact as one inbox knows it.

    Args:
        account: tenant.
        channel: kind of medium (``web``, ``wechat``, ``user``).
        inbox: id of the configured endpoint; empty for a vouched user.
        external_id: the contact's id there.
    """

    account: str
    channel: str
    inbox: str
    external_id: str

    @property
    def contact(self) -> str:
        """The contact id that is computed from this identity."""
        return contact_id(self.account, self.channel, self.inbox, self.external_id)
