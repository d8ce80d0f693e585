"""What one block does to each mode: original against proposed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nlmodel._arrays import check_array, check_count, check_number, to_numpy
from nlmodel.errors import ShapeError
from nlmodel.plot.sheet import BLUE, DASHED, FAINT, INK, RED, canvas, styled


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def mode_damping(
    mu: float = 0.5,
    eigenvalues: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    *,
    blocks: int = 1,
) -> Figure:
    """Amplification of each eigenmode of K after `blocks` blocks.

        original, W = -mu I:  |1 - mu lambda|^n        proposed, W = mu I:  |1 - mu (1 - lambda)|^n

    Parameters
    ----------
    mu : size of the weight, > 0.
    eigenvalues : (M,) real eigenvalues of an actual K, drawn below the curves.
    shares : (M,) share of the data's squared norm in each of these modes; drawn as a histogram.
    """
    check_number(mu, "mu", above=0.0)
    check_count(blocks, "blocks", at_least=1)
    values = None if eigenvalues is None else to_numpy(check_array(eigenvalues, "eigenvalues", ndim=1))
    if shares is not None and (values is None or np.shape(shares) != np.shape(values)):
        raise ShapeError("shares must match eigenvalues", got=f"shape {np.shape(shares)}")
    low = -1.0 if values is None or values.min() < -0.05 else 0.0
    x = np.linspace(low, 1, 401)
    if values is None:
        figure, top = canvas(height=2.7)
        bottom = top
    else:
        figure, (top, bottom) = canvas(2, 1, height=3.5, sharex=True, height_ratios=(2.4, 1))
        _modes(bottom, values, shares, low)
    original, proposed = np.abs(1 - mu * x) ** blocks, np.abs(1 - mu * (1 - x)) ** blocks
    power = f"^{{{blocks}}}" if blocks > 1 else ""
    top.plot(x, original, color=RED, label=f"original, $W=-{mu:g}\\,I$:  $|1-{mu:g}\\,\\lambda|{power}$")
    top.plot(x, proposed, color=BLUE, label=f"proposed, $W={mu:g}\\,I$:  $|1-{mu:g}\\,(1-\\lambda)|{power}$")
    top.axhline(1, color=INK, linewidth=0.5, linestyle=DASHED, alpha=0.6)
    top.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, columnspacing=1.4)
    top.set(ylabel="amplification", ylim=(0, 1.12 * max(original.max(), proposed.max(), 1.0)))
    top.annotate("constants", (1, 1), (-2, 5), textcoords="offset points", ha="right", fontsize=7.5, color=FAINT)
    bottom.set_xlabel(r"eigenvalue $\lambda$ of $K$:   oscillatory modes  $\longrightarrow$  smooth modes")
    return figure


def _modes(axes, values: np.ndarray, shares: np.ndarray | None, low: float) -> None:
    """Where the modes are, and how much of the data they carry."""
    weights = np.full(values.shape, 100 / len(values)) if shares is None else 100 * to_numpy(shares)
    bins = np.linspace(min(low, float(values.min())), 1 + 1e-9, 41)
    axes.hist(values, bins=bins, weights=weights, color=BLUE, alpha=0.75)
    axes.set(ylabel="modes (%)" if shares is None else "data (%)")
    if np.any(weights > 0):
        smallest = 0.5 * float(np.min(weights[weights > 0]))
        axes.set_ylim(min(max(1e-3, smallest), 10.0), 200.0)
        axes.set_yscale("log")
