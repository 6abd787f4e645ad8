"""An intent model that says what a test wants, when the test wants it."""

import asyncio

from models.domain.errors import Unavailable
from tests.bots import SURE, UNSURE


class PlainModel:
    """Is sure of every text but those that begin with *unsure*.

    While ``open`` is cleared no call returns; while ``down`` is set each fails at once.
    """

    def __init__(self):
        self.open = asyncio.Event()
        self.open.set()
        self.down = False
        self.calls = []
        self.under_way = 0
        self.most_under_way = 0

    async def understand(self, texts, wait_ms):
        self.calls.append(list(texts))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.down:
                raise Unavailable("no replica")
            await self.open.wait()
            return [UNSURE if text.startswith("unsure") else SURE for text in texts]
        finally:
            self.under_way -= 1

    async def aclose(self):
        self.closed = True
