import json
from pathlib import Path

import pytest

from models.intent.taxonomy import OUT_OF_SCOPE, load_taxonomy, parse_taxonomy
from models.intent.train.rows import (
    SENTENCES,
    BadRows,
    Row,
    check_enough,
    read_rows,
    read_texts,
    shipped_sentences,
    split,
    without,
)

TAXONOMY = load_taxonomy()


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_language_and_source_are_told_when_the_row_does_not_say(tmp_path):
    path = write(
        tmp_path / "shop.jsonl", {"text": "退款", "intent": "refund"}, "", {"text": "hi", "intent": "greeting"}
    )
    rows = read_rows([path], TAXONOMY)
    assert [(row.lang, row.source) for row in rows] == [("zh", "shop"), ("en", "shop")]


def test_every_bad_row_is_named_by_file_and_line(tmp_path):
    path = write(
        tmp_path / "shop.jsonl",
        {"text": "ok", "intent": "refund"},
        "{no json",
        {"text": "no intent"},
        {"text": " \u200b ", "intent": "refund"},
        {"text": "x", "intent": "refunds"},
        {"text": "x", "intent": "refund", "lang": "fr"},
    )
    with pytest.raises(BadRows) as caught:
        read_rows([path], TAXONOMY)
    said = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in said] == ["2", "3", "4", "5", "6"]
    assert "did you mean refund?" in said[3]
    assert "zh or en" in said[4]


def test_a_flood_of_bad_rows_is_cut(tmp_path):
    path = write(tmp_path / "shop.jsonl", *[{"text": "x", "intent": "nothing"}] * 100)
    with pytest.raises(BadRows, match=r"\.\.\. and 80 more"):
        read_rows([path], TAXONOMY)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadRows, match="No such file"):
        read_rows([tmp_path / "nowhere.jsonl"], TAXONOMY)


def test_texts_need_no_label(tmp_path):
    assert read_texts([write(tmp_path / "t.jsonl", {"text": "a", "x": 1}, {"text": "b"})]) == ["a", "b"]
    with pytest.raises(BadRows, match=":1:"):
        read_texts([write(tmp_path / "bad.jsonl", {"words": "a"})])


def test_what_is_measured_is_never_learnt_however_it_is_written():
    learnt = [Row(text="Where is it?", intent="order_status"), Row(text="refund", intent="refund")]
    assert without(learnt, [Row(text="where  is it？", intent="order_status")]) == learnt[1:]


def test_the_split_is_the_same_each_time_and_takes_from_each_intent():
    rows = [Row(text=f"{intent} {n}", intent=intent) for intent in ("refund", "greeting") for n in range(20)]
    rows += [Row(text=f"few {n}", intent="invoice") for n in range(4)]
    learnt, held = split(rows, 0.2)
    assert {row.text for row in split(rows[::-1], 0.2)[1]} == {row.text for row in held}
    assert sorted(row.intent for row in held) == ["greeting"] * 4 + ["refund"] * 4
    assert len(learnt) + len(held) == len(rows)


def test_too_few_rows_end_it_and_thin_intents_are_told():
    with pytest.raises(BadRows, match="3 rows are too few"):
        check_enough([Row(text=str(n), intent="refund") for n in range(3)], TAXONOMY)
    with pytest.raises(BadRows, match="nothing to tell apart"):
        check_enough([Row(text=str(n), intent="refund") for n in range(60)], TAXONOMY)
    rows = [Row(text=str(n), intent="refund") for n in range(60)] + [Row(text="hi", intent="greeting")]
    absent, thin = check_enough(rows, TAXONOMY)
    assert "invoice" in absent
    assert thin.endswith("greeting (1)")


def test_our_sentences_are_enough_for_each_intent_and_language():
    rows = shipped_sentences(TAXONOMY, 0)
    for language in ("zh", "en"):
        for name in TAXONOMY.names:
            texts = {row.text for row in rows if row.intent == name and row.lang == language}
            assert len(texts) >= 40, (language, name)
    assert len({(row.lang, row.text) for row in rows}) == len(rows)
    assert {path.name for path in SENTENCES.glob("*.jsonl")} == {"zh.jsonl", "en.jsonl"}


def test_with_another_taxonomy_only_what_is_out_of_any_shops_scope_is_ours():
    mine = parse_taxonomy(
        "".join(
            f'[[intent]]\nname = "{name}"\nzh = "z"\nen = "e"\ndescription = "d"\n'
            for name in ("rent", "refund", OUT_OF_SCOPE)
        ),
        "mine",
    )
    rows = shipped_sentences(mine, 400)
    assert {row.intent for row in rows} == {OUT_OF_SCOPE}
    assert len(rows) == 100
