"""Any interleaving of messages, duplicates, crashes, epochs, links and resumes: nothing lost, nothing doubled.

The machine gathers commands into batches as a router does, lets appends fail, answers get lost, routers
die and their ghosts go on, and repeats what is unanswered before anything newer, as clients do. What must
hold is checked on the store alone after every step.
"""

from collections import Counter, defaultdict

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from models.channels.budget import OWN_CHANNELS, Budget
from models.desk.state import DeskState
from models.domain.commands import (
    Accept,
    Adopt,
    AnyCommand,
    BotDue,
    Decline,
    Delivered,
    Done,
    Export,
    Exported,
    Fence,
    Move,
    Moved,
    Offer,
    Part,
    Parted,
    Receipt,
    Receive,
    Refusal,
    Release,
    Reopen,
    Resolve,
    Return,
    Say,
    Snooze,
    Tag,
    TakeOver,
    Transfer,
    Typing,
    Understood,
)
from models.domain.conversation import HELD_STATES, OPEN_STATES
from models.domain.errors import StaleEpoch
from models.domain.ids import contact_id, slot_of_contact
from models.domain.message import Message
from models.intent.understanding import Understanding
from tests.bots import SURE, UNSURE
from tests.models.timeline.routers import RouterModel, TurnFailed
from tests.models.timeline.truthful_store import TruthfulStore

ACCOUNTS = ("acme", "bolt")
AGENTS = ("ann", "bob", "sue")
ROLES = {"ann": "agent", "bob": "agent", "sue": "supervisor"}
IDENTITIES = (("web", "web", "v1"), ("web", "web", "v2"), ("wechat", "wx", "o1"), ("user", "", "u1"))
BUDGETS = {"wx": Budget(answers=1, within_ms=1_000_000_000)}
_message = msgspec.json.Decoder(Message)

pick = st.integers(0, 11)
mostly = st.sampled_from([True, True, False])
account_of = st.sampled_from(ACCOUNTS)
agent_of = st.sampled_from(AGENTS)
fates = st.sampled_from(["stored", "stored", "stored", "refused", "unanswered", "late"])


class RouterMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = TruthfulStore()
        self.now_ms = 1_000_000
        self.router = RouterModel(self.store, cached_contacts=2, budgets=BUDGETS)
        self.ghosts: list[RouterModel] = []
        self.batch: list[AnyCommand] = []
        self.serial = 0
        self.eager = False
        self.received: dict[tuple[str, str, str], Receipt] = {}  # (account, inbox, source) -> first receipt
        self.sent: list[Receive | Say] = []
        self.dispatcher_epochs = dict.fromkeys(ACCOUNTS, 0)
        self.fenced = dict.fromkeys(ACCOUNTS, 0)
        self.desks = {(account, agent): DeskState(0, {}) for account in ACCOUNTS for agent in AGENTS}
        self.older: dict[tuple[str, str], list[DeskState]] = defaultdict(list)
        self.exports: list[tuple[str, str, str, Exported]] = []
        self.seen_sizes: dict[tuple[str, str], int] = {}
        self.bot_room = 0
        self.failed: set[str] = set()  # answers of which an outbox ever said that they failed
        self.linked: set[str] = set()  # accounts in which messages were carried over
        self.humans: set[str] = set()  # conversations that were not the bot's at some time

    @initialize(eager=st.booleans(), bots=st.booleans(), joined=st.booleans())
    def a_desk_at_work(self, eager: bool, bots: bool, joined: bool) -> None:
        """One conversation is accepted, one offered, one waits; or all of them are the bot's; two may be joined."""
        self.bot_room = 5 * bots
        for which in range(3):
            self.contact_writes("acme", which)
        self.run("stored")
        if joined:
            self.an_agent_joins("acme", 2, 0, fate="stored", undone=False)
        if bots:
            self.eager = eager
            return
        for agent in ("ann", "bob"):
            self.dispatcher_offers("acme", 0, agent, stale=1, expected=True)
            self.run("stored")
        self.agent_decides("acme", 0, "ann", own=True, kind=Accept)
        self.run("stored")
        self.eager = eager

    # -- who and what there is ------------------------------------------------------------------------

    def contact(self, account: str, which: int) -> str:
        return contact_id(account, *IDENTITIES[which % len(IDENTITIES)])

    def conversation(self, account: str, which: int) -> str | None:
        names = sorted(self.store.accounts[account].conversations)
        return names[-1 - which % len(names)] if names else None

    def next_id(self) -> str:
        self.serial += 1
        return f"m{self.serial:05}"

    def add(self, command: AnyCommand) -> None:
        """Gather a command; an eager router takes it at once."""
        self.batch.append(command)
        if self.eager:
            self.run("stored")

    def about(self, account: str, which: int, agent: str, own: bool) -> tuple[str, str] | None:
        """Name a conversation and an agent; with ``own``, one that is held and who holds it, if there is any."""
        held = sorted(self.store.accounts[account].held.items())
        if own and held:
            return held[which % len(held)]
        conversation = self.conversation(account, which)
        return (conversation, agent) if conversation else None

    # -- commands ---------------------------------------------------------------------------------------

    @rule(account=account_of, which=pick, word=st.sampled_from(["", "", "asked ", "angry "]))
    def contact_writes(self, account: str, which: int, word: str = "") -> None:
        channel, inbox, external_id = IDENTITIES[which % 3]
        source = self.next_id()
        command = Receive(
            account=account,
            contact=self.contact(account, which % 3),
            channel=channel,
            inbox=inbox,
            external_id=external_id,
            source_id=source,
            text=word + source,
            received_at_ms=self.now_ms,
        )
        self.sent.append(command)
        self.add(command)

    @rule(room=st.integers(0, 3))
    def the_bot_has_room(self, room: int) -> None:
        """Or has none, or is switched off."""
        self.bot_room = room

    @precondition(lambda self: self.router.questions)
    @rule(which=pick, understanding=st.sampled_from([SURE, SURE, UNSURE, None]))
    def a_message_is_understood(self, which: int, understanding: Understanding | None) -> None:
        """Early, late, in any order, or again."""
        question = self.router.questions[-1 - which % len(self.router.questions)]
        self.add(
            Understood(
                account=question.account,
                conversation=question.conversation,
                seq=question.seq,
                text=question.text,
                understanding=understanding,
            )
        )

    @rule(account=account_of, which=pick, waits=st.booleans())
    def the_bots_time_is_up(self, account: str, which: int, waits: bool) -> None:
        index = sorted(self.store.accounts[account].bot.items())
        conversation = self.conversation(account, which)
        if index:
            conversation, due_ms = index[which % len(index)]
            if waits:
                self.now_ms = max(self.now_ms, due_ms)
        if conversation:
            self.add(BotDue(account=account, conversation=conversation))

    @precondition(lambda self: self.sent)
    @rule(which=pick)
    def somebody_repeats_a_message(self, which: int) -> None:
        command = self.sent[-1 - which % len(self.sent)]
        if self.would_be_known(command):
            self.add(command)

    def would_be_known(self, command: Receive | Say) -> bool:
        """Duplicates are known within the open conversation and the one before; older ones are no promise."""
        keys = self.store.accounts[command.account]
        if isinstance(command, Say):
            return True
        if any(isinstance(each, Move) for each in self.batch):
            # nor are those of a conversation that had ended before its contact moved
            return False
        person = keys.contacts.get(self.home(command.account, command.contact))
        if person is None:
            return False
        return any(
            (message.inbox, message.source_id) == (command.inbox, command.source_id)
            for name in (person.open, person.last)
            for message in self.messages(command.account, name)
        )

    def home(self, account: str, contact: str) -> str:
        person = self.store.accounts[account].contacts.get(contact)
        return self.home(account, person.moved_to) if person and person.moved_to else contact

    @rule(account=account_of, which=pick, agent=agent_of, own=mostly, note=st.booleans())
    def agent_says(self, account: str, which: int, agent: str, own: bool, note: bool) -> None:
        found = self.about(account, which, agent, own)
        if found:
            source = self.next_id()
            command = Say(
                account=account,
                conversation=found[0],
                by=found[1],
                role=ROLES[found[1]],
                client_id=source,
                text=source,
                received_at_ms=self.now_ms,
                internal=note,
            )
            self.sent.append(command)
            self.add(command)

    @rule(account=account_of, which=pick, agent=agent_of, stale=st.integers(0, 4), expected=st.booleans())
    def dispatcher_offers(self, account: str, which: int, agent: str, stale: int, expected: bool) -> None:
        names = sorted(self.store.accounts[account].waiting)
        name = names[which % len(names)] if names else self.conversation(account, which)
        if name:
            revision = self.store.accounts[account].conversations[name].revision if expected else 0
            self.add(
                Offer(
                    account=account,
                    conversation=name,
                    agent=agent,
                    epoch=max(0, self.dispatcher_epochs[account] - (stale == 0)),
                    expires_at_ms=self.now_ms + 30_000,
                    revision=revision,
                )
            )

    @rule(
        account=account_of,
        which=pick,
        agent=agent_of,
        own=mostly,
        reason=st.sampled_from(["offer_expired", "agent_away", "snooze_over"]),
    )
    def dispatcher_releases(self, account: str, which: int, agent: str, own: bool, reason: str) -> None:
        found = self.about(account, which, agent, own)
        if found:
            epoch = self.dispatcher_epochs[account]
            self.add(Release(account=account, conversation=found[0], agent=found[1], epoch=epoch, reason=reason))

    @rule(
        account=account_of,
        which=pick,
        agent=agent_of,
        own=mostly,
        kind=st.sampled_from([Accept, Accept, Decline, Resolve, Reopen, TakeOver]),
    )
    def agent_decides(self, account: str, which: int, agent: str, own: bool, kind: type) -> None:
        found = self.about(account, which, agent, own)
        # a client's own repetition reaches back one conversation, so one ends at most while it is unanswered
        if found and not (kind is Resolve and any(isinstance(each, Resolve) for each in self.batch)):
            self.add(kind(account=account, conversation=found[0], by=found[1], role=ROLES[found[1]]))

    @rule(account=account_of, which=pick, agent=agent_of, own=mostly, to=st.sampled_from(["", *AGENTS]))
    def agent_transfers(self, account: str, which: int, agent: str, own: bool, to: str) -> None:
        found = self.about(account, which, agent, own)
        if found:
            skill = "" if to else "billing"
            self.add(
                Transfer(
                    account=account,
                    conversation=found[0],
                    by=found[1],
                    role=ROLES[found[1]],
                    to_agent=to,
                    to_skill=skill,
                )
            )

    @rule(account=account_of, which=pick, agent=agent_of, own=mostly)
    def agent_snoozes(self, account: str, which: int, agent: str, own: bool) -> None:
        found = self.about(account, which, agent, own)
        if found:
            self.add(
                Snooze(
                    account=account,
                    conversation=found[0],
                    by=found[1],
                    role=ROLES[found[1]],
                    until_ms=self.now_ms + 60_000,
                )
            )

    @rule(account=account_of, which=pick, agent=agent_of, own=mostly, tag=st.sampled_from(["vip", "VIP", "refund"]))
    def agent_tags(self, account: str, which: int, agent: str, own: bool, tag: str) -> None:
        found = self.about(account, which, agent, own)
        if found:
            words = {("remove" if which % 3 == 0 else "add"): (tag,)}
            self.add(Tag(account=account, conversation=found[0], by=found[1], role=ROLES[found[1]], **words))

    @rule(account=account_of, which=pick, agent=agent_of, visitor=st.booleans())
    def somebody_types(self, account: str, which: int, agent: str, visitor: bool) -> None:
        found = self.about(account, which, agent, own=True)
        if found and visitor:
            self.add(Typing(account=account, conversation=found[0], contact=self.contact(account, which)))
        elif found:
            self.add(Typing(account=account, conversation=found[0], by=found[1], role=ROLES[found[1]]))

    @rule(account=account_of, which=pick, state=st.sampled_from(["sent", "failed"]))
    def outbox_reports(self, account: str, which: int, state: str) -> None:
        outbox = self.store.accounts[account].outbox
        if outbox:
            out = outbox[which % len(outbox)]
            if state == "failed":
                self.failed.add(out.message)
            self.add(Delivered(account=account, conversation=out.conversation, message=out.message, state=state))

    @rule(account=account_of, which=pick, agent=agent_of)
    def somebody_tries_another_account(self, account: str, which: int, agent: str) -> None:
        foreign = self.conversation(ACCOUNTS[account == "acme"], which)
        if foreign and foreign not in self.store.accounts[account].conversations:
            # the reply is checked with all others: what does not exist in an account is refused
            self.add(Resolve(account=account, conversation=foreign, by=agent, role="admin"))

    # -- links, step by step ----------------------------------------------------------------------------

    @rule(account=account_of, which=st.integers(0, 2), into=st.sampled_from([3, 3, 3, 0, 1]))
    def link_begins(self, account: str, which: int, into: int) -> None:
        source, target = self.contact(account, which), self.contact(account, into)
        if source == target or self.unanswered_end():
            return
        replies = self.run("stored", [Export(account=account, contact=source)])
        exported = replies[-1] if replies else None
        if not isinstance(exported, Exported) or exported.moved_to or self.home(account, target) == source:
            return
        if self.adopted_is_known(account, source, target):
            self.exports.append((account, source, self.home(account, target), exported))

    def unanswered_end(self) -> bool:
        return any(isinstance(each, Resolve | Move) for each in self.batch)

    def adopted_is_known(self, account: str, source: str, target: str) -> bool:
        """A link repeated after two of the target's conversations ended is no promise either."""
        keys = self.store.accounts[account]
        person, goes_on = keys.contacts.get(source), keys.contacts.get(self.home(account, target))
        if person is None or goes_on is None:
            return True
        recent = (goes_on.open, goes_on.last)
        older = {
            self.key(message)
            for name in keys.cases[goes_on.id]
            if name not in recent
            for message in self.messages(account, name)
        }
        return not any(
            self.key(message) in older or ("merged", message.id) in older
            for message in self.messages(account, person.open)
        )

    @staticmethod
    def key(message: Message) -> tuple[str, str]:
        return message.inbox, message.source_id

    @precondition(lambda self: self.exports)
    @rule(which=pick, stops=st.booleans(), fate=fates, by=st.sampled_from(["", "ann"]))
    def link_goes_on(self, which: int, stops: bool, fate: str, by: str) -> None:
        account, source, target, exported = self.exports.pop(which % len(self.exports))
        self.linked.add(account)
        keys = self.store.accounts[account]
        if source == self.home(account, target) or not self.adopted_is_known(account, source, target):
            return
        if keys.contacts.get(source) is not None and keys.contacts[source].moved_to:
            return
        where = next(identity for identity in IDENTITIES if contact_id(account, *identity) == source)
        adopt = Adopt(
            account=account,
            contact=target,
            source=source,
            channel=where[0],
            inbox=where[1],
            external_id=where[2],
            record=exported.record,
            messages=exported.messages,
            by=by,
        )
        replies = self.run(fate, [adopt])
        if not replies or stops or not isinstance(replies[-1], Done):
            return
        self.batch.append(
            Move(
                account=account,
                contact=source,
                into=target,
                conversation=exported.record.id if exported.record else "",
                into_conversation=replies[-1].conversation,
                length=exported.length,
                joined_ms=replies[-1].at_ms,
            )
        )

    @rule(account=account_of, which=st.integers(0, 2), into=st.integers(0, 2), fate=fates, undone=st.booleans())
    def an_agent_joins(self, account: str, which: int, into: int, fate: str, undone: bool) -> None:
        """All steps at once, as they nearly always come; and all of their undoing."""
        begun = len(self.exports)
        self.link_begins(account, which, into)
        if len(self.exports) > begun:
            self.link_goes_on(len(self.exports) - 1, stops=False, fate="stored", by="ann")
            self.run(fate)
        if undone:
            self.a_join_is_undone(account, 0, stops=False, fate="stored")
            self.run(fate)

    @rule(account=account_of, which=pick, stops=st.booleans(), fate=fates)
    def a_join_is_undone(self, account: str, which: int, stops: bool, fate: str) -> None:
        people = self.store.accounts[account].contacts
        joins = [(each, joined) for each in people.values() for joined in each.joined if not joined.undone_ms]
        if not joins or self.unanswered_end():
            return
        home, joined = joins[which % len(joins)]
        about = {"account": account, "by": "ann", "at_ms": joined.at_ms}
        back = Return(contact=joined.contact, left=home.id, conversation=home.open, **about)
        replies = self.run(fate, [back])
        if replies and not stops:
            self.batch.append(Part(contact=home.id, source=joined.contact, **about))

    # -- turns, crashes, ghosts -------------------------------------------------------------------------

    @rule(fate=fates)
    def a_turn(self, fate: str) -> None:
        self.run(fate)

    def run(self, fate: str, more: list[AnyCommand] | None = None) -> list | None:
        """Take what gathered through the router; what is not answered is repeated first next time."""
        self.now_ms += 1
        commands = [*self.batch, *(more or [])]
        try:
            replies = self.router.turn(commands, self.now_ms, fate, self.bot_room)
        except TurnFailed:
            return None
        except StaleEpoch:
            # a ghost was the first to write in this account, with a newer epoch: the process ends, another starts
            self.router = RouterModel(self.store, cached_contacts=2, budgets=BUDGETS)
            return None
        self.batch = []
        for command, reply in zip(commands, replies, strict=True):
            self.check_reply(command, reply)
        return replies

    def check_reply(self, command: AnyCommand, reply: object) -> None:
        if isinstance(command, Receive | Say):
            self.check_receipt(command, reply)
        elif isinstance(command, Fence):
            self.fenced[command.account] = max(self.fenced[command.account], command.epoch)
        elif isinstance(command, Offer | Release) and command.epoch < self.fenced[command.account]:
            assert isinstance(reply, Refusal)
        if getattr(command, "conversation", "") not in ("", *self.store.accounts[command.account].conversations):
            assert isinstance(reply, Refusal), reply

    def check_receipt(self, command: Receive | Say, reply: object) -> None:
        if isinstance(reply, Moved | Parted):
            self.add(msgspec.structs.replace(command, contact=reply.contact))
            return
        if isinstance(reply, Refusal):
            assert isinstance(command, Say), reply
            return
        assert isinstance(reply, Receipt)
        inbox = command.inbox if isinstance(command, Receive) else f"desk:{command.by}"
        source = command.source_id if isinstance(command, Receive) else command.client_id
        stored = _message.decode(self.store.accounts[command.account].sessions[reply.conversation][reply.seq - 1])
        assert (stored.inbox, stored.source_id, stored.text) == (inbox, source, command.text)
        first = self.received.setdefault((command.account, inbox, source), reply)
        if first is not reply:
            assert reply.duplicate

    @rule()
    def late_appends_arrive(self) -> None:
        for router in (self.router, *self.ghosts):
            router.late_appends_arrive()

    @rule(cached=st.integers(1, 4))
    def router_dies_and_another_takes_over(self, cached: int) -> None:
        """The old one does not know that it is dead."""
        self.ghosts = [*self.ghosts[-1:], self.router]
        self.router = RouterModel(self.store, cached_contacts=cached, budgets=BUDGETS)

    @precondition(lambda self: self.ghosts)
    @rule(account=account_of, which=pick)
    def a_ghost_goes_on_with_its_old_epoch(self, account: str, which: int) -> None:
        ghost = self.ghosts[-1]
        if not ghost.epoch:
            return
        command = Receive(
            account=account,
            contact=self.contact(account, which % 3),
            channel="web",
            inbox="ghost",
            external_id="ghost",
            source_id=self.next_id(),
            text="from a ghost",
            received_at_ms=self.now_ms,
        )
        keys = self.store.accounts[account]
        owner = keys.fence.get(slot_of_contact(command.contact))
        before = self.everything_in(account)
        try:
            ghost.turn([command], self.now_ms)
        except StaleEpoch:
            self.ghosts.remove(ghost)
            assert self.everything_in(account) == before
        else:
            # answering *moved* writes nothing, so it needs no fence
            assert owner is None or owner <= ghost.epoch or self.everything_in(account) == before

    def everything_in(self, account: str) -> bytes:
        keys = self.store.accounts[account]
        return msgspec.json.encode([keys.sessions, keys.conversations, keys.contacts, keys.held, keys.bot, keys.logs])

    @rule(account=account_of)
    def a_new_dispatcher(self, account: str) -> None:
        keys = self.store.accounts[account]
        keys.dispatcher_epoch += 1
        self.dispatcher_epochs[account] = keys.dispatcher_epoch
        self.add(Fence(account=account, epoch=keys.dispatcher_epoch, slot=0))

    # -- desks ------------------------------------------------------------------------------------------

    @rule(account=account_of, agent=agent_of)
    def a_desk_reads(self, account: str, agent: str) -> None:
        desk = self.desks[account, agent]
        self.older[account, agent].append(desk.copy())
        self.caught_up(account, agent, desk)

    @rule(account=account_of, agent=agent_of, which=pick)
    def a_desk_goes_on_from_an_earlier_cursor(self, account: str, agent: str, which: int) -> None:
        older = self.older[account, agent]
        if older:
            self.desks[account, agent] = older[which % len(older)].copy()

    @rule(account=account_of, agent=agent_of)
    def a_log_is_trimmed(self, account: str, agent: str) -> None:
        keys = self.store.accounts[account]
        keys.trimmed[agent] = max(keys.trimmed[agent], len(keys.logs[agent]) - 2)

    def caught_up(self, account: str, agent: str, desk: DeskState) -> DeskState:
        """Bring a replica up to date, as a desk does that opens with its cursor."""
        entries = self.store.replay(account, agent, desk.cursor)
        if entries is None:
            desk = self.desks[account, agent] = DeskState.from_snapshot(self.store.snapshot(account, agent))
            return desk
        for cursor, events in entries:
            assert desk.apply(cursor, events)
            assert not desk.apply(cursor, events)
        return desk

    # -- what must hold -----------------------------------------------------------------------------------

    @invariant()
    def a_stale_desk_brought_up_to_date_equals_a_fresh_one(self) -> None:
        for account, agent in self.desks:
            fresh = DeskState.from_snapshot(self.store.snapshot(account, agent))
            stale = self.desks[account, agent].copy()
            if self.store.replay(account, agent, stale.cursor) is not None:
                assert self.caught_up(account, agent, stale) == fresh

    def messages(self, account: str, conversation: str) -> list[Message]:
        return [_message.decode(data) for data in self.store.accounts[account].sessions.get(conversation, ())]

    @invariant()
    def no_receipt_lies(self) -> None:
        for (account, inbox, source), receipt in self.received.items():
            data = self.store.accounts[account].sessions[receipt.conversation][receipt.seq - 1]
            message = _message.decode(data)
            assert (message.inbox, message.source_id) == (inbox, source)

    @invariant()
    def sessions_are_numbered_and_complete(self) -> None:
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            for name, session in keys.sessions.items():
                record = keys.conversations[name]
                for seq, message in enumerate(map(_message.decode, session), start=1):
                    assert (message.id, message.conversation, message.seq) == (f"{name}-{seq}", name, seq)
                assert name in keys.cases[record.contact]

    @invariant()
    def what_is_counted_is_what_is_stored(self) -> None:
        """A link carries messages over: they are stored twice, and were said once."""
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            said = {"contact": set(), "agent": set(), "note": set(), "bot": set()}
            for name in keys.sessions:
                for message in self.messages(account, name):
                    kind = "note" if message.author == "agent" and message.internal else message.author
                    if kind in said:
                        said[kind].add(self.key(message))
            assert {kind: keys.counts[kind] for kind in said} == {kind: len(each) for kind, each in said.items()}
            assert len(keys.waits_ms) <= keys.counts["agent"]
            assert min(keys.waits_ms, default=0) >= 0
            assert keys.counts["bot_opened"] <= keys.counts["opened"] <= len(keys.conversations)

    @invariant()
    def nothing_is_taken_twice(self) -> None:
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            for contact, cases in keys.cases.items():
                taken = Counter(
                    self.key(message) for name in cases for message in self.messages(account, name) if message.source_id
                )
                assert not taken or max(taken.values()) == 1, (contact, taken)

    @invariant()
    def what_one_contact_wrote_stands_in_its_order(self) -> None:
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            for cases in keys.cases.values():
                by_sender = defaultdict(list)
                for name in cases:
                    for message in self.messages(account, name):
                        if message.author == "contact" and message.inbox != "ghost":
                            by_sender[self.sender[account, message.source_id]].append(message.source_id)
                for sources in by_sender.values():
                    assert sources == sorted(sources)

    @property
    def sender(self) -> dict[tuple[str, str], str]:
        return {
            (command.account, command.source_id): command.external_id
            for command in self.sent
            if isinstance(command, Receive)
        }

    @invariant()
    def indexes_say_what_the_records_say(self) -> None:
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            records = keys.conversations.values()
            waiting = {each.id: each.waiting_since_ms for each in records if each.state == "waiting"}
            held = {each.id: each.agent for each in records if each.state in HELD_STATES}
            snoozed = {each.id: each.snoozed_until_ms for each in records if each.state == "snoozed"}
            assert keys.waiting == waiting
            assert keys.held == held
            assert keys.snoozed == snoozed
            assert keys.bot == {each.id: each.bot_due_ms for each in records if each.state == "bot"}
            for agent in AGENTS:
                assert keys.holds[agent] == {name for name, holder in held.items() if holder == agent}
            for each in records:
                assert (each.agent != "") == (each.state in HELD_STATES)
                assert (each.offer_expires_ms != 0) == (each.state == "offered")
                assert (each.snoozed_until_ms != 0) == (each.state == "snoozed")
                assert (each.bot_due_ms != 0) == (each.state == "bot")
                assert each.state == "bot" or (each.owed_seq, each.bot) == (0, None)

    @invariant()
    def no_conversation_becomes_the_bots_again(self) -> None:
        for account in ACCOUNTS:
            for name, record in self.store.accounts[account].conversations.items():
                if record.state != "bot":
                    self.humans.add(name)
                assert record.state != "bot" or name not in self.humans

    @invariant()
    def the_bot_owes_an_answer_until_it_gave_one(self) -> None:
        newest: dict[tuple[str, str], int] = {}
        for (account, inbox, _), receipt in self.received.items():
            if not inbox.startswith("desk:"):
                place = (account, receipt.conversation)
                newest[place] = max(newest.get(place, 0), receipt.seq)
        for (account, name), seq in newest.items():
            record = self.store.accounts[account].conversations[name]
            answered = [
                int(message.reply_to.rpartition("-")[2])
                for message in self.messages(account, name)
                if message.author == "bot" and message.reply_to.startswith(name)
            ]
            assert record.state != "bot" or max([record.owed_seq, *answered]) >= seq

    @invariant()
    def no_message_is_answered_twice_by_the_bot(self) -> None:
        for account in ACCOUNTS:
            for name in self.store.accounts[account].sessions:
                answers = [message.reply_to for message in self.messages(account, name) if message.author == "bot"]
                assert len(set(answers)) == len(answers)

    @invariant()
    def a_contact_has_one_open_conversation(self) -> None:
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            opened = defaultdict(list)
            for record in keys.conversations.values():
                if record.state in OPEN_STATES:
                    opened[record.contact].append(record.id)
            for contact, person in keys.contacts.items():
                assert opened[contact] == ([person.open] if person.open else [])
                assert not (person.open and person.moved_to)

    @invariant()
    def accounts_never_mix(self) -> None:
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            own = {contact_id(account, *identity) for identity in IDENTITIES}
            assert set(keys.contacts) <= own
            assert {record.contact for record in keys.conversations.values()} <= own
            assert set(keys.sessions) == set(keys.conversations)

    @invariant()
    def each_answer_to_a_vendor_is_sent_once(self) -> None:
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            sent = Counter(out.message for out in keys.outbox)
            answers = {
                message.id
                for name in keys.sessions
                for message in self.messages(account, name)
                if message.author in ("agent", "bot") and not message.internal and message.channel not in OWN_CHANNELS
            }
            assert not sent or max(sent.values()) == 1
            assert set(sent) <= answers
            every = [message for name in keys.sessions for message in self.messages(account, name)]
            # an answer that a link carried over is a copy; the one it was copied from was sent
            originals = {self.key(message) for message in every if message.id in sent}
            assert {self.key(message) for message in every if message.id in answers} <= originals

    @invariant()
    def tags_stand_once_and_are_remembered(self) -> None:
        for account in ACCOUNTS:
            keys = self.store.accounts[account]
            for record in keys.conversations.values():
                assert len({tag.casefold() for tag in record.tags}) == len(record.tags)
                assert set(record.tags) <= set(keys.tags)

    @invariant()
    def no_vendor_gets_more_answers_than_it_takes(self) -> None:
        for account in ACCOUNTS:
            if account in self.linked:
                continue  # what was carried over had been sent elsewhere
            for name in self.store.accounts[account].sessions:
                spent = 0
                for message in self.messages(account, name):
                    if message.channel in OWN_CHANNELS or message.internal or message.author == "system":
                        continue
                    spent = 0 if message.author == "contact" else spent + (message.id not in self.failed)
                    assert message.author != "agent" or spent <= BUDGETS["wx"].answers

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.router.core.contacts <= 8

    def teardown(self) -> None:
        """Let everything be answered at last; nothing may be left out."""
        self.late_appends_arrive()
        while self.batch:
            self.run("stored")
        for command in self.sent:
            if isinstance(command, Receive):
                assert (command.account, command.inbox, command.source_id) in self.received
        # whatever the bot holds is answered by a human, or ended, when nothing more is heard of the model
        self.now_ms += 3_600_000
        for account in ACCOUNTS:
            held = list(self.store.accounts[account].bot)
            self.run("stored", [BotDue(account=account, conversation=name) for name in held])
            self.run("stored", [BotDue(account=account, conversation=name) for name in held])
            assert not self.store.accounts[account].bot


TestAnyInterleaving = RouterMachine.TestCase
TestAnyInterleaving.settings = settings(
    max_examples=120,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
