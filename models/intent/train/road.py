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
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch

from models.intent.classifier import FORMAT, MODEL, NOTES, TAXONOMY, TOKENIZER, ArtifactNotes, Classifier, Gauge
from models.intent.metrics import Floats
from models.intent.taxonomy import OUT_OF_SCOPE, Taxonomy
from models.intent.tokenizer import MAX_TOKENS, TextTokenizer
from models.intent.train.encoder import Encoder
from models.intent.train.export import Exporter
from models.intent.train.fitting import Progress, Watch, evened
from models.intent.train.gauging import Calibrator
from models.intent.train.noise import Variants
from models.intent.train.recipe import Recipe
from models.intent.train.report import Measured, outputs_of_texts
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
        unknown: texts near the scope that nobody should answer; with the held-out rows they set the thresholds.
    """

    taxonomy: Taxonomy
    taxonomy_text: str
    rows: list[Row]
    held_out: list[Row]
    measured: list[Row]
    unlabelled: list[str]
    unknown: list[str]


class Made(NamedTuple):
    """What a run gave.

    Args:
        notes: temperatures and thresholds.
        learnt: the rows that it learnt from.
        measured: the rows it was measured on, held out or given for figures only.
        unlabelled, unknown: how many texts without labels it learnt from, and how many set the thresholds.
        student, teacher: the measured rows, by the int8 student as it will serve, and by the fp32 teacher; each with
            an offset and temperatures of its own.
    """

    notes: ArtifactNotes
    learnt: list[Row]
    measured: list[Row]
    unlabelled: int
    unknown: int
    student: Measured
    teacher: Measured


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
                [
                    self._learnt,
                    self._measured,
                    self._labels.unlabelled,
                    self._labels.unknown,
                    self._recipe,
                    self._labels.taxonomy_text,
                ]
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
        """Gather every text there is: labelled, unlabelled, and variants of the labelled ones."""
        labelled = [row.text for row in self._learnt]
        known = set(labelled) | {row.text for row in self._measured}
        others = [text for text in dict.fromkeys(self._labels.unlabelled) if text not in known]
        # a small source needs its variants most
        often = evened([row.source for row in self._learnt]) * self._recipe.variants / 3
        vary = Variants(teacher.words.weight.detach().numpy(), self._recipe.seed)
        texts = tokenizer.encode(labelled)
        changed = vary.replaced(texts, often) + vary.parts(texts, often)
        changed += tokenizer.encode(vary.misspelt(labelled, often) + others)
        # what is there already in the same tokens tells nothing new
        new = {tuple(each): each for each in changed}
        for each in texts:
            new.pop(tuple(each), None)
        labels = [self._index[row.intent] for row in self._learnt] + [NO_LABEL] * len(new)
        texts += new.values()
        return Lesson(texts, labels, ask(teacher, chosen, texts, self._progress))

    def _calibrate(self, teacher: Encoder, tokenizer: TextTokenizer) -> Made:
        """Set offset, temperatures and thresholds on the held-out rows, with the graph that will serve."""
        neutral = Gauge(temperature=1.0, threshold=0.0)
        notes = ArtifactNotes(
            format=FORMAT,
            made_at=self._today,
            offset=0.0,
            en=neutral,
            zh=neutral,
            digest=hashlib.sha256((self._out / MODEL).read_bytes()).hexdigest(),
        )
        _write_notes(self._out, notes)
        plain = Classifier.load(self._out)
        texts = [row.text for row in self._measured]
        labels = np.array([self._index[row.intent] for row in self._measured])
        seen = outputs_of_texts(plain, texts)
        calibrator = Calibrator(
            labels=labels,
            sources=[row.source for row in self._held_out],
            chinese=seen.chinese,
            out_of_scope=self._index[OUT_OF_SCOPE],
            recipe=self._recipe,
        )
        unknown = outputs_of_texts(plain, self._labels.unknown) if self._labels.unknown else None
        gauges, student = calibrator.gauge(seen.logits, unknown)
        notes = msgspec.structs.replace(notes, offset=gauges.offset, en=gauges.en, zh=gauges.zh)
        _write_notes(self._out, notes)
        _, taught = calibrator.gauge(logits_of(teacher, tokenizer.encode(texts)).numpy(), None)
        counts = len(self._labels.unlabelled), len(self._labels.unknown)
        both = [Measured(self._measured, read.probabilities, read.clear, labels) for read in (student, taught)]
        return Made(notes, self._learnt, self._measured, *counts, *both)


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
