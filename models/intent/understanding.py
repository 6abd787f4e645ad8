"""What the intent model says of one text; the same value on the wire, in the bot's rules and at the HTTP edge."""

import msgspec


class Guess(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One intent and how likely it is.

    Args:
        intent: its name in the taxonomy.
        confidence: calibrated probability, 0 to 1.
    """

    intent: str
    confidence: float


class Understanding(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What was understood of one text.

    Args:
        intent: the likeliest intent.
        confidence: its calibrated probability, 0 to 1.
        sure: the intent is in scope, and so clearly that the threshold is reached which was set on held-out data.
        candidates: the three likeliest, ``intent`` first.
    """

    intent: str
    confidence: float
    sure: bool
    candidates: tuple[Guess, ...]
