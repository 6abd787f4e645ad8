"""The words in which a dispatcher is set up, orders and reports."""

import msgspec

from models.domain.commands import Offer, Release


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in milliseconds.

    Args:
        offer_timeout_ms: for an agent to accept.
        away_grace_ms: for an agent to come back before its conversations are handed on.
        gateway_silence_ms: between two reports of a gateway, before its desks count as closed.
        ask_again_ms: before those who handed a conversation back may be asked again, if nobody else has room.
        retry_ms: between two attempts at what failed or was not heard of.
        forget_ms: for which a closed conversation is remembered, so that late placements are known as late.
    """

    offer_timeout_ms: int = 30_000
    away_grace_ms: int = 30_000
    gateway_silence_ms: int = 6_000
    ask_again_ms: int = 10_000
    retry_ms: int = 1_000
    forget_ms: int = 60_000


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """Read the record of ``conversation`` from the store and tell it by ``Dispatcher.reread``."""

    account: str
    conversation: str


Order = Offer | Release | Read


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """What a dispatcher tells about itself; ``oldest_ms`` is since when the first in line waits, 0 for nobody."""

    present: int
    waiting: int
    held: int
    snoozed: int
    oldest_ms: int
    offers: int
