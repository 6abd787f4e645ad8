"""An answer on its way to a vendor's channel."""

import msgspec


class Outgoing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an outbox must send; kept in the store until the vendor took it or refused it for good.

    Args:
        account, conversation, message: whose it is; ``message`` is the idempotency key.
        channel, inbox, external_id: where it goes.
        text: what to say.
        at_ms: Unix time at which it was said, in milliseconds.
    """

    account: str
    conversation: str
    message: str
    channel: str
    inbox: str
    external_id: str
    text: str
    at_ms: int
