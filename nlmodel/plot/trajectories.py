"""How a run went: norm, energy, extremes and mass over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nlmodel.plot.sheet import BLUE, PURPLE, RED, canvas, styled
from nlmodel.stepping import Trajectory


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def trajectory(run: Trajectory) -> Figure:
    """The diagnostics of a run of `evolve`: extremes on the left, norm and energy on the right, status above.

    Parameters
    ----------
    run : a `Trajectory`; the energy is drawn where a measure is known.
    """
    figure, (left, right) = canvas(1, 2, height=2.6)
    t = run.times
    left.fill_between(t, run.minimum, run.maximum, color=BLUE, alpha=0.14, linewidth=0)
    left.plot(t, run.maximum, color=BLUE, label="largest")
    left.plot(t, run.minimum, color=BLUE, linewidth=0.8, label="smallest")
    left.set(xlabel="time $t$", ylabel=r"entries of $Z$, smallest to largest")
    curves = {"norm": (run.norm, PURPLE)}
    if run.energy is not None:
        curves["energy"] = (np.sum(run.energy.reshape(len(t), -1), axis=1), RED)
    for name, (values, color) in curves.items():
        start = float(values[0]) or 1.0
        right.plot(t, np.maximum(values, 0) / start, color=color, label=name)
    growth = max(float(np.max(values)) / (abs(float(values[0])) or 1.0) for values, _ in curves.values())
    right.set(xlabel="time $t$", ylabel="over its value at the start")
    right.set(yscale="log") if growth > 100 else right.set(ylim=(0, None))
    right.legend(loc="best")
    drift = "" if run.mass_drift is None else f", mean moved by {run.mass_drift:.1g}"
    bound = "" if run.bound is None else f", limit {run.bound.value:.4g}"
    figure.suptitle(
        f"{run.method.replace('_', ' ')}, step {run.step:.4g}{bound}: {run.status.replace('_', ' ')}{drift}",
        x=0.01,
        ha="left",
        fontsize=9,
    )
    return figure
