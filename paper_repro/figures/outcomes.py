"""Who finished and who diverged, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlmodel.errors import DomainError
from nlmodel.plot.sheet import FAINT, GREEN, INK, RED, SAND, canvas, styled
from paper_repro.figures.curves import whole_epochs
from paper_repro.figures.runs import Run
from paper_repro.sweep.state import DIVERGED, FINISHED


if TYPE_CHECKING:
    from matplotlib.figure import Figure


COLORS = {FINISHED: GREEN, DIVERGED: RED}
MARKS = {FINISHED: "o", DIVERGED: "X"}


@styled
def outcomes(runs: Sequence[Run]) -> Figure:
    """How far each run came: a line each, ending in a disc (finished), a cross (diverged) or a bar (waits)."""
    if not runs:
        raise DomainError("there must be at least one run to draw", got="no run")
    rows = list(dict.fromkeys(run.row for run in runs))
    figure, axes = canvas(height=0.8 + 0.24 * len(rows))
    for run in runs:
        same = [other for other in runs if other.row == run.row]
        y = len(rows) - 1 - rows.index(run.row) + 0.6 * ((same.index(run) + 0.5) / len(same) - 0.5)
        color = COLORS.get(run.status, SAND)
        axes.plot([0, run.epochs], [y, y], color=color, linewidth=1.0, solid_capstyle="butt")
        axes.plot(run.epochs, y, MARKS.get(run.status, "|"), color=color, markersize=5, clip_on=False, zorder=3)
    planned = max(run.job.config.epochs for run in runs)
    axes.axvline(planned, color=FAINT, linewidth=0.6)
    axes.set(
        xlabel="epochs",
        xlim=(0, 1.02 * planned),
        ylim=(-0.6, len(rows) - 0.4),
        yticks=range(len(rows)),
        yticklabels=rows[::-1],
    )
    whole_epochs(axes)
    axes.tick_params(axis="y", length=0)
    for words, color, x in (("finished", GREEN, 0.0), ("diverged", RED, 0.13), ("under way", SAND, 0.26)):
        axes.annotate(words, (x, 1.0), xycoords="axes fraction", va="bottom", fontsize=7.5, color=color)
    axes.annotate(
        "planned", (planned, 1.0), xycoords=("data", "axes fraction"), ha="right", va="bottom", fontsize=7.5, color=INK
    )
    return figure
