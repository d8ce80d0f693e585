"""Markov jump processes: jumps that persist, and samples against the exact law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlmodel._arrays import check_array, to_numpy
from nlmodel.errors import ShapeError
from nlmodel.plot.sheet import BLUE, INK, RED, canvas, styled


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def jump_persistence(x: np.ndarray, states: np.ndarray, times: Sequence[float]) -> Figure:
    """A jump under nonlocal diffusion: it stays where it is, with height e^{-sigma t}.

    Parameters
    ----------
    x : (M,) increasing positions.
    states : (T, M) solution at each of `times`.
    times : T numbers >= 0.
    """
    points = to_numpy(check_array(x, "x", ndim=1))
    fields = to_numpy(check_array(states, "states", ndim=2))
    if fields.shape != (len(times), len(points)):
        raise ShapeError("states must be (times, positions)", got=f"{fields.shape} for {len(times)} x {len(points)}")
    figure, axes = canvas(height=2.8)
    from matplotlib import colormaps

    shades = colormaps["cividis"](np.linspace(0.05, 0.85, len(times)))
    for color, t, field in zip(shades, times, fields, strict=True):
        at = int(np.argmax(np.abs(np.diff(field))))
        broken = np.insert(field, at + 1, np.nan)
        axes.plot(np.insert(points, at + 1, points[at]), broken, color=color, label=f"{t:g}")
        axes.plot(points[at : at + 2], field[at : at + 2], color=color, linewidth=0.7, linestyle=(0, (1.5, 1.5)))
    axes.legend(
        title=r"time "
        r"$t$",
        title_fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        alignment="left",
    )
    axes.set(xlabel=r"position $x$", ylabel=r"$z(x, t)$")
    return figure


@styled
def gillespie_vs_expm(states: Sequence[str | int], empirical: np.ndarray, exact: np.ndarray, ci: np.ndarray) -> Figure:
    """Occupation of states: sampled, with its confidence interval, against the matrix exponential.

    Parameters
    ----------
    states : n names.
    empirical, exact : (n,) probabilities.
    ci : (n,) half-widths, or (2, n) lower and upper ends.
    """
    found, truth = (to_numpy(check_array(p, name, ndim=1)) for p, name in ((empirical, "empirical"), (exact, "exact")))
    interval = to_numpy(check_array(ci, "ci", min_ndim=1))
    if not found.shape == truth.shape == interval.shape[-1:] == (len(states),):
        raise ShapeError(
            "states, empirical, exact and ci must have one length",
            got=f"{len(states)}, {found.shape}, {truth.shape}, {interval.shape}",
        )
    reach = interval if interval.ndim == 1 else np.stack([found - interval[0], interval[1] - found])
    figure, axes = canvas(height=2.6)
    at = np.arange(len(states))
    axes.bar(at, truth, width=0.62, color=BLUE, alpha=0.28, label=r"exact, $p_0 e^{tQ}$")
    axes.hlines(truth, at - 0.31, at + 0.31, color=BLUE, linewidth=1.2)
    axes.errorbar(
        at,
        found,
        yerr=reach,
        fmt="o",
        color=RED,
        ecolor=INK,
        elinewidth=0.9,
        capsize=3,
        markersize=4,
        label="sampled, with its interval",
    )
    axes.set_xticks(at, [str(s) for s in states])
    axes.set(xlabel="state", ylabel="probability", ylim=(0, 1.25 * max(truth.max(), (found + reach).max())))
    axes.legend(loc="upper right", ncols=2)
    return figure
