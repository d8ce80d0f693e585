"""Spectra: of an operator, and of a trained weight against what chance alone gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nlmodel._arrays import check_array, check_square, to_numpy
from nlmodel.errors import ShapeError
from nlmodel.operators import NonlocalOperator
from nlmodel.plot.sheet import BLUE, DASHED, FAINT, INK, RED, canvas, styled


if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlmodel.spectrum import NullModel


@styled
def spectrum_of(op: Any, *, label: str = r"eigenvalue $\lambda$ of $K$") -> Figure:
    """All eigenvalues: in order of size where they are real, in the unit disc where they are not.

    Parameters
    ----------
    op : a `NonlocalOperator` (the eigenvalues of its averaging matrix K are found), or an (M,) array of eigenvalues.
    label : what they are called on the axis.
    """
    values = to_numpy(check_array(_eigenvalues(op), "eigenvalues", ndim=1, complex_ok=True))
    if np.iscomplexobj(values) and np.any(np.imag(values) != 0):
        return _in_the_plane(values, label)
    values = np.sort(np.real(values))[::-1]
    figure, (curve, density) = canvas(1, 2, height=2.5, width_ratios=(3, 1), sharey=True)
    rank = np.arange(1, len(values) + 1)
    curve.plot(rank, values, color=BLUE, marker="." if len(values) <= 60 else "", markersize=4)
    curve.fill_between(rank, 0, values, color=BLUE, alpha=0.12, linewidth=0)
    curve.axhline(0, color=INK, linewidth=0.5, alpha=0.5)
    if len(values) > 20:
        curve.set_xscale("log")
    curve.set(xlabel="mode, by eigenvalue", ylabel=label)
    density.hist(values, bins=min(40, max(8, len(values) // 8)), orientation="horizontal", color=BLUE, alpha=0.75)
    density.set(xlabel="modes", xscale="log", xlim=(0.7, None))
    return figure


def _eigenvalues(op: Any) -> Any:
    if not isinstance(op, NonlocalOperator):
        return op
    if op.reversible:
        S = to_numpy(op.symmetrized().to_dense())
        return np.linalg.eigvalsh((S + S.T) / 2)
    return np.linalg.eigvals(to_numpy(op.averaging.to_dense()))


def _in_the_plane(values: np.ndarray, label: str) -> Figure:
    figure, axes = canvas(width=4.0, height=3.2)
    angle = np.linspace(0, 2 * np.pi, 361)
    axes.plot(np.cos(angle), np.sin(angle), color=FAINT, linewidth=0.8, linestyle=DASHED)
    axes.axhline(0, color=INK, linewidth=0.5, alpha=0.35)
    axes.axvline(0, color=INK, linewidth=0.5, alpha=0.35)
    axes.scatter(np.real(values), np.imag(values), s=10, color=BLUE, linewidth=0, alpha=0.8, zorder=3)
    axes.set(xlabel=f"real part of {label}", ylabel="imaginary part", aspect="equal")
    return figure


@styled
def spectrum_against_null(W: Any, null: NullModel) -> Figure:
    """The eigenvalues of (W + W^T)/2, and how many of the largest are negative against random weights.

    Left: all eigenvalues in order, the `null.k` largest in magnitude in full colour.  Right: the number of negative
    ones among these, for W and for random bottlenecks, which have learned nothing.  Tao et al. 2018, Fig. 2 to 4, show
    the coloured ones only.

    Parameters
    ----------
    W : (C, C) array.
    null : result of `nlmodel.spectrum.null_model` with channels = C.
    """
    matrix = to_numpy(check_square(check_array(W, "W", ndim=2), "W")).astype(np.float64)
    if len(matrix) != null.channels:
        raise ShapeError("W and null must have one number of channels", got=f"{len(matrix)} and {null.channels}")
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)[::-1]
    top = np.zeros(len(values), dtype=bool)
    top[np.argsort(-np.abs(values), kind="stable")[: null.k]] = True
    figure, (left, right) = canvas(1, 2, height=2.6, width_ratios=(1.9, 1))
    rank = np.arange(1, len(values) + 1)
    for chosen, color in ((values >= 0, BLUE), (values < 0, RED)):
        left.bar(rank[chosen & top], values[chosen & top], width=0.78, color=color)
        left.bar(rank[chosen & ~top], values[chosen & ~top], width=0.78, color=color, alpha=0.3)
    left.axhline(0, color=INK, linewidth=0.6)
    left.set(xlabel="in order of size", ylabel=r"eigenvalues of $(W + W^{\top})/2$")
    left.annotate(
        f"full colour: the {null.k} largest in magnitude",
        (1, 1),
        xycoords="axes fraction",
        ha="right",
        va="top",
        fontsize=7.5,
        color=FAINT,
    )
    found = int(np.sum(values[top] < 0))
    counts, times = np.unique(null.counts, return_counts=True)
    right.bar(counts, times / np.sum(times), width=0.8, color=FAINT, alpha=0.5)
    right.axvline(found, color=RED, linewidth=1.6)
    right.set(
        xlabel=f"negative among the {null.k} largest",
        ylabel="share of random weights",
        xlim=(-0.6, null.k + 0.6),
        ylim=(0, 1.25 * float(np.max(times) / np.sum(times))),
    )
    right.annotate(
        f"this $W$: {found}",
        (found, 1),
        (4 if found < null.k / 2 else -4, -2),
        textcoords="offset points",
        xycoords=("data", "axes fraction"),
        ha="left" if found < null.k / 2 else "right",
        va="top",
        color=RED,
        fontsize=8,
    )
    return figure
