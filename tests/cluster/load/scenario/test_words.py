"""Words of contacts, and the ids that their messages carry."""

import itertools
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.load.scenario.dialogues import Dialogues, InvalidDialogues, dialogues_of, read_dialogues, sampled
from cluster.load.scenario.grammar import Grammar, read_grammar
from cluster.load.scenario.tables import Words
from cluster.load.truth.message_ids import MessageId, MessageIds

NUMBERS = st.integers(0, 10_000_000)


def test_contacts_walk_on_from_a_dialogue_of_their_own():
    ring = Dialogues([["a1", "a2", "a3"], [], ["b1"], ["c1", "c2"]], seed=1)
    assert (ring.count, ring.turns) == (3, 6)
    order = ["a1", "a2", "a3", "b1", "c1", "c2"] * 3
    begins = set()
    for writer in range(50):
        said = [ring.text(writer, number) for number in range(8)]
        begins.add(said[0])
        at = order.index(said[0])
        assert said == order[at : at + 8]
    assert begins == {"a1", "b1", "c1"}


def test_nobody_who_says_anything_is_refused():
    with pytest.raises(InvalidDialogues, match="at least one"):
        Dialogues([[], []], seed=1)


def test_the_grammar_speaks_the_languages_asked_for_and_leaves_no_slot_open():
    for languages, chinese in ((("zh",), {True}), (("en",), {False}), (("zh", "en"), {True, False})):
        ring = dialogues_of(Words(languages=languages, most=400), seed=3)
        texts = [ring.text(0, number) for number in range(ring.turns)]
        assert not [text for text in texts if "{" in text or not text.strip()]
        assert {any("\u4e00" <= char <= "\u9fff" for char in text) for text in texts} >= chinese
        assert len(set(texts)) > 300


def test_every_slot_of_the_grammar_can_be_filled():
    for words in read_grammar().values():
        lines = itertools.chain(words.opening, words.close, *words.matters.values())
        slots = {part.partition("}")[0] for line in lines for part in line.split("{")[1:]}
        assert slots == set(words.slots) | {"order", "money"}


def test_equal_seeds_make_equal_dialogues():
    words = list(read_grammar().values())
    one, same, other = (
        list(itertools.islice(Grammar(words, np.random.default_rng(seed)).dialogues(), 20)) for seed in (1, 1, 2)
    )
    assert one == same != other


def write_lines(path, *lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_file_gives_what_its_customers_said(tmp_path):
    turns = [{"role": "agent", "text": "hi"}, {"role": "customer", "text": " 在吗 "}, {"role": "customer", "text": " "}]
    path = write_lines(tmp_path / "d.jsonl", {"dialogue_id": "1", "lang": "zh", "turns": turns}, "", {"turns": []})
    assert list(read_dialogues(path)) == [["在吗"], []]
    assert dialogues_of(Words(file=str(path)), seed=1).text(5, 5) == "在吗"


@pytest.mark.parametrize("line", ["{", '{"turns": [{"role": "boss", "text": "x"}]}', '{"turns": 3}', "[]"])
def test_a_bad_line_is_told_with_its_place(tmp_path, line):
    path = write_lines(tmp_path / "d.jsonl", {"turns": []}, line)
    with pytest.raises(InvalidDialogues, match=r"d\.jsonl, line 2: .*; allowed: .*dialogue_id"):
        list(read_dialogues(path))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InvalidDialogues, match="No such file"):
        list(read_dialogues(tmp_path / "none.jsonl"))


def test_a_sample_of_a_long_file_is_fair():
    counts = np.zeros(50)
    random = np.random.default_rng(1)
    for _ in range(2_000):
        for turns in sampled(([str(number)] for number in range(50)), 10, random):
            counts[int(turns[0])] += 1
    assert counts.sum() == 20_000
    assert counts == pytest.approx(np.full(50, 400), rel=0.25)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_an_id_is_read_as_it_was_written(writer, number, due_us, lag_us):
    ids = MessageIds("k7")
    text = ids.write(writer, number, due_us, lag_us)
    written = MessageId(writer, number, due_us, lag_us)
    assert ids.read(text) == written
    assert ids.find(text, "anything") == ids.find("12345", ids.tagged("where? #3", text)) == written
    assert MessageIds("k8").read(text) is None


@given(st.text(max_size=30) | st.from_regex(r"k7-[0-9-]*", fullmatch=True))
def test_what_is_no_id_is_none(text):
    found = MessageIds("k7").read(text)
    assert (found is not None) == bool(re.fullmatch(r"k7(-[0-9]+){4}", text))


def test_a_vendors_number_is_the_same_each_time_and_another_for_each_message():
    numbers = {MessageIds(run).vendor_number(w, n) for run in ("a", "b") for w in range(30) for n in range(30)}
    assert len(numbers) == 1_800
    assert max(numbers) < 2**63
    assert MessageIds("a").vendor_number(1, 2) == MessageIds("a").vendor_number(1, 2)


@pytest.mark.parametrize("run", ["", "A", "a-b", "a" * 17])
def test_a_name_of_a_run_has_no_dash(run):
    with pytest.raises(ValueError, match="run: found"):
        MessageIds(run)
