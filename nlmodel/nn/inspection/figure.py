"""One figure a layer: its weight, its affinity, its features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nlmodel.nn.inspection.layer import Inspected
from nlmodel.nn.inspection.passage import Passage
from nlmodel.plot.sheet import BLUE, FAINT, INK, RED, canvas, styled


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def layer_figure(layer: Inspected, found: Passage | None) -> Figure:
    """Left: eigenvalues of W~ of each head or sub-block.  Middle: |lambda| of each K.  Right: the passage, relative."""
    panels = 1 + (found is not None) + bool(layer.chains)
    figure, axes = canvas(1, panels, width=2.5 * panels, height=2.3, squeeze=False)
    _weights(axes[0, 0], layer)
    if layer.chains:
        _affinities(axes[0, 1], layer)
    if found is not None:
        _passage(axes[0, -1], found)
    return figure


def _weights(axes, layer: Inspected) -> None:
    for x in layer.weighed:
        values = x.symmetric[::-1]
        rank = np.arange(1, len(values) + 1)
        alpha = max(0.25, 1 / len(layer.weighed))
        axes.bar(rank, np.maximum(values, 0), width=0.85, color=BLUE, alpha=alpha)
        axes.bar(rank, np.minimum(values, 0), width=0.85, color=RED, alpha=alpha)
    axes.axhline(0, color=INK, linewidth=0.5)
    axes.set(xlabel="in order of size", ylabel=r"eigenvalues of $(W + W^{\top})/2$")


def _affinities(axes, layer: Inspected) -> None:
    for chain in layer.chains:
        values = np.abs(chain.eigenvalues)
        axes.plot(np.arange(1, len(values) + 1), values, color=BLUE, linewidth=1, alpha=max(0.3, 1 / len(layer.chains)))
    axes.set(xlabel=r"mode of $K$", ylabel=r"$|\lambda|$", xscale="log", ylim=(0, None))


def _passage(axes, found: Passage) -> None:
    names, ratios = ("energy", "variance", "rank"), []
    for before, after in (found.energy, found.variance, found.rank):
        ratios.append(after / before if before else 1.0)
    axes.bar(range(3), ratios, width=0.6, color=[BLUE if r >= 1 else RED for r in ratios], alpha=0.8)
    axes.axhline(1, color=FAINT, linewidth=0.8)
    axes.set(xticks=range(3), ylabel="after, over before")
    axes.set_xticklabels(names)
