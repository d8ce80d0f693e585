"""The CFL disc of forward Euler with the eigenvalues of W in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nlmodel._arrays import check_array, check_number, to_numpy
from nlmodel.plot.sheet import BLUE, INK, RED, canvas, styled


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def cfl_disc(mu: np.ndarray, s_max: float | Mapping[str, float]) -> Figure:
    """The eigenvalues of W against the set in which every mode stays bounded.

        |1 - mu s| <= 1 for all s in [0, s_max]   <=>   |mu - 1/s_max| <= 1/s_max

    Parameters
    ----------
    mu : (C,) real or complex eigenvalues of W.
    s_max : largest eigenvalue of I - K, > 0; or several by name, one disc each. Dots are coloured by the first.
    """
    values = to_numpy(check_array(mu, "mu", ndim=1, complex_ok=True)).astype(complex)
    limits = dict(s_max) if isinstance(s_max, Mapping) else {"": s_max}
    radii = {name: 1 / check_number(s, "s_max", above=0.0) for name, s in limits.items()}
    real, imaginary = np.real(values), np.imag(values)
    widest = max(radii.values())
    left, right = min(real.min(), 0.0), max(real.max(), 2 * widest)
    top, pad = 1.08 * max(np.abs(imaginary).max(), widest), 0.06 * (right - left)
    shape = 2 * top / (right - left + 2 * pad)
    figure, axes = canvas(height=min(max(2.6 * shape + 0.6, 1.6), 3.2))
    angle = np.linspace(0, 2 * np.pi, 361)
    for shade, (name, r) in zip((0.13, 0.10, 0.08), sorted(radii.items(), key=lambda item: -item[1]), strict=False):
        x, y = r + r * np.cos(angle), r * np.sin(angle)
        words = f"{name}, " if name else ""
        axes.fill(
            x,
            y,
            facecolor=(BLUE, shade),
            edgecolor=BLUE,
            linewidth=0.9,
            label=f"{words}$s_{{\\max}} = {1 / r:.3g}$: radius {r:.3g}",
        )
    axes.axhline(0, color=INK, linewidth=0.5, alpha=0.35, zorder=1)
    axes.axvline(0, color=INK, linewidth=0.5, alpha=0.35, zorder=1)
    first = next(iter(radii.values()))
    inside = np.abs(values - first) <= first * (1 + 1e-12)
    for chosen, marker, color, word in ((inside, "o", BLUE, "bounded"), (~inside, "x", RED, "growing")):
        if np.any(chosen):
            axes.scatter(
                real[chosen],
                imaginary[chosen],
                s=14,
                marker=marker,
                color=color,
                linewidth=0.0 if marker == "o" else 1.2,
                zorder=3,
                label=f"{np.sum(chosen)} of {len(values)} eigenvalues: {word}",
            )
    axes.set(xlim=(left - pad, right + pad), ylim=(-top, top), aspect="equal")
    axes.set(xlabel=r"$\mathrm{Re}\,\mu$", ylabel=r"$\mathrm{Im}\,\mu$")
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure
