"""A router small enough to be seen as right: applies commands to records, fences old epochs, tells of changes."""

import msgspec

from models.domain.commands import AnyCommand, Done, Offer, Refusal, Release
from models.domain.conversation import HELD_STATES, ConversationRecord, Placement, placement_of

ACCOUNT = "demo"


class TruthfulRouter:
    """Keeps the truth about all conversations; ``news`` gathers the placements that it would send."""

    def __init__(self):
        self.records: dict[str, ConversationRecord] = {}
        self.news: list[Placement] = []
        self.epoch = 0

    def open(self, conversation, waiting_since_ms, skill="", preferred=""):
        self.records[conversation] = ConversationRecord(
            id=conversation,
            contact="c",
            state="waiting",
            opened_at_ms=waiting_since_ms,
            waiting_since_ms=waiting_since_ms,
            skill=skill,
            preferred=preferred,
        )
        self.change(conversation)

    def change(self, conversation, **fields):
        record = self.records[conversation]
        self.records[conversation] = msgspec.structs.replace(record, revision=record.revision + 1, **fields)
        self.news.append(self.placement(conversation))

    def placement(self, conversation):
        return placement_of(ACCOUNT, self.records[conversation])

    def held_by(self, agent):
        return [record for record in self.records.values() if record.agent == agent and record.state in HELD_STATES]

    def in_state(self, *states):
        return [record for record in self.records.values() if record.state in states]

    def apply(self, command: AnyCommand):
        if command.epoch < self.epoch:
            return Refusal(name="unavailable", detail="stale dispatcher")
        record = self.records[command.conversation]
        refusal = Refusal(name="conflict", detail=f"this conversation is {record.state}")
        if isinstance(command, Offer):
            if record.state == "offered" and record.agent == command.agent:
                return Done(conversation=record.id)
            if record.state != "waiting" or command.revision not in (0, record.revision):
                return refusal
            self.change(record.id, state="offered", agent=command.agent, offer_expires_ms=command.expires_at_ms)
            return Done(conversation=record.id)
        assert isinstance(command, Release)
        if command.reason == "snooze_over":
            if record.state != "snoozed":
                return refusal
            self.change(record.id, state="waiting", snoozed_until_ms=0)
            return Done(conversation=record.id)
        expected = ("offered",) if command.reason == "offer_expired" else HELD_STATES
        if record.agent != command.agent or record.state not in expected:
            return refusal
        excluded = (*record.excluded, record.agent) if command.reason == "offer_expired" else record.excluded
        self.leave_desk(record, excluded=excluded)
        return Done(conversation=record.id)

    def leave_desk(self, record, **fields):
        fields = {"state": "waiting"} | fields
        self.change(record.id, agent="", offer_expires_ms=0, preferred="", **fields)

    def accept(self, conversation):
        if self.records[conversation].state == "offered":
            self.change(conversation, state="assigned", offer_expires_ms=0, excluded=())

    def decline(self, conversation):
        record = self.records[conversation]
        self.leave_desk(record, excluded=tuple(dict.fromkeys((*record.excluded, record.agent))))

    def transfer(self, conversation, skill):
        record = self.records[conversation]
        if record.state in HELD_STATES:
            self.leave_desk(record, skill=skill, excluded=(record.agent,))
        else:
            self.change(conversation, state="waiting", skill=skill, snoozed_until_ms=0)

    def resolve(self, conversation):
        self.leave_desk(self.records[conversation], state="resolved")

    def snooze(self, conversation, until_ms):
        self.leave_desk(self.records[conversation], state="snoozed", snoozed_until_ms=until_ms)
