"""What an audit found: every message in its class, examples of what is wrong, and what the figures prove."""

import math

import msgspec

#: What an unlucky one in twenty would exceed.
_CONFIDENCE = 0.95
#: Counts of a run that must all be 0, whatever the load.
FAULTS = (
    "lost",
    "doubled",
    "reordered",
    "misplaced",
    "unaccounted",
    "contradicted",
    "invented",
    "held_twice",
    "held_elsewhere",
    "gaps",
    "foreign_again",
    "entries_again",
    "entries_skipped",
    "mishaps",
)


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an audit.

    Each message that was due is in one class: *accepted* (it has a receipt), *refused* (it was answered with
    errors only), *unaccounted* (it was sent and got no answer), *unsent*. Each accepted one is *delivered*, *kept*
    or *lost*. The others say what else is wrong, and each counts a message once however often it went wrong.

    Args:
        intended: were due.
        sent: left at least once.
        resent: left again, under the same id.
        accepted: have a receipt.
        duplicates: receipts that said it had been taken before.
        refused: were answered with errors only.
        unaccounted: were sent, and got neither.
        unsent: never left, because the harness could not.
        delivered: accepted, and shown to a reader who was to see it.
        kept: accepted, read back from the history, and nobody had the conversation at the end or was shown anything
            later of it: it waits, or the bot has it.
        lost: accepted, and neither delivered nor kept; or missing in a history that was read whole.
        doubled: pushed twice, or stored twice.
        reordered: stored or pushed after one that was sent later.
        misplaced: shown to a reader who was not to see it, or in a place that its receipt does not name.
        contradicted: refused as not stored, and shown or stored all the same.
        invented: facts about messages that were never sent.
        held_twice: conversations that were on two desks at once.
        held_elsewhere: conversations that were on another desk than the system's record says.
        gaps: numbers that a reader was never shown, though earlier and later ones.
        foreign_again: messages of the bot, the system or the other side that were pushed twice or out of order.
        entries_again: entries of desks' logs that came twice.
        entries_skipped: entries of desks' logs that never came.
        handed_on: conversations that were taken from a desk because its time was up; no fault.
        snapshots: fresh starts of desks after a break; no fault.
        conversations: that were seen.
        mishaps: what must not happen at all.
        examples: of each fault some, in words.
    """

    intended: int
    sent: int
    resent: int
    accepted: int
    duplicates: int
    refused: int
    unaccounted: int
    unsent: int
    delivered: int
    kept: int
    lost: int
    doubled: int
    reordered: int
    misplaced: int
    contradicted: int
    invented: int
    held_twice: int
    held_elsewhere: int
    gaps: int
    foreign_again: int
    entries_again: int
    entries_skipped: int
    handed_on: int
    snapshots: int
    conversations: int
    mishaps: int
    examples: dict[str, list[str]] = msgspec.field(default_factory=dict[str, list[str]])

    @property
    def faults(self) -> dict[str, int]:
        """Return everything that must not be, by its name."""
        return {name: count for name in FAULTS if (count := getattr(self, name))}

    @property
    def statement(self) -> str:
        """Say what the audit proves about losses."""
        return statement(self.lost, self.accepted)


def statement(lost: int, accepted: int) -> str:
    """Say how many were lost, and how often one is lost at most, with 95 % confidence."""
    if not accepted:
        return "nothing was accepted, so nothing is proved"
    bound = upper_bound(lost) / accepted
    most = f"1 in {math.floor(1 / bound):,}" if bound < 1 else "all of them"
    how = "3/N" if lost == 0 else "exact Poisson bound"
    return f"{lost:,} lost of {accepted:,}: at most {most} with 95 % confidence ({how})"


def upper_bound(seen: int) -> float:
    """Return the expected number that is not exceeded, with 95 % confidence, when ``seen`` were seen.

    For 0 the rule of three (Hanley and Lippman-Hand, JAMA 1983, 249:1743): 3. Else the one-sided exact bound: the
    mean at which Poisson shows ``seen`` or fewer in one case of twenty (Garwood, Biometrika 1936, 28:437).
    """
    if seen == 0:
        return 3.0
    low, high = float(seen), seen + 4 * math.sqrt(seen) + 10
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if _poisson_until(seen, middle) > 1 - _CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _poisson_until(most: int, mean: float) -> float:
    """Return the probability of at most so many, summed from the largest term down so that nothing overflows."""
    term = math.exp(most * math.log(mean) - mean - math.lgamma(most + 1))
    total = term
    for number in range(most, 0, -1):
        term *= number / mean
        total += term
        if term < 1e-17 * total:
            break
    return total
