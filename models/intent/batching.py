"""Which of the waiting texts the model looks at next: batches of similar lengths, built around the oldest text.

Promises:

- There is no timer: ``take`` gives what waits, whenever the model is free; under load texts gather by themselves.
- The text that waits longest is in the next batch, whatever its length; so nothing starves.
- A batch costs at most ``token_budget`` tokens, counted padded: its rows times its longest row. A single text that
  is longer than the budget runs alone.
- Its fellows are those of the nearest lengths, as long as all padding of the batch together costs no more than a run
  of its own would (``run_tokens``). Texts with the same key ride along in one row.
- A text whose deadline has passed never runs; it comes out apart, to be answered as late.
- A ticket that was withdrawn never runs; withdrawing costs the same however many wait.
- At most ``max_waiting`` texts wait. A list that does not fit is refused as a whole, before anything of it waits.

A ``take`` looks at each text that it gives once, and at each length that waits (of which a model has few).
"""

import heapq
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from models.domain.errors import Overloaded, TooLarge

#: The heap of deadlines may hold this many tickets that no longer wait, and as many again as do.
_FORGOTTEN = 256

CallerT = TypeVar("CallerT")


class Ticket(Generic[CallerT]):
    """One text of one caller, from its arrival until it is taken, late or withdrawn.

    Args:
        caller: who asked; the batcher only hands it back.
        place: where in the caller's list the text stands.
        key: what texts must share to be the same to the model.
        tokens: the text as the model reads it; the same for the same key.
        deadline_s: when an answer is of no use any more, on the clock of ``now_s``.
    """

    __slots__ = ("caller", "deadline_s", "key", "place", "since_s", "tokens", "waiting")

    def __init__(self, caller: CallerT, place: int, key: str, tokens: list[int], deadline_s: float) -> None:
        self.caller = caller
        self.place = place
        self.key = key
        self.tokens = tokens
        self.deadline_s = deadline_s
        self.since_s = 0.0
        self.waiting = False


class Batch(msgspec.Struct, Generic[CallerT], frozen=True):
    """What one run of the model is for.

    Args:
        rows: the tickets that each row answers, at least one each; all of a row have the same tokens.
        late: tickets whose deadline has passed; they are in no row.
    """

    rows: list[list[Ticket[CallerT]]]
    late: list[Ticket[CallerT]]

    @property
    def tokens(self) -> list[list[int]]:
        """What the model reads, a row each."""
        return [row[0].tokens for row in self.rows]


class Counts(msgspec.Struct):
    """What a batcher has done since its start; what waits is in none but ``accepted``.

    Args:
        accepted: texts that were queued.
        run: texts that were given to the model, riders among them.
        riders: texts that another one's row answers.
        late, withdrawn: texts that were never run.
        batches, rows: runs, and texts that were really looked at.
        real_tokens, padded_tokens: of all rows, without and with their padding.
    """

    accepted: int = 0
    run: int = 0
    riders: int = 0
    late: int = 0
    withdrawn: int = 0
    batches: int = 0
    rows: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0


