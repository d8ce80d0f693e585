"""Errors against the mesh size, with the slope they should have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nlmodel._arrays import check_number
from nlmodel.errors import ShapeError
from nlmodel.plot.sheet import BLUE, DASHED, GREEN, INK, PURPLE, RED, canvas, mesh_ticks, positive, styled


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def convergence(
    h: np.ndarray,
    errors: np.ndarray | Mapping[str, np.ndarray],
    order: float | Mapping[str, float],
    *,
    xlabel: str = r"mesh size $h$",
) -> Figure:
    """Log-log plot of errors, each beside a line of its expected slope.

    Parameters
    ----------
    h : (n,) step or mesh sizes, > 0.
    errors : (n,) errors > 0, or several by name.
    order : expected order, one for all or one a name; 0 draws no reference.
    """
    steps = positive(h, "h")
    curves = dict(errors) if isinstance(errors, Mapping) else {"error": errors}
    figure, axes = canvas(height=3.0)
    for color, marker, (name, values) in zip((BLUE, RED, GREEN, PURPLE), "osD^", curves.items(), strict=False):
        e = positive(values, "errors")
        if e.shape != steps.shape:
            raise ShapeError("h and errors must have one length", got=f"shapes {steps.shape} and {e.shape}")
        expected = check_number(order[name] if isinstance(order, Mapping) else order, "order")
        axes.loglog(steps, e, color=color, marker=marker, label=name)
        if expected:
            _reference(axes, steps, e, expected)
    mesh_ticks(axes, steps)
    axes.set(xlabel=xlabel, ylabel="error")
    if isinstance(errors, Mapping):
        axes.legend(loc="best")
    return figure


def _reference(axes, h: np.ndarray, e: np.ndarray, order: float) -> None:
    """A faint line of slope `order` a little below the data."""
    line = 0.55 * e[np.argmax(h)] * (h / h.max()) ** order
    axes.loglog(h, line, color=INK, linewidth=0.8, linestyle=DASHED, alpha=0.6)
    middle = np.argsort(h)[len(h) // 2]
    axes.annotate(f"$h^{{{order:g}}}$", (h[middle], line[middle]), (4, -9), textcoords="offset points", fontsize=8)
