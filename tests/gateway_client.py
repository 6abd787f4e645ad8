"""A blocking client of a gateway, for tests of a whole system."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from websockets.sync.client import ClientConnection

WITHIN_S = 30.0


class Socket:
    """One client of a gateway: calls, and what was pushed meanwhile."""

    def __init__(self, connection: ClientConnection, within_s: float = WITHIN_S) -> None:
        self.connection = connection
        self.within_s = within_s
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        name = uuid.uuid4().hex
        self.connection.send(json.dumps({"jsonrpc": "2.0", "id": name, "method": method, "params": params}))
        while (frame := json.loads(self.connection.recv(self.within_s))).get("id") != name:
            self.take(frame)
        return frame["result"]

    def take(self, frame: dict[str, Any]) -> None:
        self.events += frame.get("params", {}).get("events", [])

    def until(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Return the first event that is wanted, and forget what came before it."""
        while True:
            while self.events:
                if wanted(event := self.events.pop(0)):
                    return event
            self.take(json.loads(self.connection.recv(self.within_s)))

    def write(self, text: str) -> str:
        return self.call("message.send", client_id=uuid.uuid4().hex, text=text)["conversation"]


def said_by(author: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["type"] == "message" and event["message"]["author"] == author
