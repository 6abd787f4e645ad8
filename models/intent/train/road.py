"""The whole road from labels to an artefact, in stages that are each kept until the end.

::

    rows ── vocabulary ── teacher ── the teacher's word ── student ── rounding ── export ── calibration ── card
                             │                                │                      │
                        work/teacher.pt                  work/student.pt        model.onnx

A run that is interrupted goes on where it was when it is started again with the same labels, taxonomy and recipe;
with others it refuses to go on in the same folder.
"""
# torch and onnx are typed in parts only
# pyright: basic

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch

from models.intent.classifier import FORMAT, MODEL, NOTES, TAXONOMY, TOKENIZER, ArtifactNotes, Classifier, softmax
from models.intent.metrics import Floats, Ints, by_group
from models.intent.taxonomy import OUT_OF_SCOPE, Taxonomy
from models.intent.tokenizer import MAX_TOKENS, TextTokenizer
from models.intent.train.calibration import best_offset, best_temperature, best_threshold
from models.intent.train.encoder import Encoder
from models.intent.train.export import Exporter
from models.intent.train.fitting import Progress, Watch
from models.intent.train.noise import variants
from models.intent.train.recipe import Recipe
from models.intent.train.rounding import Rounding
from models.intent.train.rows import Row, check_enough, shipped_sentences, split, without
from models.intent.train.start import Shape, starting_tokenizer, starting_weights
from models.intent.train.student import NO_LABEL, Lesson, ask, cut_down, distil
from models.intent.train.teacher import Labelled, logits_of, teach
from models.intent.train.vocabulary import choose_pieces, prune_tokenizer, prune_words

WORK = "work"
_TEACHER, _STUDENT, _RUN = "teacher.pt", "student.pt", "run.json"


class AnotherRun(RuntimeError):
    """The folder holds an unfinished run with other labels, taxonomy or recipe."""


class Labels(NamedTuple):
    """What a run learns from.

    Args:
        taxonomy, taxonomy_text: the intents, and the file as it is to be kept in the artefact.
        rows: labelled texts.
        held_out: labelled texts for calibration and figures; empty: a share of ``rows``.
        measured: labelled texts for figures only.
        unlabelled: texts of the same kind, without labels.
    """

    taxonomy: Taxonomy
    taxonomy_text: str
    rows: list[Row]
    held_out: list[Row]
    measured: list[Row]
    unlabelled: list[str]


class Made(NamedTuple):
    """What a run gave.

    Args:
        notes: temperature and threshold.
        learnt: the rows that it learnt from.
        measured: the rows it was measured on, held out or given for figures only.
        student, teacher: calibrated probabilities of the measured rows, (rows, intents): the int8 student's as it
            will serve, and the fp32 teacher's.
        labels: the index of each measured row's intent.
    """

    notes: ArtifactNotes
    learnt: list[Row]
    measured: list[Row]
    student: Floats
    teacher: Floats
    labels: Ints


