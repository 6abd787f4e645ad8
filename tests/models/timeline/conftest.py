"""A router at work on one account, in plain calls."""

from typing import ClassVar

import msgspec
import pytest

from models.channels.budget import Budget
from models.desk.state import DeskState
from models.domain.commands import (
    Accept,
    AnyCommand,
    AnyReply,
    Offer,
    Receipt,
    Receive,
    Resolve,
    Say,
)
from models.domain.ids import contact_id
from models.domain.message import Message
from tests.models.timeline.routers import RouterModel
from tests.models.timeline.truthful_store import TruthfulStore

_message = msgspec.json.Decoder(Message)


class Desk:
    """One account, its router and its store; every call is one turn."""

    account = "acme"
    budgets: ClassVar = {"wechat": Budget(answers=3, within_ms=100_000)}

    def __init__(self) -> None:
        self.store = TruthfulStore()
        self.router = RouterModel(self.store, budgets=self.budgets)
        self.now_ms = 1_000
        self.sources = 0
        #: how many messages the bot takes in a turn; none, so that a first message waits for a human
        self.bot_room = 0

    @property
    def keys(self):
        return self.store.accounts[self.account]

    def ask(self, command: AnyCommand) -> AnyReply:
        self.now_ms += 1
        return self.router.turn([command], self.now_ms, bot_room=self.bot_room)[0]

    def restart(self) -> None:
        self.router = RouterModel(self.store, budgets=self.budgets)

    def contact(self, who: str = "v1", channel: str = "web") -> str:
        return contact_id(self.account, channel, channel, who)

    def write(self, text: str = "hello", who: str = "v1", channel: str = "web", **more) -> AnyReply:
        self.sources += 1
        fields = {
            "account": self.account,
            "contact": self.contact(who, channel),
            "channel": channel,
            "inbox": channel,
            "source_id": f"s{self.sources}",
        }
        return self.ask(Receive(external_id=who, text=text, received_at_ms=1, **(fields | more)))

    def opened(self, who: str = "v1", channel: str = "web") -> str:
        reply = self.write(who=who, channel=channel)
        assert isinstance(reply, Receipt)
        return reply.conversation

    def offer(self, conversation: str, agent: str = "ann", epoch: int = 0, **more) -> AnyReply:
        return self.ask(
            Offer(
                account=self.account, conversation=conversation, agent=agent, epoch=epoch, expires_at_ms=9_000, **more
            )
        )

    def by(self, kind: type, conversation: str, by: str = "ann", role: str = "agent", **more) -> AnyReply:
        fields = {"account": self.account} | more
        return self.ask(kind(conversation=conversation, by=by, role=role, **fields))

    def say(self, conversation: str, by: str = "ann", role: str = "agent", **more) -> AnyReply:
        self.sources += 1
        fields = {"client_id": f"d{self.sources}", "text": "an answer", "received_at_ms": 1}
        return self.by(Say, conversation, by, role, **(fields | more))

    def assigned(self, who: str = "v1", channel: str = "web") -> str:
        conversation = self.opened(who, channel)
        self.offer(conversation)
        self.by(Accept, conversation)
        return conversation

    def resolved(self) -> str:
        conversation = self.assigned()
        self.by(Resolve, conversation)
        return conversation

    def record(self, conversation: str):
        return self.keys.conversations[conversation]

    def texts(self, conversation: str) -> list[str]:
        return [_message.decode(data).text for data in self.keys.sessions[conversation]]

    def shown(self, agent: str) -> DeskState:
        return DeskState.from_snapshot(self.store.snapshot(self.account, agent))

    def told(self, agent: str) -> list[tuple[str, str]]:
        """(type, change) of each event in an agent's log."""
        entries = [msgspec.json.decode(entry) for entry in self.keys.logs[agent]]
        return [(event["type"], event.get("change", "")) for entry in entries for event in entry]


@pytest.fixture
def desk() -> Desk:
    return Desk()
