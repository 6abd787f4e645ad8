"""How a graph's outputs are to be read: the offset for out of scope, and for each language temperature and threshold.

Languages are gauged apart: the same doubt shows in other numbers where the pieces are longer and the labels cleaner.
A language of which too few rows are held out takes what all rows together give.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.intent.classifier import Gauge, Outputs, softmax
from models.intent.metrics import Floats, Ints, by_group, evidence
from models.intent.tokenizer import Flags
from models.intent.train.calibration import FEWEST, best_offset, best_temperature, best_threshold, threshold_for_unknown
from models.intent.train.recipe import Recipe


class Gauges(NamedTuple):
    """What a calibration sets."""

    offset: float
    en: Gauge
    zh: Gauge


class Read(NamedTuple):
    """Outputs as they are read with some gauges.

    Args:
        probabilities: (texts, intents).
        clear: (texts), by how much the evidence passes the threshold.
    """

    probabilities: Floats
    clear: Floats


class Calibrator:
    """Gauges outputs by the texts whose intents are known.

    Args:
        labels: (texts), those held out first.
        sources: of the held-out ones, of which there are as many.
        chinese: (texts), whether each is in Chinese.
        out_of_scope: which of the intents is that.
        recipe: what must be reached.
    """

    def __init__(
        self,
        *,
        labels: Ints,
        sources: Sequence[str],
        chinese: Flags,
        out_of_scope: int,
        recipe: Recipe,
    ) -> None:
        self._held = len(sources)
        self._labels = labels
        self._groups = list(by_group(sources).values())
        # sources of one family (`shop:web`, `shop:app`) tell more together
        self._families = list(by_group([source.partition(":")[0] for source in sources]).values())
        self._chinese = chinese
        self._out_of_scope = out_of_scope
        self._recipe = recipe

    def gauge(self, logits: Floats, unknown: Outputs | None) -> tuple[Gauges, Read]:
        """Return how outputs are to be read, and all texts read so.

        Args:
            logits: (texts, intents), of the texts that the calibrator was made for.
            unknown: of texts that nobody should answer; None: they set nothing.
        """
        offset = best_offset(
            logits[: self._held],
            self._labels[: self._held],
            self._groups,
            out_of_scope=self._out_of_scope,
            told=self._recipe.told,
        )
        logits = self._moved(logits, offset)
        unknown = unknown and unknown._replace(logits=self._moved(unknown.logits, offset))
        en, zh = (self._of_language(logits, unknown, chinese) for chinese in (False, True))
        temperatures = np.where(self._chinese, zh.temperature, en.temperature).astype(np.float32)
        thresholds = np.where(self._chinese, zh.threshold, en.threshold).astype(np.float32)
        read = Read(softmax(logits / temperatures[:, None]), evidence(logits, self._out_of_scope) - thresholds)
        return Gauges(offset, en, zh), read

    def _moved(self, logits: Floats, offset: float) -> Floats:
        moved = logits.copy()
        moved[:, self._out_of_scope] += np.float32(offset)
        return moved

    def _of_language(self, logits: Floats, unknown: Outputs | None, chinese: bool) -> Gauge:
        mine = self._chinese[: self._held] == chinese
        alone = int(mine.sum()) >= FEWEST
        within = np.flatnonzero(mine) if alone else np.arange(self._held)
        shares = (np.intersect1d(each, within) for each in self._families)
        families = [np.searchsorted(within, share) for share in shares if len(share)]
        seen, labels = logits[within], self._labels[within]
        threshold = best_threshold(
            seen.argmax(1),
            evidence(seen, self._out_of_scope),
            labels,
            families,
            out_of_scope=self._out_of_scope,
            precision=self._recipe.precision,
        )
        if unknown is not None:
            near = evidence(unknown.logits, self._out_of_scope)
            near = near[unknown.chinese == chinese] if alone else near
            if len(near) >= FEWEST:
                threshold = max(threshold, threshold_for_unknown(near, self._recipe.unknown))
        temperature = best_temperature(seen, labels, families)
        return Gauge(temperature=round(temperature, 4), threshold=round(threshold + 5e-5, 4))
