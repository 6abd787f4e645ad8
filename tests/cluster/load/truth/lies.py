"""One lie each: what a system that breaks its promises does at one moment, in an otherwise honest run."""

from cluster.load.truth.readers import FOREIGN
from tests.cluster.load.truth.small_system import Case, SmallSystem


def tell(system: SmallSystem, lie: str) -> None:
    """Let the system lie once, to a visitor whose conversation is at a desk."""
    writer = system.rng.randrange(system.writers - 2)
    system.send_again(writer)
    case = system.case_of(writer)
    # so that there is something before and after, and somebody to see it
    if case.holder < 0:
        system.offer(case, system.rng.randrange(system.desk_count))
    key, seq = _honest(system, writer, case)
    system.confirm(key, case, seq)
    system.push(case, seq)
    if lie in _ANSWERS:
        _ANSWERS[lie](system, case)
    else:
        _LIES[lie](system, writer, case)
    system.foreign(case)


def _honest(system: SmallSystem, writer: int, case: Case) -> tuple[int, int]:
    key = system.new_key(writer)
    return key, system.store(case, key)


def _not_pushed(system, writer, case):
    # what lies between two that are pushed leaves a gap, if nothing else is wrong; so it is the desk's last one
    key, seq = _honest(system, writer, case)
    system.confirm(key, case, seq)
    case.shown = seq
    system.desks[case.holder]._here[case.name].newest = seq


def _thrown_away(system, writer, case):
    system.confirm(system.new_key(writer), case, len(case.keys) + 1_000)


def _pushed_twice(system, writer, case):
    key, seq = _honest(system, writer, case)
    system.confirm(key, case, seq)
    system.push(case, seq)
    system.push(case, seq)


def _pushed_again_later(system, writer, case):
    key, seq = _honest(system, writer, case)
    system.confirm(key, case, seq)
    system.push(case, seq)
    system.foreign(case)
    system.push(case, seq)


def _stored_twice(system, writer, case):
    key, seq = _honest(system, writer, case)
    system.confirm(key, case, seq)
    system.push(case, seq)
    system.push(case, system.store(case, key))


def _two_numbers(system, writer, case):
    key, seq = _honest(system, writer, case)
    system.confirm(key, case, seq)
    system.confirm(key, case, seq + 1_000, duplicate=True)
    system.push(case, seq)


def _pushed_in_another_order(system, writer, case):
    first, second = _honest(system, writer, case), _honest(system, writer, case)
    for key, seq in (second, first):
        system.push(case, seq)
        system.confirm(key, case, seq)


def _stored_in_another_order(system, writer, case):
    first, second = system.new_key(writer), system.new_key(writer)
    for key in (second, first):
        seq = system.store(case, key)
        system.push(case, seq)
        system.confirm(key, case, seq)


def _another_desk(system, writer, case):
    key, seq = _honest(system, writer, case)
    system.confirm(key, case, seq)
    system.push(case, seq)
    system.push(case, seq, (case.holder + 1) % system.desk_count)


def _another_number(system, writer, case):
    key, seq = _honest(system, writer, case)
    system.confirm(key, case, seq + 1_000)
    system.push(case, seq)


def _anothers_conversation(system, writer, case):
    # who came first owns it
    system.send_again(writer)
    own = _honest(system, writer, case)
    system.confirm(own[0], case, own[1])
    system.push(case, own[1])
    key = system.new_key((writer + 1) % (system.writers - 2))
    seq = system.store(case, key)
    system.confirm(key, case, seq)
    system.push(case, seq)


def _refused_and_stored(system, writer, case):
    key, seq = _honest(system, writer, case)
    system.refuse(key, stored=False)
    system.push(case, seq)


def _not_answered(system, writer, case):
    _, seq = _honest(system, writer, case)
    system.push(case, seq)


def _never_sent(system, writer, case):
    system.ledgers[writer % 2].receipt(writer, 900_000, case.name, 4_000)


def _entry_twice(system, writer, case):
    system.desks[case.holder].entry(system.cursors[case.holder])


def _entry_left_out(system, writer, case):
    system.cursors[case.holder] += 1


def _bot_left_out(system, writer, case):
    system.store(case, FOREIGN)


def _bot_twice(system, writer, case):
    system.foreign(case)
    system.push(case, len(case.keys))


def _two_desks(system, writer, case):
    first = case.holder
    system.offer(case, (first + 1) % system.desk_count)


def _removed_elsewhere(system, writer, case):
    system.desks[(case.holder + 1) % system.desk_count].removed(case.name, case.revision)


_LIES = {
    "not pushed": _not_pushed,
    "confirmed and thrown away": _thrown_away,
    "pushed twice": _pushed_twice,
    "pushed again later": _pushed_again_later,
    "stored twice": _stored_twice,
    "confirmed under two numbers": _two_numbers,
    "pushed in another order": _pushed_in_another_order,
    "stored in another order": _stored_in_another_order,
    "shown to another desk": _another_desk,
    "confirmed under another number": _another_number,
    "put into another's conversation": _anothers_conversation,
    "refused and stored": _refused_and_stored,
    "not answered": _not_answered,
    "confirmed what nobody sent": _never_sent,
    "an entry sent twice": _entry_twice,
    "an entry left out": _entry_left_out,
    "a word of the bot left out": _bot_left_out,
    "a word of the bot twice": _bot_twice,
    "offered to two desks": _two_desks,
    "removed what was not there": _removed_elsewhere,
}


def _answer_not_shown(system, case):
    system.answer(case)


def _answer_twice(system, case):
    said = system.answer(case)
    system.show_answer(case, said)
    system.show_answer(case, said)


def _answers_swapped(system, case):
    first, second = system.answer(case), system.answer(case)
    system.show_answer(case, second)
    system.show_answer(case, first)


def _answer_elsewhere(system, case):
    said = system.answer(case)
    system.show_answer(case, said)
    other = (case.person + 1) % (system.writers - 2)
    system.answer_ledgers[0].shown(said[1], system.answer_ledgers[0].place(case.name, said[0]), other, 1)


_ANSWERS = {
    "answer not shown": _answer_not_shown,
    "answer shown twice": _answer_twice,
    "answers in another order": _answers_swapped,
    "answer shown to another": _answer_elsewhere,
}
