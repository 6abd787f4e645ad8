"""The teacher: the whole pre-trained encoder, fine-tuned on the labels.

Word embeddings stay as they are: they are most of the weights, the labels touch few of them, and a word that the
labels never use must still mean what it meant.
"""
# torch and onnx are typed in parts only
# pyright: basic

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as f

from models.intent.train.encoder import Encoder, padded
from models.intent.train.fitting import Fit, Plan, Watch, batches, evened
from models.intent.train.lengths import by_length
from models.intent.train.recipe import Recipe

#: Labels are not all right; a teacher that is not pressed to certainty does not learn the wrong ones by heart.
_SMOOTHING = 0.05


class Labelled(NamedTuple):
    """What the teacher learns from.

    Args:
        texts: token numbers of each text.
        labels: the index of each text's intent.
        sources: where each text is from; small sources are drawn more often than their share.
    """

    texts: list[list[int]]
    labels: list[int]
    sources: list[str]


def teach(encoder: Encoder, labelled: Labelled, recipe: Recipe, watch: Watch) -> None:
    """Fine-tune ``encoder``, which has the starting weights, in place."""
    encoder.words.weight.requires_grad_(False)
    texts, labels = labelled.texts, labelled.labels
    lengths = [len(each) for each in texts]
    weights = evened(labelled.sources)
    # a few hundred rows need more rounds than many thousand
    epochs = max(recipe.teacher_epochs, -(-recipe.fewest_steps * recipe.batch // len(texts)))
    steps = -(-len(texts) // recipe.batch)
    fit = Fit(encoder, Plan("teacher", recipe.teacher_rate, epochs, steps, recipe.seed), watch)
    for epoch in fit.rounds():
        for batch in batches(lengths, recipe.batch, fit.seed_of(epoch), weights):
            seen = encoder(padded([texts[index] for index in batch]))
            wanted = torch.tensor([labels[index] for index in batch])
            fit.step(f.cross_entropy(seen.logits, wanted, label_smoothing=_SMOOTHING))


@torch.inference_mode()
def logits_of(encoder: Encoder, texts: Sequence[list[int]], *, size: int = 64) -> Tensor:
    """Return the logits (texts, intents) that an encoder gives."""
    encoder.eval()
    found = torch.zeros(len(texts), encoder.classify.out_features)
    for batch in by_length(texts, size):
        found[batch] = encoder(padded([texts[index] for index in batch])).logits
    return found
