"""The whole road on a tiny model: labels of a user's own in, an artefact out that serves."""

import json
from pathlib import Path

import pytest

from deployments.commands.failure import CommandError
from deployments.commands.intent import CARD, CONFUSION, CURVES, TrainFiles, run_evaluate, run_train
from models.intent.classifier import Classifier, InvalidArtifact
from models.intent.taxonomy import load_taxonomy
from models.intent.train.recipe import Recipe, tiny_recipe
from models.intent.train.rows import shipped_sentences

INTENTS = ("refund", "invoice", "out_of_scope")
RECIPE = tiny_recipe(Recipe(seed=3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("road")
    (folder / "taxonomy.toml").write_text(
        "".join(f'[[intent]]\nname = "{name}"\nzh = "z"\nen = "e"\ndescription = "d"\n' for name in INTENTS)
    )
    rows = [row for row in shipped_sentences(load_taxonomy(), 0) if row.intent in INTENTS[:2]]
    lines = [json.dumps({"text": row.text, "intent": row.intent}, ensure_ascii=False) for row in rows[:300]]
    (folder / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def files(folder: Path, out: str) -> TrainFiles:
    return TrainFiles([folder / "mine.jsonl"], [], [], [], [], folder / "taxonomy.toml", None, folder / out, {})


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    assert run_train(files(folder, "model"), RECIPE, keep=False) == 0
    return folder / "model"


@pytest.mark.timeout(600)
def test_a_few_hundred_rows_give_an_artefact_that_serves(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {"model.onnx", "tokenizer.json", "taxonomy.toml", "artifact.json", CARD, CONFUSION, CURVES}
    classifier = Classifier.load(trained)
    assert classifier.taxonomy.names == INTENTS
    said = classifier.classify(classifier.encode(["when do i get my money back", "kann ich", ""]))
    assert [len(each.candidates) for each in said] == [3, 3, 3]
    assert all(0 <= guess.confidence <= 1 for each in said for guess in each.candidates)


@pytest.mark.timeout(600)
def test_it_learnt_something_even_so(trained, folder):
    classifier = Classifier.load(trained)
    rows = [json.loads(line) for line in (folder / "mine.jsonl").read_text().splitlines()]
    said = classifier.classify(classifier.encode([row["text"] for row in rows]))
    right = sum(each.intent == row["intent"] for each, row in zip(said, rows, strict=True))
    assert right / len(rows) > 0.6  # of three intents


def test_the_card_tells_data_figures_and_recipe(trained):
    card = (trained / CARD).read_text()
    for said in ("| mine | en |", "| raydesk | zh |", "threshold", "seed = 3", "| mine (zh) |"):
        assert said in card


@pytest.mark.timeout(600)
def test_an_interrupted_run_goes_on_and_gives_the_same(trained, folder, monkeypatch):
    from models.intent.train import road

    class Cut(Exception):
        pass

    def cut(*_args: object, **_named: object) -> None:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(road, "distil", cut)
        with pytest.raises(Cut):
            run_train(files(folder, "again"), RECIPE, keep=False)
    with monkeypatch.context() as patched:
        patched.setattr(road, "teach", cut)  # it must not be needed again
        run_train(files(folder, "again"), RECIPE, keep=False)
    assert (folder / "again" / "model.onnx").read_bytes() == (trained / "model.onnx").read_bytes()


def test_another_run_does_not_go_on_in_the_same_folder(folder):
    work = folder / "taken" / "work"
    work.mkdir(parents=True)
    (work / "run.json").write_text("something else")
    with pytest.raises(CommandError, match="holds an unfinished run"):
        run_train(files(folder, "taken"), RECIPE, keep=False)


def test_evaluate_tells_figures_per_source_and_draws(trained, folder, capsys):
    run_evaluate(
        [folder / "mine.jsonl"], artifact=trained, unknown=[folder / "mine.jsonl"], groups={}, out=folder / "r"
    )
    said = capsys.readouterr().out
    assert "mine (zh)" in said
    assert "that nobody should answer" in said
    assert (folder / "r" / CONFUSION).stat().st_size > 10_000
    assert (folder / "r" / CURVES).exists()


def test_a_spoilt_artefact_is_refused_with_what_is_wrong(trained, tmp_path):
    with pytest.raises(InvalidArtifact, match="holds no intent model"):
        Classifier.load(tmp_path)
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.onnx").write_bytes((trained / "model.onnx").read_bytes() + b" ")
    with pytest.raises(InvalidArtifact, match="is not the one"):
        Classifier.load(tmp_path)
    (tmp_path / "artifact.json").write_text("{}")
    with pytest.raises(InvalidArtifact, match="missing required field"):
        Classifier.load(tmp_path)


def test_wrong_labels_end_the_command_before_anything_is_made(folder, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "x", "intent": "weather"}\n')
    bad = files(folder, "never")._replace(data=[tmp_path / "bad.jsonl"])
    with pytest.raises(CommandError, match=r"bad\.jsonl:1: unknown intent 'weather'"):
        run_train(bad, RECIPE, keep=False)
    assert not (folder / "never").exists()
