"""The network: a BERT encoder; the last state of a text's first token is classified.

Written out with torch's own parts because the int8 export must know it to the last node. The last layer computes
nothing but what the first token needs.

Shapes: B texts, T tokens, H hidden, C intents.
"""
# torch and onnx are typed in parts only
# pyright: basic

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from models.intent.tokenizer import PAD
from models.intent.train.start import Array, Shape


class Seen(NamedTuple):
    """What a pass gives.

    Args:
        logits: (B, C).
        states: (B, T, H) after the embedding and after each layer but the last.
        first: (B, H), the first token's state after the last layer.
    """

    logits: Tensor
    states: list[Tensor]
    first: Tensor


class Layer(nn.Module):
    """Attention and feed-forward, each with its residual and norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.hidden, shape.hidden)
        self.key = nn.Linear(shape.hidden, shape.hidden)
        self.value = nn.Linear(shape.hidden, shape.hidden)
        self.attended = nn.Linear(shape.hidden, shape.hidden)
        self.attended_norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.widen = nn.Linear(shape.hidden, shape.widened)
        self.narrow = nn.Linear(shape.widened, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.dropout = 0.1

    def forward(self, x: Tensor, mask: Tensor, *, first_only: bool = False) -> Tensor:
        """Return the states after this layer.

        Args:
            x: (B, T, H).
            mask: (B, 1, 1, T), true where there is a token.
            first_only: give the first token's alone, (B, 1, H).
        """
        asking = x[:, :1] if first_only else x
        heads = f.scaled_dot_product_attention(
            self._split(self.query(asking)), self._split(self.key(x)), self._split(self.value(x)), attn_mask=mask
        )
        joined = heads.transpose(1, 2).flatten(2)
        x = self.attended_norm(asking + self._drop(self.attended(joined)))
        return self.norm(x + self._drop(self.narrow(f.gelu(self.widen(x)))))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _drop(self, x: Tensor) -> Tensor:
        return f.dropout(x, self.dropout, self.training)


class Encoder(nn.Module):
    """Embeddings, layers and the classifier on top.

    Args:
        shape: sizes of the encoder.
        intents: how many the classifier tells apart.
    """

    def __init__(self, shape: Shape, intents: int) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.hidden, padding_idx=PAD)
        self.positions = nn.Embedding(shape.positions, shape.hidden)
        self.embedded_norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.classify = nn.Linear(shape.hidden, intents)
        nn.init.normal_(self.classify.weight, std=1 / math.sqrt(shape.hidden))
        nn.init.zeros_(self.classify.bias)

    def forward(self, ids: Tensor) -> Seen:
        """Classify ``ids`` (B, T), padded at their ends."""
        mask = (ids != PAD)[:, None, None, :]
        x = self.embedded_norm(self.words(ids) + self.positions.weight[: ids.shape[1]])
        states = [x]
        for layer in self.layers[:-1]:
            x = layer(x, mask)
            states.append(x)
        first = self.layers[-1](x, mask, first_only=True)[:, 0]
        return Seen(self.classify(f.dropout(first, 0.1, self.training)), states, first)

    def take(self, weights: dict[str, Array]) -> None:
        """Start from given weights; what they do not name (the classifier) stays as it is.

        Raises:
            ValueError: they name something that this encoder lacks.
        """
        unknown = self.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()}, strict=False)
        if unknown.unexpected_keys:
            raise ValueError(f"this encoder has no {', '.join(unknown.unexpected_keys)}")


def padded(texts: list[list[int]]) -> Tensor:
    """Return token numbers as one rectangle, (B, T), filled up with padding."""
    width = max(map(len, texts))
    return torch.tensor([each + [PAD] * (width - len(each)) for each in texts])
