"""The student: a few layers that learn to give the teacher's answers from the teacher's states.

It starts as a selection of the teacher's layers. It learns from labelled texts and from any texts at all, since the
teacher says what it thinks of each: the whole distribution (its doubts tell more than a label) and the states after
the layers that the student's own stand for. In its last epochs it feels the rounding of int8 (`rounding`), so that
the export costs it next to nothing.

Sources: Hinton et al. 2015 (arXiv:1503.02531) for the distribution, Jiao et al. 2020 (arXiv:1909.10351) for states.
"""
# torch and onnx are typed in parts only
# pyright: basic

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as f

from models.intent.tokenizer import PAD
from models.intent.train.encoder import Encoder, Layer, Seen, padded
from models.intent.train.fitting import Fit, Plan, Progress, Watch, batches
from models.intent.train.lengths import by_length
from models.intent.train.recipe import Recipe
from models.intent.train.rounding import Rounding

#: Softens the teacher's distribution, so that its doubts weigh.
_TEMPERATURE = 2.0
#: What states and labels weigh beside the distribution.
_STATES, _LABELS = 1.0, 0.1
NO_LABEL = -1


class Taught(NamedTuple):
    """What the teacher says of one text, in half precision to keep many thousand in memory.

    Args:
        logits: (C).
        states: (S, T, H) after the layers that the student's stand for, the last one apart.
        first: (H), the first token's after the last layer.
    """

    logits: Tensor
    states: Tensor
    first: Tensor


class Lesson(NamedTuple):
    """What the student learns from: token numbers, the index of each label (``NO_LABEL``: none), the teacher's word."""

    texts: list[list[int]]
    labels: list[int]
    taught: list[Taught]


def choose_layers(teacher: int, student: int) -> list[int]:
    """Return which of the teacher's layers (from 0) the student's stand for: evenly spread, the last among them."""
    return [round((number + 1) * teacher / student) - 1 for number in range(student)]


def cut_down(teacher: Encoder, layers: int) -> tuple[Encoder, list[int]]:
    """Return a student that starts from a selection of the teacher's layers, and which they are."""
    chosen = choose_layers(teacher.shape.layers, layers)
    student = Encoder(teacher.shape._replace(layers=layers), teacher.classify.out_features)
    student.load_state_dict(
        {name: each for name, each in teacher.state_dict().items() if not name.startswith("layers.")}, strict=False
    )
    for mine, theirs in enumerate(chosen):
        student.layers[mine].load_state_dict(teacher.layers[theirs].state_dict())
    return student, chosen


@torch.inference_mode()
def ask(
    teacher: Encoder, chosen: Sequence[int], texts: Sequence[list[int]], progress: Progress, *, size: int = 64
) -> list[Taught]:
    """Have the teacher say what it thinks of each text, once for all epochs."""
    teacher.eval()
    said: dict[int, Taught] = {}
    for batch in by_length(texts, size):
        seen = teacher(padded([texts[index] for index in batch]))
        states = torch.stack([seen.states[number + 1] for number in chosen[:-1]], 1).half()
        for row, index in enumerate(batch):
            length = len(texts[index])
            said[index] = Taught(seen.logits[row].half(), states[row, :, :length].clone(), seen.first[row].half())
        progress("asking", len(said), len(texts), "the teacher's word for each text")
    return [said[index] for index in range(len(texts))]


def distil(student: Encoder, lesson: Lesson, recipe: Recipe, watch: Watch) -> Rounding:
    """Teach ``student`` (from ``cut_down``) in place; returns the ends of its activations, for the export."""
    student.words.weight.requires_grad_(False)
    for layer in student.layers:
        assert isinstance(layer, Layer)
        layer.dropout = 0.0  # the teacher's word on so many texts leaves nothing to learn by heart
    size, batch = len(lesson.texts), recipe.batch
    epochs = max(recipe.student_epochs, -(-recipe.fewest_steps * 4 * batch // size))
    steps = -(-size // batch)
    _fit(student, lesson, batch, Fit(
        student, Plan("student", recipe.student_rate, epochs - recipe.rounded_epochs, steps, recipe.seed), watch
    ))  # fmt: skip
    rounding = Rounding(student)
    some = np.random.default_rng(recipe.seed).permutation(size)[:2048]
    rounding.watch([lesson.texts[index] for index in some])
    rounding.start()
    # with a fresh, lower rate: it has to settle on the steps, not to find its way anew
    _fit(student, lesson, batch, Fit(
        student, Plan("rounding", recipe.student_rate / 3, recipe.rounded_epochs, steps, recipe.seed + 1), watch
    ))  # fmt: skip
    rounding.finish()
    return rounding


def _fit(student: Encoder, lesson: Lesson, size: int, fit: Fit) -> None:
    lengths = [len(each) for each in lesson.texts]
    labels = torch.tensor(lesson.labels)
    for epoch in fit.rounds():
        for batch in batches(lengths, size, fit.seed_of(epoch)):
            ids = padded([lesson.texts[index] for index in batch])
            fit.step(_loss(student(ids), [lesson.taught[index] for index in batch], ids, labels[batch]))


def _loss(seen: Seen, taught: list[Taught], ids: Tensor, labels: Tensor) -> Tensor:
    """Return how far the student is from the teacher's word and states, and from the labels."""
    theirs = torch.stack([each.logits for each in taught]).float()
    loss = _TEMPERATURE**2 * f.kl_div(
        f.log_softmax(seen.logits / _TEMPERATURE, -1), f.log_softmax(theirs / _TEMPERATURE, -1),
        reduction="batchmean", log_target=True,
    )  # fmt: skip
    loss = loss + _STATES * _apart(seen.first, torch.stack([each.first for each in taught]).float())
    if len(seen.states) > 1:
        # batch first, for padding; (B, S, T, H)
        states = torch.nn.utils.rnn.pad_sequence(
            [each.states.transpose(0, 1) for each in taught], batch_first=True
        ).transpose(1, 2)
        there = (ids != PAD)[:, None, :, None]
        loss = loss + _STATES * _apart(torch.stack(seen.states[1:], 1) * there, states.float() * there)
    if bool((labels != NO_LABEL).any()):
        loss = loss + _LABELS * f.cross_entropy(seen.logits, labels, ignore_index=NO_LABEL)
    return loss


def _apart(mine: Tensor, theirs: Tensor) -> Tensor:
    """Return the squared distance, as a share of the squared size, so that all states weigh alike."""
    return (mine - theirs).square().mean() / theirs.square().mean()
