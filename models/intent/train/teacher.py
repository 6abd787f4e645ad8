"""The teacher: the whole pre-trained encoder, fine-tuned on the labels.

Word embeddings stay as they are: they are most of the weights, the labels touch few of them, and a word that the
labels never use must still mean what it meant.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as f

from models.intent.train.encoder import Encoder, padded
from models.intent.train.fitting import Fit, Progress, batches, evened
from models.intent.train.recipe import Recipe

#: Labels are not all right; a teacher that is not pressed to certainty does not learn the wrong ones by heart.
_SMOOTHING = 0.05


def teach(
    encoder: Encoder,
    texts: Sequence[list[int]],
    labels: Sequence[int],
    sources: Sequence[str],
    recipe: Recipe,
    checkpoint: Path,
    progress: Progress,
    *,
    look: Callable[[int], None] = lambda _epoch: None,
) -> None:
    """Fine-tune ``encoder`` in place.

    Args:
        encoder: with the starting weights.
        texts: token numbers of each text.
        labels: the index of each text's intent.
        sources: where each text is from; small sources are drawn more often than their share.
        recipe: epochs, rate, batch and seed.
        checkpoint: where a run that is interrupted goes on.
        progress: told every few steps.
        look: called after each epoch.
    """
    encoder.words.weight.requires_grad_(requires_grad=False)
    lengths = [len(each) for each in texts]
    weights = evened(sources)
    # a few hundred rows need more rounds than many thousand
    epochs = max(recipe.teacher_epochs, -(-recipe.fewest_steps * recipe.batch // len(texts)))
    fit = Fit(
        encoder,
        "teacher",
        rate=recipe.teacher_rate,
        epochs=epochs,
        steps=-(-len(texts) // recipe.batch),
        seed=recipe.seed,
        checkpoint=checkpoint,
        progress=progress,
    )
    for epoch in fit.rounds():
        for batch in batches(lengths, recipe.batch, recipe.seed * 1000 + epoch, weights):
            seen = encoder(padded([texts[index] for index in batch]))
            wanted = torch.tensor([labels[index] for index in batch])
            fit.step(f.cross_entropy(seen.logits, wanted, label_smoothing=_SMOOTHING))
        look(epoch)


@torch.inference_mode()
def logits_of(encoder: Encoder, texts: Sequence[list[int]], *, size: int = 64) -> Tensor:
    """Return the logits (texts, intents) that an encoder gives."""
    encoder.eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    found = torch.zeros(len(texts), encoder.classify.out_features)
    for at in range(0, len(order), size):
        batch = order[at : at + size]
        found[batch] = encoder(padded([texts[index] for index in batch])).logits
    return found
