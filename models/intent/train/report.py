"""What a classifier is worth, group by group: the tables of `raydesk intent evaluate` and of the model card."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.intent.classifier import Classifier, Outputs
from models.intent.metrics import Answered, Figures, Floats, Ints, by_group, curve, figures
from models.intent.taxonomy import OUT_OF_SCOPE, Taxonomy
from models.intent.train.lengths import by_length
from models.intent.train.rows import Row


class Measured(NamedTuple):
    """Rows and what the classifier makes of them.

    Args:
        rows: labelled texts.
        probabilities: (rows, intents), calibrated.
        clear: (rows), by how much the evidence that each is in scope passes the threshold of its language.
        labels: (rows), the index of each row's intent.
    """

    rows: Sequence[Row]
    probabilities: Floats
    clear: Floats
    labels: Ints


def measure(classifier: Classifier, rows: Sequence[Row]) -> Measured:
    """Classify rows in batches of about one length."""
    names = classifier.taxonomy.names
    index = {name: number for number, name in enumerate(names)}
    logits, chinese = outputs_of_texts(classifier, [row.text for row in rows])
    return Measured(
        rows,
        classifier.probabilities(logits, chinese),
        classifier.clear(logits, chinese),
        np.array([index[row.intent] for row in rows]),
    )


def outputs_of_texts(classifier: Classifier, texts: Sequence[str], *, size: int = 32) -> Outputs:
    """Return what the graph gives for many texts, in their order."""
    encoded = classifier.encode(texts)
    found = Outputs(np.zeros((len(encoded), len(classifier.taxonomy)), np.float32), np.zeros(len(encoded), np.bool_))
    for batch in by_length(encoded, size):
        found.logits[batch], found.chinese[batch] = classifier.outputs([encoded[each] for each in batch])
    return found


def wrongly_sure(classifier: Classifier, texts: Sequence[str]) -> float:
    """Return which share of texts that nobody should answer is sure all the same."""
    return float((classifier.clear(*outputs_of_texts(classifier, texts)) >= 0).mean())


def groups_of(rows: Sequence[Row], named: Mapping[str, Sequence[str]] | None = None) -> dict[str, Ints]:
    """Return the indexes of each source and language, of each group of sources, and of each language.

    Args:
        rows: labelled texts.
        named: name of a group -> the sources that it joins.
    """
    groups = {f"{name.split(' ', 1)[1]} ({name.split(' ', 1)[0]})": each for name, each in by_group(
        [f"{row.lang} {row.source}" for row in rows]
    ).items()}  # fmt: skip
    sources = np.array([row.source for row in rows])
    for name, joined in (named or {}).items():
        indexes = np.flatnonzero(np.isin(sources, list(joined)))
        if len(indexes):
            groups[name] = indexes
    for language in sorted({row.lang for row in rows}):
        groups[f"all {language}"] = np.flatnonzero(np.array([row.lang == language for row in rows]))
    return groups


def table(measured: Measured, taxonomy: Taxonomy, groups: Mapping[str, Ints]) -> dict[str, Figures]:
    """Return the figures of each group."""
    out_of_scope = taxonomy.names.index(OUT_OF_SCOPE)
    return {
        name: figures(
            measured.probabilities[group],
            measured.clear[group],
            measured.labels[group],
            out_of_scope=out_of_scope,
            threshold=0.0,
        )
        for name, group in groups.items()
    }


def curves(measured: Measured, taxonomy: Taxonomy, groups: Mapping[str, Ints]) -> dict[str, list[Answered]]:
    """Return, for each group, which share is answered at which precision."""
    out_of_scope = taxonomy.names.index(OUT_OF_SCOPE)
    guessed = measured.probabilities.argmax(1)
    return {
        name: curve(guessed[group], measured.clear[group], measured.labels[group], out_of_scope=out_of_scope)
        for name, group in groups.items()
    }
