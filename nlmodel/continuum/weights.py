"""Quadrature weights of a kernel in one dimension: asymptotically compatible ones, and those of the Riemann sum.

    L_h u(x) = sum_{j=1}^{J} w_j (u(x + jh) - 2 u(x) + u(x - jh)),   J = ceil(delta/h)

approximates L u(x) = int_0^delta rho(s) D(s) ds with D(s) = u(x+s) - 2 u(x) + u(x-s).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np

from nlmodel._arrays import check_number
from nlmodel.errors import DomainError, DtypeError
from nlmodel.kernels import RadialKernel
from nlmodel.kernels.radial import SLACK


LARGEST = 1_000_000
"""Offsets that are allowed: about 1 GB while they are computed."""

ABSCISSAE, WEIGHTS = np.polynomial.legendre.leggauss(24)


def compatible_weights(kernel: RadialKernel, spacing: float) -> np.ndarray:
    """Asymptotically compatible weights: D(s)/s, which vanishes at s = 0, is interpolated linearly at s = 0, h, 2h, ...

        w_j = (1/(jh)) int_0^delta hat_j(s) s rho(s) ds,   hat_j(s) = max(0, 1 - |s/h - j|)      Tian and Du 2013
        2 sum_j (jh)^2 w_j = int |xi|^2 rho(xi) dxi                       for every h and delta, multiples or not
        |L_h u - L u| <= (h^2/12) max|u''''|              when the kernel is scaled and >= 0, whatever the horizon

    The second line holds because s is its own interpolant. The third because |(D/s)''| <= (s/2) max|u''''|, and
    the interpolant of s^3 exceeds s^3 by at most h^2 s. So h and delta may vanish along any path; the bound is
    that of the classical three-point scheme, which is L_h for delta <= h.

    Parameters
    ----------
    kernel : radial kernel with dim = 1.
    spacing : h > 0.

    Returns  (J,) float64 array, w_1, ..., w_J. On all space J reaches to where the kernel is 0 to rounding.
    Raises   DtypeError: not a radial kernel. DomainError: dim > 1, h <= 0, more than 10^6 offsets, or weights
             that are not representable.
    Accuracy relative error <= 64 eps (1 + log(w_max/w_j)) in each weight, as every integrand keeps one sign, and
             an absolute one of 2^-60/(jh)^2 where a Gaussian or exponential has decayed.
             The nodes resolve powers up to r^60.
    Cost     24 values of the kernel an offset, more where it varies within a cell; the singular cell next to 0
             is closed form.

    Notes
    -----
    Interpolating D(s)/s^2 in place of D(s)/s is a trap: at s = 0 it is u''(x), which is no difference of nodal
    values. Leaving that node out loses (2/h) int_0^h (h - s) s^2 rho ds of the second moment: h^3/(2 delta^3) for
    the top-hat, which stays along delta = r h. (With the value at h in its place, nothing is lost.)
    """
    h, J = _checked(kernel, spacing)
    end, length = kernel.extent
    cells = _cells(end, h)
    start = h * np.arange(cells)
    width = np.append(np.full(cells - 1, h), end - start[-1])
    first = np.zeros(J)  # int hat_j(s) s rho(s) ds
    innermost = replace(cast(Any, kernel), horizon=float(width[0]), scaled=False)
    first[0] = 0.5 * kernel.constant * innermost.moment(2) / h
    if cells > 1:
        t, g = _panels(math.ceil(min(h, end) / (4.0 * length)))
        s = start[1:, None] + width[1:, None] * t
        mass = width[1:, None] * g * s * kernel.profile(s)
        up = (width[1:, None] / h) * t  # hat_{j+1} on the cell [jh, (j+1)h]
        first[1:cells] += np.sum(mass * up, axis=-1)
        first[: cells - 1] += np.sum(mass * (1.0 - up), axis=-1)
    weights = first / (h * np.arange(1, J + 1))
    if not (np.all(np.isfinite(weights)) and np.any(weights)):
        raise DomainError(
            "the weights must be representable",
            got=f"{kernel!r} with spacing {h:g}",
            why="they scale like 1/h^2",
            fix="choose other units of length",
        )
    return weights


def riemann_weights(kernel: RadialKernel, spacing: float) -> np.ndarray:
    """Weights of the Riemann sum, what a nonlocal network or a sum over grid points uses.

        w_j = rho(jh) h                                                       Tao et al. 2018, eq. (14), times h

    Convergent at fixed horizon, to first order at best for a kernel that jumps there. Along delta = r h with
    fixed r it tends to a multiple of the Laplacian: for the top-hat, to 1 + 3/(2r) + 1/(2 r^2) of it.

    Parameters
    ----------
    kernel : radial kernel with dim = 1.
    spacing : h > 0.

    Returns  (J,) float64 array, for the same offsets as `compatible_weights`; 0 beyond the horizon.
    Raises   DtypeError / DomainError, as there.
    Accuracy relative error <= 8 eps (1 + |log(rho/rho_max)|).
    Cost     one value of the kernel an offset.
    """
    h, J = _checked(kernel, spacing)
    return kernel.profile(h * np.arange(1, J + 1)) * h


def _checked(kernel: Any, spacing: float) -> tuple[float, int]:
    """The spacing and the number of offsets J."""
    if not isinstance(kernel, RadialKernel):
        raise DtypeError("kernel must be a radial kernel", got=repr(kernel), fix="pass one such as TopHat(horizon)")
    if kernel.dim != 1:
        raise DomainError("kernel must have dim = 1", got=repr(kernel), why="the grid is one-dimensional")
    h = check_number(spacing, "spacing", above=0.0)
    return h, _cells(kernel.horizon if math.isfinite(kernel.horizon) else kernel.extent[0], h)


def _cells(length: float, h: float) -> int:
    """ceil(length/h), with the slack of the closed horizon: a multiple of h up to rounding adds no cell."""
    ratio = length / h * (1.0 - SLACK * np.finfo(np.float64).eps)
    if ratio > LARGEST:
        raise DomainError(
            f"the kernel must reach at most {LARGEST:,} cells",
            got=f"{ratio:.3g} cells of size {h:g}",
            fix="use a larger spacing or a smaller horizon",
        )
    return max(1, math.ceil(ratio))


def _panels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in (0, 1) and weights of `count` Gauss-Legendre panels."""
    nodes = (np.arange(count)[:, None] + 0.5 * (1.0 + ABSCISSAE)) / count
    return nodes.ravel(), np.tile(0.5 * WEIGHTS / count, count)
