"""The flow run backwards: bounded for the nonlocal operator, not for the local one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nlmodel.errors import ShapeError
from nlmodel.plot.sheet import BLUE, DASHED, FAINT, RED, canvas, mesh_ticks, positive, styled


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def backward_growth(
    spacing: np.ndarray, nonlocal_rate: np.ndarray, local_rate: np.ndarray, *, bound: float | None = None
) -> Figure:
    """Largest growth rate of z_t = -L z on finer and finer meshes.

    Parameters
    ----------
    spacing : (n,) mesh sizes h, > 0.
    nonlocal_rate, local_rate : (n,) largest eigenvalue of -L_h, > 0.
    bound : a bound of the nonlocal rate that does not depend on the mesh.
    """
    h, slow, fast = (
        positive(x, name)
        for x, name in ((spacing, "spacing"), (nonlocal_rate, "nonlocal_rate"), (local_rate, "local_rate"))
    )
    if not h.shape == slow.shape == fast.shape:
        raise ShapeError("spacing and rates must have one length", got=f"{h.shape}, {slow.shape}, {fast.shape}")
    figure, axes = canvas(height=2.8)
    axes.loglog(h, fast, color=RED, marker="o")
    axes.loglog(h, slow, color=BLUE, marker="s")
    at = np.argsort(h)[len(h) // 2]
    axes.annotate(
        r"local: grows like $h^{-2}$",
        (h[at], fast[at]),
        (-10, 4),
        textcoords="offset points",
        color=RED,
        ha="right",
        va="bottom",
    )
    axes.annotate("nonlocal", (h[at], slow[at]), (0, -6), textcoords="offset points", color=BLUE, ha="center", va="top")
    if bound is not None:
        axes.axhline(bound, color=FAINT, linewidth=0.9, linestyle=DASHED, zorder=0)
        axes.annotate(
            f"bound for every mesh: {bound:.4g}",
            (h.min(), bound),
            (0, 4),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=FAINT,
        )
    axes.invert_xaxis()
    mesh_ticks(axes, h)
    axes.set(xlabel=r"mesh size $h$   (finer $\rightarrow$)", ylabel="backward growth rate")
    axes.set_ylim(bottom=min(slow.min(), fast.min()) / 5)
    return figure
