"""Training curves: loss and error of each row, one line a seed, runs that diverged marked where they ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmodel.errors import DomainError
from nlmodel.plot.sheet import INK, canvas, styled
from paper_repro.figures.runs import Run
from paper_repro.sweep.state import DIVERGED


if TYPE_CHECKING:
    from matplotlib.figure import Figure


FULL_RATE = 0.1
SHADES = {
    "original": ("#f4b8bf", "#f0929d", "#ee6677", "#c93a4d", "#94202f", "#5e0f1b"),
    "proposed": ("#b5c9dd", "#86a6c7", "#4477aa", "#2d5a8a", "#1c3f66", "#0f2742"),
}


@styled
def training_curves(runs: Sequence[Run], *, title: str = "") -> Figure:
    """Training loss (logarithmic) and test error over the epochs.

    Parameters
    ----------
    runs : in any order; runs of one row share a colour: original blocks red, proposed blue, darker with their number;
        dashed at different places, dotted at a reduced rate.  A cross marks the last epoch of a run that diverged.
    """
    if not runs:
        raise DomainError("there must be at least one run to draw", got="no run")
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, (loss, error) = canvas(1, 2, height=2.7)
    named = set[str]()
    for run in runs:
        label = None if run.row in named else run.row
        named.add(run.row)
        _line(loss, run, "train_loss", label)
        _line(error, run, "test_error", label)
    loss.set(xlabel="epoch", ylabel="training loss", yscale="log")
    loss.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    loss.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    loss.yaxis.set_minor_formatter(NullFormatter())
    error.set(xlabel="epoch", ylabel="test error (%)", ylim=(0, None))
    for axes in (loss, error):
        whole_epochs(axes)
    handles, labels = loss.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def _line(axes: Any, run: Run, column: str, label: str | None) -> None:
    config = run.job.config
    color = color_of(config.form, config.blocks)
    style: Any = "--" if config.places == "different" else ":" if config.lr < FULL_RATE else "-"
    epochs, values = run.log.get("epoch", np.array([])), run.log.get(column, np.array([]))
    shown = np.isfinite(values)
    marker = "." if np.sum(shown) <= 12 else ""
    axes.plot(epochs[shown], values[shown], color=color, linestyle=style, linewidth=1.1, marker=marker, label=label)
    if run.status == DIVERGED and np.any(shown):
        axes.plot(epochs[shown][-1], values[shown][-1], "x", color=color, markersize=7, markeredgewidth=1.8)


def whole_epochs(axes: Any) -> None:
    """Ticks at whole epochs only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def color_of(form: str, blocks: int) -> str:
    """Ink for the baseline; red for original blocks, blue for proposed ones, darker with their number."""
    shades = SHADES.get(form)
    return INK if shades is None or blocks < 1 else shades[min(blocks, len(shades)) - 1]
