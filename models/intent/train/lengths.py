"""Batches of texts of about one length, for going through many once: little padding, and every text just once."""

from collections.abc import Iterator, Sequence


def by_length(texts: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Go through the indexes of all texts, shortest text first, ``size`` at a time."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for at in range(0, len(order), size):
        yield order[at : at + size]
