"""Two pictures of a classifier: what it takes for what, and what it answers at which precision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from models.intent.metrics import Answered, Ints

_INK = "#1f2933"
#: Below this share answered, precision is that of a handful of texts.
_LEAST_DRAWN = 0.15


def draw_confusion(table: Ints, names: Sequence[str], path: Path) -> None:
    """Draw how often each labelled intent (row) was taken for each (column), as shares of the row.

    Intents that are not labelled there have no row. PNG.
    """
    present = np.flatnonzero(table.sum(1))
    shares = table[present] / table[present].sum(1, keepdims=True)
    with mpl.rc_context({"font.size": 8, "text.color": _INK}):
        figure = Figure(figsize=(11, 2.2 + 0.32 * len(present)), layout="constrained")
        axes: Any = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(names)), names, rotation=55, ha="right")
        axes.set_yticks(range(len(present)), [f"{names[each]} ({table[each].sum()})" for each in present.tolist()])
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                axes.text(
                    column, row, f"{share * 100:.0f}", ha="center", va="center", color="white" if share > 0.5 else _INK
                )
        axes.set_xlabel("taken for")
        axes.set_ylabel("labelled (texts)")
        axes.set_title("Percent of each labelled intent", loc="left", fontsize=10)
        axes.set_xticks(np.arange(-0.5, len(names)), minor=True)
        axes.set_yticks(np.arange(-0.5, len(present)), minor=True)
        axes.grid(which="minor", color="#e4e7eb", linewidth=0.5)
        axes.tick_params(which="both", length=0)
        figure.savefig(path, dpi=130)


def draw_curves(curves: Mapping[str, Sequence[Answered]], path: Path) -> None:
    """Draw share answered against precision, a line for each group; a dot stands at threshold 0. PNG."""
    with mpl.rc_context({"font.size": 9, "text.color": _INK}):
        figure = Figure(figsize=(9, 5.2), layout="constrained")
        axes: Any = figure.add_subplot()
        lowest = 1.0
        for name, all_points in curves.items():
            points = [each for each in all_points if each.answered >= _LEAST_DRAWN]
            if not points:
                continue  # nothing there was taken to be in scope
            (line,) = axes.plot(
                [each.answered for each in points], [each.precision for each in points], label=name, linewidth=1.5
            )
            at = min(points, key=lambda each: abs(each.threshold))
            axes.plot(at.answered, at.precision, "o", color=line.get_color(), markersize=5)
            lowest = min([lowest, *(each.precision for each in points)])
        axes.set_xlim(0, 1.02)
        axes.set_ylim(max(0.0, lowest - 0.03), 1.005)
        axes.set_xlabel("share of the texts in scope that is answered")
        axes.set_ylabel("precision of the answered")
        axes.set_title("Answered against precision; dots: at the threshold", loc="left", fontsize=10)
        axes.grid(color="#e4e7eb", linewidth=0.6)
        axes.legend(loc="lower left", fontsize=8, frameon=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.savefig(path, dpi=130)
