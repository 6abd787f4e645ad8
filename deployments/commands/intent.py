"""`raydesk intent train` and `raydesk intent evaluate`: labels to an artefact, and an artefact to its figures."""

import datetime
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from deployments.commands.failure import CommandError
from models.intent.classifier import SHIPPED, Classifier, InvalidArtifact
from models.intent.metrics import Figures, confusion
from models.intent.taxonomy import SHIPPED as SHIPPED_TAXONOMY
from models.intent.taxonomy import InvalidTaxonomy, Taxonomy, parse_taxonomy
from models.intent.train.report import Measured, curves, groups_of, measure, table, wrongly_sure
from models.intent.train.rows import BadRows, read_rows, read_texts

if TYPE_CHECKING:
    from models.intent.train.recipe import Recipe

CARD, CONFUSION, CURVES = "card.md", "confusion.png", "curves.png"
#: Where there is no terminal, a line is printed at each of these shares of a stage.
_TOLD = 20


class TrainFiles(NamedTuple):
    """What `raydesk intent train` reads and writes.

    Args:
        data: labelled rows.
        held_out: labelled rows for calibration and figures; none: a share of ``data``.
        measured: labelled rows for figures only.
        unlabelled: texts without labels.
        unknown: texts near the scope that nobody should answer.
        taxonomy: a file; none: the shipped one.
        words: a text for the model card.
        out: the folder of the artefact.
        groups: name of a group -> the sources that it joins, for the card.
    """

    data: Sequence[Path]
    held_out: Sequence[Path]
    measured: Sequence[Path]
    unlabelled: Sequence[Path]
    unknown: Sequence[Path]
    taxonomy: Path | None
    words: Path | None
    out: Path
    groups: Mapping[str, Sequence[str]]


def parse_groups(named: Sequence[str]) -> dict[str, list[str]]:
    """Read groups of sources, each given as ``name=source,source``.

    Raises:
        CommandError: one has no name or no source.
    """
    groups: dict[str, list[str]] = {}
    for each in named:
        name, _, sources = each.partition("=")
        if not name or not sources:
            raise CommandError(f"--group {each!r}: write NAME=SOURCE,SOURCE")
        groups[name] = sources.split(",")
    return groups


def run_train(files: TrainFiles, recipe: "Recipe", *, keep: bool) -> int:
    """Train, and leave artefact, card and pictures in ``files.out``.

    Raises:
        CommandError: the extra is not installed, rows or taxonomy are wrong, or the folder holds another run.
    """
    missing = [name for name in ("torch", "onnx", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandError(f"training needs {', '.join(missing)}: pip install 'raydesk[train]'")
    from models.intent.train.road import AnotherRun, Labels, Road
    from models.intent.train.start import MissingStart

    console = Console()
    try:
        taxonomy_path = files.taxonomy or SHIPPED_TAXONOMY
        text = _read(taxonomy_path)
        taxonomy = parse_taxonomy(text, str(taxonomy_path))
        labels = Labels(
            taxonomy,
            text,
            read_rows(files.data, taxonomy),
            read_rows(files.held_out, taxonomy),
            read_rows(files.measured, taxonomy),
            read_texts(files.unlabelled),
            read_texts(files.unknown),
        )
        console.print(f"{len(labels.rows)} labelled rows, {len(labels.unlabelled)} without labels", highlight=False)
        with _Shown(console) as shown:
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            road = Road(labels, recipe, files.out, shown.tell, today=today)
            for warning in road.warnings:
                console.print(f"[yellow]{warning}[/]", highlight=False)
            made = road.walk()
    except (BadRows, InvalidTaxonomy, InvalidArtifact, AnotherRun, MissingStart) as error:
        raise CommandError(str(error)) from error
    figures = _write_report(made.student, taxonomy, files.groups, files.out)
    from models.intent.train.card import write_card

    teacher = table(made.teacher, taxonomy, groups_of(made.measured, files.groups))
    words = _read(files.words) if files.words else ""
    card = write_card(made, recipe, figures, teacher, words=words)
    (files.out / CARD).write_text(card, encoding="utf-8")
    if not keep:
        road.clean()
    _print_figures(console, figures)
    size = sum(each.stat().st_size for each in files.out.iterdir() if each.is_file()) / 1e6
    console.print(f"{files.out}: {size:.1f} MB; name it in the settings as intent.artifact", highlight=False)
    return 0


def run_evaluate(
    data: Sequence[Path],
    *,
    artifact: Path | None,
    unknown: Sequence[Path],
    groups: Mapping[str, Sequence[str]],
    out: Path,
) -> int:
    """Print what a model is worth on labelled rows, and draw its confusions and its curve.

    Args:
        data: labelled rows.
        artifact: a folder; none: the shipped one.
        unknown: texts that should not be answered.
        groups: name of a group -> the sources that it joins.
        out: where the pictures go.

    Raises:
        CommandError: rows or artefact are wrong.
    """
    console = Console()
    try:
        classifier = Classifier.load(artifact or SHIPPED)
        rows = read_rows(data, classifier.taxonomy)
        texts = read_texts(unknown)
    except (BadRows, InvalidArtifact) as error:
        raise CommandError(str(error)) from error
    if not rows:
        raise CommandError("the files have no rows")
    out.mkdir(parents=True, exist_ok=True)
    figures = _write_report(measure(classifier, rows), classifier.taxonomy, groups, out)
    _print_figures(console, figures)
    if texts:
        share = wrongly_sure(classifier, texts)
        console.print(f"of {len(texts)} texts that nobody should answer, {share:.3f} are sure", highlight=False)
    if importlib.util.find_spec("matplotlib") is None:
        console.print("no pictures: pip install 'raydesk[train]'", highlight=False)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def _write_report(
    measured: Measured, taxonomy: Taxonomy, named: Mapping[str, Sequence[str]], out: Path
) -> dict[str, Figures]:
    """Return the figures of each group, and draw the pictures if that is installed."""
    groups = groups_of(measured.rows, named)
    if importlib.util.find_spec("matplotlib") is not None:
        from models.intent.train.pictures import draw_confusion, draw_curves

        guessed = measured.probabilities.argmax(1)
        draw_confusion(confusion(guessed, measured.labels, len(taxonomy)), taxonomy.names, out / CONFUSION)
        told = {name: group for name, group in groups.items() if len(group) >= 50}
        draw_curves(curves(measured, taxonomy, told or groups), out / CURVES)
    return table(measured, taxonomy, groups)


def _print_figures(console: Console, figures: Mapping[str, Figures]) -> None:
    shown = Table(box=None)
    shown.add_column("")
    for name in ("texts", "accuracy", "macro-F1", "calibration error", "answered", "precision"):
        shown.add_column(name, justify="right")
    for name, each in figures.items():
        values = (each.accuracy, each.macro_f1, each.calibration_error, each.answered, each.precision)
        shown.add_row(name, str(each.texts), *(f"{value:.3f}" for value in values))
    console.print(shown, highlight=False)


class _Shown:
    """Progress of the training: bars on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:>9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[remark]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> "_Shown":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def tell(self, stage: str, done: int, whole: int, remark: str) -> None:
        """Show how far a stage is."""
        if self._console.is_terminal:
            task = self._tasks.get(stage)
            if task is None:
                task = self._tasks[stage] = self._bars.add_task(stage, total=whole, remark="")
            self._bars.update(task, completed=done, remark=remark)
            return
        part = int(np.floor(done * _TOLD / whole))
        if part > self._told.get(stage, -1):
            self._told[stage] = part
            print(f"{stage}: {done} of {whole}, {remark}", flush=True)
