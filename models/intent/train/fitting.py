"""What teacher and student share: batches of similar lengths, the optimiser and its schedule, and epochs to resume at.

Everything random comes from one seed and the epoch's number, so an interrupted run that goes on gives what an
uninterrupted one gives.
"""
# torch and onnx are typed in parts only
# pyright: basic

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

#: Texts of so many batches are sorted by length together.
_SORTED = 40
_EVEN = 0.6
#: A text of a tiny source is not learnt by heart.
_MOST_OFTEN = 4.0
#: Called with stage, steps done, steps in all, and what there is to say.
Progress = Callable[[str, int, int, str], None]


def evened(sources: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return how often each text is to be drawn, on average, so that a big source does not drown a small one.

    Sources are drawn by their size to the power of ``_EVEN``: 1 would leave them as they are, 0 make all alike.
    """
    sizes = Counter(sources)
    weights = np.array([sizes[source] ** (_EVEN - 1.0) for source in sources])
    return np.minimum(weights / weights.sum() * len(sources), _MOST_OFTEN)


def batches(
    lengths: Sequence[int], size: int, seed: int, weights: npt.NDArray[np.float64] | None = None
) -> list[list[int]]:
    """Return the indexes of texts in batches of about one length, shuffled.

    Each text stands there once, or with ``weights`` as often as its weight says on average.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    if weights is not None:
        # the whole part for certain, the rest by chance; then cut or filled to the number of texts
        often = np.floor(weights + rng.random(len(weights))).astype(np.int64)
        drawn = rng.permutation(np.repeat(np.arange(len(lengths)), often))
        order = np.concatenate([drawn, order])[: len(lengths)]
    found: list[list[int]] = []
    for start in range(0, len(order), size * _SORTED):
        chunk = sorted(order[start : start + size * _SORTED].tolist(), key=lengths.__getitem__)
        found += [chunk[at : at + size] for at in range(0, len(chunk), size)]
    return [found[index] for index in rng.permutation(len(found))]


class Plan(NamedTuple):
    """What a fit is to do.

    Args:
        stage: how progress calls it; also the name of the file that keeps its state.
        rate: highest learning rate; the classifier on top, which starts from nothing, gets ten times that.
        epochs, steps: how many epochs, and how many steps one has.
        seed: with the number of the epoch it gives all that is random.
    """

    stage: str
    rate: float
    epochs: int
    steps: int
    seed: int


class Watch(NamedTuple):
    """Where a fit keeps its state after each epoch, and whom it tells of each step."""

    work: Path
    progress: Progress


class Fit:
    """One model on its way through its epochs; parameters without gradient are left alone."""

    def __init__(self, model: nn.Module, plan: Plan, watch: Watch) -> None:
        self._model, self._plan, self._progress = model, plan, watch.progress
        self._checkpoint = watch.work / f"{plan.stage}.epoch"
        self._done = 0
        named = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": [each for name, each in named if not name.startswith("classify")], "lr": plan.rate},
                {"params": [each for name, each in named if name.startswith("classify")], "lr": plan.rate * 10},
            ],
            weight_decay=0.01,
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._share)

    def _share(self, step: int) -> float:
        """Return the share of the highest rate: up over the first tenth, then down in a line."""
        whole = self._plan.epochs * self._plan.steps
        warm = max(1, whole // 10)
        return min(1.0, (step + 1) / warm, max(0.0, (whole - step) / max(1, whole - warm)))

    def rounds(self) -> Iterator[int]:
        """Go through the epochs that are still to be done, keeping the state after each.

        The file of the last one stays: whoever stores the result removes it.
        """
        for epoch in range(self._resume(), self._plan.epochs):
            self._model.train()
            torch.manual_seed(self.seed_of(epoch))
            yield epoch
            self._keep(epoch + 1)

    def seed_of(self, epoch: int) -> int:
        """Return what all that is random in an epoch follows from."""
        return self._plan.seed * 1000 + epoch

    def step(self, loss: Tensor) -> None:
        """Make one step down the gradient of ``loss``."""
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimiser.step()
        self._schedule.step()
        self._done += 1
        if self._done % 10 == 0 or self._done == self._plan.epochs * self._plan.steps:
            self._progress(
                self._plan.stage, self._done, self._plan.epochs * self._plan.steps, f"loss {loss.item():.3f}"
            )

    def _keep(self, epochs: int) -> None:
        state: dict[str, Any] = {
            "epochs": epochs,
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        unfinished = self._checkpoint.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(self._checkpoint)

    def _resume(self) -> int:
        if not self._checkpoint.exists():
            return 0
        state = torch.load(self._checkpoint, weights_only=True)
        self._model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._done = int(state["epochs"]) * self._plan.steps
        return int(state["epochs"])