class Road:
    """One run.

    Args:
        labels: what to learn.
        recipe: with which numbers.
        out: the folder of the artefact to be.
        progress: told of every step.
        today: the date for the artefact's notes.
    """

    def __init__(self, labels: Labels, recipe: Recipe, out: Path, progress: Progress, *, today: str) -> None:
        self._labels, self._recipe, self._out, self._progress = labels, recipe, out, progress
        self._today = today
        self._work = out / WORK
        ours = shipped_sentences(labels.taxonomy, len(labels.rows))
        if labels.held_out:
            learnt, self._held_out = labels.rows, labels.held_out
        else:
            learnt, self._held_out = split(labels.rows, recipe.held_out)
        self._measured = self._held_out + labels.measured
        self._learnt = without(learnt + ours, self._measured)
        self._index = {name: number for number, name in enumerate(labels.taxonomy.names)}

    @property
    def warnings(self) -> list[str]:
        """Return what a person should know about the labels before they wait for the training.

        Raises:
            BadRows: they are too few, or all alike.
        """
        return check_enough(self._learnt, self._labels.taxonomy)

    def walk(self) -> Made:
        """Go the whole way; what was done before an interruption is not done again.

        Raises:
            AnotherRun: the folder holds another run.
            BadRows: the labels are too few.
            MissingStart: the packages with the starting weights are not installed.
        """
        check_enough(self._learnt, self._labels.taxonomy)
        torch.set_num_threads(self._recipe.threads)
        torch.manual_seed(self._recipe.seed)
        self._claim()
        shape, weights = starting_weights()
        tokenizer, keep = self._vocabulary()
        weights["words.weight"] = prune_words(weights["words.weight"], keep)
        layers = self._recipe.teacher_layers or shape.layers
        shape = shape._replace(vocabulary=len(keep), layers=layers)
        weights = {name: each for name, each in weights.items() if _within(name, layers)}
        teacher = self._teacher(shape, weights, tokenizer)
        student, rounding = self._student(teacher, tokenizer)
        (self._out / TAXONOMY).write_text(self._labels.taxonomy_text, encoding="utf-8")
        Exporter(student, rounding).write(self._out / MODEL, positions=MAX_TOKENS)
        return self._calibrate(teacher, tokenizer)

    def clean(self) -> None:
        """Remove what was kept for going on."""
        shutil.rmtree(self._work, ignore_errors=True)

    def _claim(self) -> None:
        """Make the folder this run's own."""
        self._work.mkdir(parents=True, exist_ok=True)
        print_of = hashlib.sha256(
            msgspec.json.encode(
                [self._learnt, self._measured, self._labels.unlabelled, self._recipe, self._labels.taxonomy_text]
            )
        ).hexdigest()
        kept = self._work / _RUN
        if kept.exists() and kept.read_text() != print_of:
            raise AnotherRun(
                f"{self._out} holds an unfinished run with other labels or numbers; choose another folder, "
                f"or remove {self._work}"
            )
        kept.write_text(print_of)

    def _vocabulary(self) -> tuple[TextTokenizer, list[int]]:
        whole = starting_tokenizer()
        texts = [row.text for row in self._learnt] + self._labels.unlabelled
        keep = choose_pieces(whole, texts, self._recipe.vocabulary)
        pruned = prune_tokenizer(whole, keep)
        pruned.save(str(self._out / TOKENIZER), pretty=False)
        return TextTokenizer(pruned), keep

    def _teacher(self, shape: Shape, weights: dict[str, Floats], tokenizer: TextTokenizer) -> Encoder:
        teacher = Encoder(shape, len(self._labels.taxonomy))
        kept = self._work / _TEACHER
        if kept.exists():
            teacher.load_state_dict(torch.load(kept, weights_only=True))
            return teacher
        teacher.take(weights)
        labelled = Labelled(
            tokenizer.encode([row.text for row in self._learnt]),
            [self._index[row.intent] for row in self._learnt],
            [row.source for row in self._learnt],
        )
        teach(teacher, labelled, self._recipe, Watch(self._work, self._progress))
        _keep(teacher.state_dict(), kept)
        return teacher

    def _student(self, teacher: Encoder, tokenizer: TextTokenizer) -> tuple[Encoder, Rounding]:
        student, chosen = cut_down(teacher, self._recipe.student_layers)
        kept = self._work / _STUDENT
        if kept.exists():
            found = torch.load(kept, weights_only=True)
            student.load_state_dict(found["student"])
            return student, Rounding(student, found["ends"])
        lesson = self._lesson(teacher, chosen, tokenizer)
        rounding = distil(student, lesson, self._recipe, Watch(self._work, self._progress))
        _keep({"student": student.state_dict(), "ends": rounding.state()}, kept)
        return student, rounding

    def _lesson(self, teacher: Encoder, chosen: list[int], tokenizer: TextTokenizer) -> Lesson:
        """Gather every text there is: labelled, misspelt, unlabelled."""
        labelled = [row.text for row in self._learnt]
        known = set(labelled) | {row.text for row in self._measured}
        others = [text for text in dict.fromkeys(self._labels.unlabelled) if text not in known]
        others += variants(labelled, self._recipe.misspelt, self._recipe.seed)
        texts = tokenizer.encode(labelled + others)
        labels = [self._index[row.intent] for row in self._learnt] + [NO_LABEL] * len(others)
        return Lesson(texts, labels, ask(teacher, chosen, texts, self._progress))

    def _calibrate(self, teacher: Encoder, tokenizer: TextTokenizer) -> Made:
        """Set temperature and threshold on the held-out rows, with the graph that will serve."""
        digest = hashlib.sha256((self._out / MODEL).read_bytes()).hexdigest()
        notes = ArtifactNotes(
            format=FORMAT, made_at=self._today, offset=0.0, temperature=1.0, threshold=1.0, digest=digest
        )
        _write_notes(self._out, notes)
        texts = tokenizer.encode([row.text for row in self._measured])
        labels = np.array([self._index[row.intent] for row in self._measured])
        groups = by_group([row.source for row in self._held_out])
        weights = np.zeros(len(self._held_out), np.float32)
        for group in groups.values():
            weights[group] = 1 / len(group)
        served = logits_in_batches(Classifier.load(self._out), texts)
        out_of_scope = self._index[OUT_OF_SCOPE]
        held = len(weights)
        offset = best_offset(served[:held], labels[:held], weights, out_of_scope)
        served[:, out_of_scope] += offset
        temperature = self._temperature(served, labels, weights)
        student = softmax((served / temperature).astype(np.float32))
        threshold = best_threshold(
            student,
            labels,
            groups.values(),
            out_of_scope=out_of_scope,
            precision=self._recipe.precision,
        )
        notes = msgspec.structs.replace(notes, offset=offset, temperature=temperature, threshold=threshold)
        _write_notes(self._out, notes)
        taught = logits_of(teacher, texts).numpy()
        taught[:, out_of_scope] += best_offset(taught[:held], labels[:held], weights, out_of_scope)
        taught = softmax((taught / self._temperature(taught, labels, weights)).astype(np.float32))
        return Made(notes, self._learnt, self._measured, student, taught, labels)

    @staticmethod
    def _temperature(logits: Floats, labels: Ints, weights: Floats) -> float:
        """Return the best temperature on the held-out rows, which stand first."""
        held = len(weights)
        return round(best_temperature(logits[:held], labels[:held], weights), 4)


def logits_in_batches(classifier: Classifier, texts: Sequence[list[int]], *, size: int = 32) -> Floats:
    """Return the logits of many texts, batched by length, in the order of the texts."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    found = np.zeros((len(texts), len(classifier.taxonomy)), np.float32)
    for at in range(0, len(order), size):
        batch = order[at : at + size]
        found[batch] = classifier.logits([texts[index] for index in batch])
    return found


def _within(name: str, layers: int) -> bool:
    """Tell whether a weight belongs to the first ``layers`` layers, or to none."""
    parts = name.split(".")
    return parts[0] != "layers" or int(parts[1]) < layers


def _keep(state: object, path: Path) -> None:
    unfinished = path.with_suffix(".part")
    torch.save(state, unfinished)
    unfinished.replace(path)


def _write_notes(folder: Path, notes: ArtifactNotes) -> None:
    (folder / NOTES).write_bytes(msgspec.json.format(msgspec.json.encode(notes), indent=2) + b"\n")
