"""How the signs of the weights develop during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlmodel.errors import DomainError
from nlmodel.plot.sheet import FAINT, INK, canvas, styled
from paper_repro.figures.curves import color_of, whole_epochs
from paper_repro.figures.runs import Run
from paper_repro.figures.signs import CLEAR, SignPattern, null_of, sign_pattern


if TYPE_CHECKING:
    from matplotlib.figure import Figure


def inner_of(run: Run, channels: int) -> int:
    """The length r of W_g x in a block of that many channels."""
    return run.job.config.inner or max(1, channels // 2)


def patterns(run: Run) -> list[tuple[int, list[SignPattern]]]:
    """(epoch, the sign pattern of each weight) of every logged epoch with finite weights."""
    return [
        (
            spectra.epoch,
            [
                sign_pattern(w.eigenvalues, null_of(len(w.eigenvalues), inner_of(run, len(w.eigenvalues))))
                for w in spectra.weights
            ],
        )
        for spectra in run.spectra
        if all(np.all(np.isfinite(w.eigenvalues)) for w in spectra.weights)
    ]


@styled
def sign_history(runs: Sequence[Run]) -> Figure:
    """z-scores of the sign counts, and of the balance of both parts by size, over the epochs; one line a weight.

    Above zero negative eigenvalues lead, below zero positive ones.  The grey band is within five standard deviations of
    chance: what lies in it is no pattern.

    Parameters
    ----------
    runs : those with nonlocal blocks are drawn; there must be at least one.
    """
    drawn = [run for run in runs if run.spectra and any(spectra.weights for spectra in run.spectra)]
    if not drawn:
        raise DomainError("there must be at least one run with nonlocal blocks", got=f"{len(runs)} runs without")
    figure, (count, size) = canvas(1, 2, height=2.7)
    named = set[str]()
    for run in drawn:
        found = patterns(run)
        color = color_of(run.job.config.form, run.job.config.blocks)
        for k in range(max((len(at) for _, at in found), default=0)):
            label = None if run.row in named else run.row
            named.add(run.row)
            epochs = [epoch for epoch, _ in found]
            for axes, name, told in ((count, "z", label), (size, "balance_z", None)):
                z = [getattr(at[k], name) for _, at in found]
                axes.plot(epochs, z, color=color, linewidth=1.0, marker="." if len(z) <= 12 else "", label=told)
    for axes, words in ((count, "z of the number of negatives"), (size, "z of the balance of sizes")):
        axes.axhspan(-CLEAR, CLEAR, color=FAINT, alpha=0.2, linewidth=0)
        axes.axhline(0, color=INK, linewidth=0.5)
        axes.set(xlabel="epoch", ylabel=words)
        whole_epochs(axes)
    handles, labels = count.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure
