"""Agents at their desks: they take what is offered or decline it, answer after a while, hand on, go away, come back.

A desk shows every message of the conversations that it holds: what an offer does not bring is read back. An answer
that has neither receipt nor refusal when the link breaks is sent again, under its old id, when it is open again.
"""

from collections.abc import Sequence
from functools import partial

from cluster.load.clients.office import Office
from cluster.load.orders import AgentLogin
from cluster.load.targets.said import Held, Receipt, Record, Refusal, Said, Written
from cluster.load.targets.target import AgentLink
from cluster.load.truth.readers import FOREIGN, DeskReader

#: Messages of one page of history.
_PAGE = 200
#: Who answers begins to type this share of the time before.
_TYPING_SHARE = 0.5
#: A desk that is told nothing for so long is silent.
_SILENT_US = 20_000
#: Answers are said in the words of a contact whose number nobody has.
_VOICE = 1 << 24


class Desk:
    """One agent.

    Args:
        agent: its number.
        login: who it is.
        office: what it shares with the others.
    """

    def __init__(self, agent: int, login: AgentLogin, office: Office) -> None:
        self._agent = agent
        self._login = login
        self._office = office
        self.link: AgentLink | None = None
        self.attempts = 0
        self.ever_open = False
        self.quiet = True
        self._reader = DeskReader(office.notes.messages, agent)
        self._cursor: int | None = None
        self._acked = 0
        #: when it was told something last.
        self._heard_us = 0
        self._holds: set[str] = set()
        #: conversation -> the number until which it was shown here, or will be by a page that was asked for.
        self._shown: dict[str, int] = {}
        #: (conversation, number before which) -> how many messages were asked for and have not come.
        self._pages: dict[tuple[str, int], int] = {}
        self._answers = 0
        #: number -> conversation and answer without receipt or refusal.
        self._under_way: dict[int, tuple[str, Written]] = {}

    @property
    def holds(self) -> int:
        """How many conversations are here."""
        return self._reader.holds

    @property
    def unanswered(self) -> int:
        """How many answers have neither receipt nor refusal."""
        return len(self._under_way)

    # -- its link

    async def open(self) -> None:
        """Open its link; see `cluster.load.clients.opener.Opens`."""
        await self._office.target.agent(self._login, self, self._cursor)

    def forget_cursor(self) -> None:
        """Begin anew."""
        self._office.notes.messages.mishap(f"desk {self._agent}: its cursor {self._cursor} is not known")
        self._cursor = None

    def on_open(self, link: AgentLink) -> None:
        """Say again what is not confirmed."""
        self.link = link
        for conversation, written in self._under_way.values():
            self._office.notes.answer_leaves_again(self._agent, written)
            link.answer(conversation, written)
        for (conversation, before), limit in self._pages.items():
            link.read_back(conversation, before, limit)

    def on_lost(self) -> None:
        """Come back after a moment."""
        self.link = None
        self._office.opener.lost(self)

    def look(self) -> None:
        """Several times a second: confirm what was shown."""
        if self.link is not None and self._cursor is not None and self._cursor > self._acked:
            self._acked = self._cursor
            self.link.ack(self._acked)
            self.quiet = False

    def beat(self) -> None:
        """Once a heartbeat: show that one lives."""
        if self.link is not None and self.quiet:
            self.link.ping()
        self.quiet = True

    def come_and_go(self) -> None:
        """Begin to go away, and to lose the link, as often as agents do."""
        habits = self._office.habits
        if habits.away_every is not None:
            self._office.agenda.after(habits.away_every.draw(self._office.random), self._go_away)
        if habits.reconnect_every is not None:
            self._office.agenda.after(habits.reconnect_every.draw(self._office.random), self._break)

    def _go_away(self) -> None:
        if self._office.closing:
            return
        self._presence(online=False)
        self._office.agenda.after(self._office.habits.away_for.draw(self._office.random), self.come_back)

    def come_back(self) -> None:
        """Be there again."""
        self._presence(online=True)
        every = self._office.habits.away_every
        if every is not None:
            self._office.agenda.after(every.draw(self._office.random), self._go_away)

    def _presence(self, *, online: bool) -> None:
        if self.link is not None:
            self.link.presence(online=online)
        else:
            self._office.agenda.after(1.0, partial(self._presence, online=online))

    def _break(self) -> None:
        if self._office.closing:
            return
        if self.link is not None:
            self.link.drop()
        every = self._office.habits.reconnect_every
        if every is not None:
            self._office.agenda.after(every.draw(self._office.random), self._break)

    # -- what it is told

    def on_entry(self, cursor: int) -> None:
        """An entry of the log begins."""
        self._reader.entry(cursor)
        self._cursor = cursor
        self._hear(self._office.notes.clock.now_us())

    def _hear(self, now_us: int) -> None:
        """Note when something was told, and how long nothing had been."""
        until_us = min(now_us, self._office.ends_us)
        if until_us - self._heard_us > _SILENT_US:
            self._office.notes.silence(self._heard_us, until_us)
        self._heard_us = max(now_us, 0)

    def on_snapshot(self, cursor: int, held: Sequence[Held]) -> None:
        """All that was here is replaced."""
        self._reader.snapshot(cursor, [each.conversation.id for each in held])
        self._cursor = cursor
        self._holds = set()
        for each in held:
            self._come(each)
            if each.conversation.state == "offered":
                self._consider(each.conversation.id)

    def on_offered(self, held: Held) -> None:
        """A conversation comes: take it or turn it down, after a while."""
        self._come(held)
        self._consider(held.conversation.id)

    def on_said(self, said: Said) -> None:
        """A message is pushed."""
        key = self._office.notes.at_desk(said)
        if key == FOREIGN:
            self._office.notes.pushed_back(said)
        self._reader.live(said.conversation, said.seq, key)
        if said.seq > self._shown.get(said.conversation, 0):
            self._shown[said.conversation] = said.seq
        if key != FOREIGN:
            self._think(said.conversation)

    def on_removed(self, conversation: Record, *, by_time: bool = False) -> None:
        """A conversation goes."""
        self._reader.removed(conversation.id, conversation.revision, by_time=by_time)
        self._holds.discard(conversation.id)

    def on_page(self, conversation: str, before: int, messages: Sequence[Said]) -> None:
        """What lies before the newest messages of an offer."""
        self._pages.pop((conversation, before), None)
        told = [(said.seq, self._office.notes.at_desk(said)) for said in messages]
        self._reader.page(conversation, told)

    def on_receipt(self, number: int, receipt: Receipt) -> None:
        """An answer is stored; now and then a colleague goes on, or the case is done."""
        known = self._under_way.pop(number, None)
        if known is None:
            return
        conversation, written = known
        office = self._office
        office.notes.answer_receipt(self._agent, written, receipt)
        if office.closing or self.link is None:
            return
        if office.chance(office.habits.transfer_share) and len(office.colleagues) > 1:
            others = [name for name in office.colleagues if name != self._login.name]
            self.link.transfer(conversation, others[int(office.random.integers(len(others)))])
        elif office.chance(office.habits.resolve_share):
            self.link.resolve(conversation)

    def on_refused(self, number: int, refusal: Refusal) -> None:
        """An answer was answered with an error; that its conversation went meanwhile is usual."""
        known = self._under_way.get(number)
        if known is None:
            return
        again = refusal.again and self._office.steadfast
        self._office.notes.answer_refused(self._agent, known[1], refusal, last=not again)
        if again:
            self._office.agenda.after(refusal.retry_after_s, partial(self._say_again, number))
        else:
            del self._under_way[number]

    def _say_again(self, number: int) -> None:
        """Say an answer again that was refused for the moment; after a break all are said again anyhow."""
        known = self._under_way.get(number)
        if known is not None and self.link is not None:
            self._office.notes.answer_leaves_again(self._agent, known[1])
            self.link.answer(*known)

    def on_undone(self, action: str, conversation: str, refusal: Refusal) -> None:
        """Something else was answered with an error; what was only not possible now is tried again."""
        again = {
            "accept": partial(self._accept, conversation),
            "presence": partial(self._presence, online=True),
            "read_back": partial(self._read_again, conversation),
        }
        if refusal.again and action in again:
            self._office.agenda.after(refusal.retry_after_s, again[action])
        self._office.notes.refusals[f"{action}: {refusal.name}"] += 1

    # -- what it does

    def _come(self, held: Held) -> None:
        """Show a conversation with its newest messages, and ask for what lies between them and those shown before."""
        record = held.conversation
        first = not record.preferred and not record.excluded
        told = [(said.seq, self._office.notes.at_desk(said, first_desk=first)) for said in held.messages]
        self._reader.offered(record.id, record.revision, told)
        self._holds.add(record.id)
        shown = self._shown.get(record.id, 0)
        if held.messages:
            self._read_back(record.id, held.messages[0].seq, shown)
            self._shown[record.id] = max(shown, held.messages[-1].seq)

    def _read_back(self, conversation: str, before: int, shown: int) -> None:
        while before > shown + 1 and self.link is not None:
            limit = min(_PAGE, before - 1 - shown)
            self._pages[conversation, before] = limit
            self.link.read_back(conversation, before, limit)
            before -= limit

    def _read_again(self, conversation: str) -> None:
        for (of, before), limit in self._pages.items():
            if of == conversation and self.link is not None:
                self.link.read_back(of, before, limit)

    def _consider(self, conversation: str) -> None:
        office = self._office
        decide = self._decline if office.chance(office.habits.decline_share) else self._accept
        wait_s = office.habits.accept_after.draw(office.random)
        if wait_s:
            office.agenda.after(wait_s, partial(decide, conversation))
        else:
            decide(conversation)

    def _accept(self, conversation: str) -> None:
        if self.link is not None and conversation in self._holds:
            self.link.accept(conversation)
            self.quiet = False

    def _decline(self, conversation: str) -> None:
        if self.link is not None and conversation in self._holds:
            self.link.decline(conversation)

    def _think(self, conversation: str) -> None:
        """Mean to answer, perhaps."""
        office = self._office
        if office.closing or not office.chance(office.habits.answer_share):
            return
        wait_s = office.habits.answer_after.draw(office.random)
        due_us = office.notes.clock.now_us() + int(wait_s * 1e6)
        if office.habits.typing:
            office.agenda.after(wait_s * _TYPING_SHARE, partial(self._type, conversation))
        office.agenda.after(wait_s, partial(self._answer, conversation, due_us))

    def _type(self, conversation: str) -> None:
        if self.link is not None and conversation in self._holds:
            self.link.typing(conversation)

    def _answer(self, conversation: str, due_us: int) -> None:
        """Say something, if the conversation is here still."""
        office = self._office
        if office.closing or self.link is None or conversation not in self._holds:
            return
        number = self._answers
        self._answers += 1
        text = office.words.text(_VOICE + self._agent, number)
        written = office.notes.answer(self._agent, number, due_us, text, tagged=office.tagged)
        office.notes.answer_leaves(self._agent, written)
        self._under_way[number] = (conversation, written)
        self.link.answer(conversation, written)
        self.quiet = False

    def close(self) -> None:
        """Write down what is here still, and that nothing more was told; once."""
        self._hear(self._office.ends_us)
        self._reader.close()
