"""Int8, felt in training: activations in 256 steps between fixed ends, weights in 127 steps around zero.

The ends are taken once from real texts and then stay, in training as in the export. So what a text becomes does not
depend on its neighbours in a batch: nothing is scaled by what else is there.

Weights use 7 of the 8 bits: on processors without VNNI instructions the 8-bit product of two neighbours would
overflow its 16 bits, and the same artefact would answer differently there.
"""
# torch and onnx are typed in parts only
# pyright: basic

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from models.intent.train.encoder import Encoder, padded

WEIGHT_STEPS = 63
ACTIVATION_STEPS = 255
#: Share of the values at each end that may fall outside: a few outliers are not worth coarse steps for all.
_OUTSIDE = 2e-5
#: Matrices that get the same input share its ends, as they share it in the export.
_SHARED = {"query": "key", "value": "key"}


class Ends:
    """The range of one matrix' input."""

    def __init__(self, low: float = 0.0, high: float = 0.0) -> None:
        self.low, self.high = min(low, 0.0), max(high, 0.0)

    @property
    def step(self) -> float:
        """Return the size of one step."""
        return (self.high - self.low) / ACTIVATION_STEPS or 1.0

    @property
    def zero(self) -> int:
        """Return the number of the step that stands for zero."""
        return round(-self.low / self.step)

    def rounded(self, x: Tensor) -> Tensor:
        """Return ``x`` on its steps, with the gradient of ``x`` where it is within the ends."""
        within = x.clamp(-self.zero * self.step, (ACTIVATION_STEPS - self.zero) * self.step)
        return within + ((within / self.step).round() * self.step - within).detach()


def weight_steps(weight: Tensor) -> Tensor:
    """Return the size of a step for each row of (out, in) weights, (out, 1)."""
    return weight.detach().abs().amax(1, keepdim=True).clamp(min=1e-8) / WEIGHT_STEPS


class _RoundedWeight(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        step = weight_steps(weight)
        return weight + ((weight / step).round() * step - weight).detach()


class Rounding:
    """Rounds what enters and what stands in every matrix of an encoder's layers, from ``start`` on.

    Args:
        encoder: whose matrices.
        ends: as ``state`` gave them, to go on with.
    """

    def __init__(self, encoder: Encoder, ends: dict[str, tuple[float, float]] | None = None) -> None:
        self._encoder = encoder
        self._hooks: list[RemovableHandle] = []
        self.ends = {name: Ends(*each) for name, each in (ends or {}).items()}

    def state(self) -> dict[str, tuple[float, float]]:
        """Return the ends by the name of the matrix."""
        return {name: (each.low, each.high) for name, each in self.ends.items()}

    def of(self, matrix: str) -> Ends:
        """Return the ends of a matrix' input, by its name (``layers.0.query``)."""
        layer, _, part = matrix.rpartition(".")
        return self.ends[f"{layer}.{_SHARED.get(part, part)}"]

    @torch.inference_mode()
    def watch(self, texts: Sequence[list[int]], *, size: int = 32) -> None:
        """Take the ends from what real texts bring to each matrix."""
        seen: dict[str, list[Tensor]] = {}
        hooks = [
            matrix.register_forward_pre_hook(partial(_note, seen.setdefault(name, [])))
            for name, matrix in self._matrices()
            if name.rpartition(".")[2] not in _SHARED
        ]
        self._encoder.eval()
        for at in range(0, len(texts), size):
            # texts of one length are not padded: padding's states are of no concern
            self._encoder(padded(list(texts[at : at + size])))
        for hook in hooks:
            hook.remove()
        self.ends = {name: _ends_of(torch.cat(values)) for name, values in seen.items()}

    def start(self) -> None:
        """Round from now on."""
        for name, matrix in self._matrices():
            self._hooks.append(matrix.register_forward_pre_hook(partial(_round, self.of(name))))
            parametrize.register_parametrization(matrix, "weight", _RoundedWeight())

    def finish(self) -> None:
        """Leave the weights as they are rounded, and the encoder as it was."""
        for _, matrix in self._matrices():
            parametrize.remove_parametrizations(matrix, "weight", leave_parametrized=True)
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _matrices(self) -> list[tuple[str, nn.Linear]]:
        return [
            (name, module)
            for name, module in self._encoder.named_modules()
            if isinstance(module, nn.Linear) and name.startswith("layers.")
        ]


def _note(into: list[Tensor], _module: nn.Module, inputs: tuple[Tensor]) -> None:
    into.append(inputs[0].flatten())


def _round(ends: Ends, _module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (ends.rounded(inputs[0]),)


def _ends_of(values: Tensor) -> Ends:
    """Return the ends that all but a few of the values are within."""
    few = max(1, round(values.numel() * _OUTSIDE))
    return Ends(float(values.kthvalue(few).values), float(values.kthvalue(values.numel() - few + 1).values))