class Batcher(Generic[CallerT]):
    """The texts that wait for one model.

    Args:
        token_budget: padded tokens of one batch at most.
        max_waiting: texts that may wait.
        run_tokens: what a run costs besides its tokens, told in tokens: so much padding a batch may have.
    """

    def __init__(self, *, token_budget: int, max_waiting: int, run_tokens: int) -> None:
        self._token_budget = token_budget
        self._max_waiting = max_waiting
        self._run_tokens = run_tokens
        self._oldest_first: OrderedDict[Ticket[CallerT], None] = OrderedDict()
        self._by_length: dict[int, OrderedDict[Ticket[CallerT], None]] = {}
        self._alike: dict[str, OrderedDict[Ticket[CallerT], None]] = {}
        self._deadlines: list[tuple[float, int, Ticket[CallerT]]] = []
        self._arrivals = 0
        self.counts = Counts()

    def __len__(self) -> int:
        """Count the texts that wait."""
        return len(self._oldest_first)

    def check_size(self, texts: int) -> None:
        """Tell whether a list of so many texts can be queued at all.

        Raises:
            TooLarge: there would be no room for it in an empty queue.
        """
        if texts > self._max_waiting:
            raise TooLarge(f"at most {self._max_waiting} texts can be asked about at once")

    def check_room(self, texts: int) -> None:
        """Tell whether a list of so many texts could be queued now.

        Raises:
            TooLarge: as ``check_size``.
            Overloaded: there is no room for it at this moment.
        """
        self.check_size(texts)
        if len(self._oldest_first) + texts > self._max_waiting:
            raise Overloaded("the queue of the intent model is full")

    def put(self, tickets: Sequence[Ticket[CallerT]], now_s: float) -> None:
        """Queue all texts of a list, or none.

        Raises:
            TooLarge, Overloaded: as ``check_room``.
        """
        self.check_room(len(tickets))
        for ticket in tickets:
            ticket.since_s = now_s
            ticket.waiting = True
            self._arrivals += 1
            self._oldest_first[ticket] = None
            self._by_length.setdefault(len(ticket.tokens), OrderedDict())[ticket] = None
            self._alike.setdefault(ticket.key, OrderedDict())[ticket] = None
            heapq.heappush(self._deadlines, (ticket.deadline_s, self._arrivals, ticket))
        self.counts.accepted += len(tickets)

    def withdraw(self, tickets: Sequence[Ticket[CallerT]]) -> None:
        """Drop those of a caller's texts that still wait; the others are left as they are."""
        for ticket in tickets:
            if ticket.waiting:
                self._remove(ticket)
                self.counts.withdrawn += 1
        self._forget_deadlines()

    def expire(self, now_s: float) -> list[Ticket[CallerT]]:
        """Drop and return the texts whose deadline has come."""
        late: list[Ticket[CallerT]] = []
        while self._deadlines and self._deadlines[0][0] <= now_s:
            ticket = heapq.heappop(self._deadlines)[2]
            if ticket.waiting:
                self._remove(ticket)
                late.append(ticket)
        self.counts.late += len(late)
        return late

    def take(self, now_s: float) -> Batch[CallerT]:
        """Return the texts that run next, with those that have become late; no rows if nothing waits."""
        late = self.expire(now_s)
        if not self._oldest_first:
            return Batch(rows=[], late=late)
        oldest = next(iter(self._oldest_first))
        filling = _Filling(len(oldest.tokens), self._token_budget, self._run_tokens)
        rows = [self._take_alike(oldest)]
        for length in filling.nearest_first(self._by_length):
            while length in self._by_length and filling.add(length):
                rows.append(self._take_alike(next(iter(self._by_length[length]))))
        self._count(rows, filling)
        self._forget_deadlines()
        return Batch(rows=rows, late=late)

    def _take_alike(self, first: Ticket[CallerT]) -> list[Ticket[CallerT]]:
        row = list(self._alike[first.key])
        for ticket in row:
            self._remove(ticket)
        return row

    def _remove(self, ticket: Ticket[CallerT]) -> None:
        ticket.waiting = False
        del self._oldest_first[ticket]
        length = len(ticket.tokens)
        del self._by_length[length][ticket]
        if not self._by_length[length]:
            del self._by_length[length]
        del self._alike[ticket.key][ticket]
        if not self._alike[ticket.key]:
            del self._alike[ticket.key]

    def _forget_deadlines(self) -> None:
        """Let go of tickets that no longer wait; each rebuilding is paid for by as many that left."""
        if len(self._deadlines) > 2 * len(self._oldest_first) + _FORGOTTEN:
            self._deadlines = [entry for entry in self._deadlines if entry[2].waiting]
            heapq.heapify(self._deadlines)

    def _count(self, rows: list[list[Ticket[CallerT]]], filling: "_Filling") -> None:
        texts = sum(len(row) for row in rows)
        counts = self.counts
        counts.batches += 1
        counts.rows += len(rows)
        counts.run += texts
        counts.riders += texts - len(rows)
        counts.real_tokens += filling.real
        counts.padded_tokens += filling.rows * filling.longest


class _Filling:
    """The size of a batch while it grows around its first row."""

    def __init__(self, first: int, budget: int, run_tokens: int) -> None:
        self._first = first
        self._budget = budget
        self._run_tokens = run_tokens
        self.rows = 1
        self.longest = first
        self.real = first

    def nearest_first(self, lengths: Mapping[int, object]) -> list[int]:
        """Order lengths by how far they are from the first row; of two as near, the shorter one pads less."""
        return sorted(lengths, key=lambda length: (abs(length - self._first), length))

    def add(self, length: int) -> bool:
        """Add a row of this length if budget and padding allow it."""
        longest = max(self.longest, length)
        padded = (self.rows + 1) * longest
        real = self.real + length
        if padded > self._budget or padded - real > self._run_tokens:
            return False
        self.rows += 1
        self.longest, self.real = longest, real
        return True
