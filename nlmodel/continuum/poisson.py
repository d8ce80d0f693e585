"""The Poisson problem of nonlocal diffusion on an interval, with values given on a collar of one horizon."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvals_banded, solveh_banded
from scipy.sparse import csr_array, dia_array

from nlmodel._arrays import Array, check_alike, check_array, check_choice, check_count, check_number
from nlmodel.continuum.weights import compatible_weights, riemann_weights
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.kernels import RadialKernel


QUADRATURES: dict[str, Callable[[RadialKernel, float], np.ndarray]] = {
    "compatible": compatible_weights,
    "riemann": riemann_weights,
}

Data = float | Callable[[np.ndarray], Array]


@dataclass(frozen=True, eq=False, repr=False)
class VolumeConstrainedSolution:
    """The discrete solution of -L u = f in (a, b), u = g on the collar.

    Attributes
    ----------
    grid : (J + n + J,) nodes, a - (J-1) h, ..., a on the left collar, n inside, b, ..., b + (J-1) h on the right.
    solution : (J + n + J,) values, g on the collar.
    weights : (J,) quadrature weights w_j.
    spacing : h.
    extremes : the smallest and the largest eigenvalue of the matrix, None when not asked for.
    """

    grid: np.ndarray
    solution: np.ndarray
    weights: np.ndarray
    spacing: float
    extremes: tuple[float, float] | None

    @property
    def interior(self) -> slice:
        """Where the equation holds: `grid[interior]` lies in (a, b)."""
        J = len(self.weights)
        return slice(J, len(self.grid) - J)

    @property
    def condition(self) -> float | None:
        """Condition number of the matrix in the Euclidean norm, None when not asked for."""
        return None if self.extremes is None else self.extremes[1] / self.extremes[0]

    @property
    def matrix(self) -> csr_array:
        """A = -L_h on the interior, (n, n): diagonal 2 sum_j w_j, and -w_j at distance j from it."""
        n = len(self.grid[self.interior])
        lower = _lower_band(self.weights, n)
        offsets = np.arange(1 - len(lower), len(lower))
        return dia_array((lower[np.abs(offsets)], offsets), shape=(n, n)).tocsr()

    def __repr__(self) -> str:
        inside = self.interior
        domain = f"({self.grid[inside.start - 1]:g}, {self.grid[inside.stop]:g})"
        asked = "" if self.condition is None else f", condition={self.condition:.4g}"
        return (
            f"VolumeConstrainedSolution(domain={domain}, spacing={self.spacing:g}, collar={len(self.weights)}{asked})"
        )


def volume_constrained_solve(
    kernel: RadialKernel,
    domain: tuple[float, float],
    cells: int,
    source: Data,
    constraint: Data,
    *,
    quadrature: str = "compatible",
    extremes: bool = False,
) -> VolumeConstrainedSolution:
    """Solve the nonlocal Poisson problem with a volume constraint on a uniform grid.

        -L u(x) = f(x) for a < x < b,   u(x) = g(x) for a - delta <= x <= a and b <= x <= b + delta
                                                                             Du, Gunzburger, Lehoucq and Zhou 2012
        sum_j w_j (2 u_i - u_{i+j} - u_{i-j}) = f(x_i),   x_i = a + i h,   0 < i < cells,   h = (b-a)/cells

    The matrix is symmetric positive definite, and for a kernel >= 0 an M-matrix: its inverse is positive, and
    u <= max g where f <= 0 (the discrete maximum principle). With the compatible weights of a scaled kernel and
    R = (b-a)/2 + (J-1) h,

        ||A^-1||_max <= R^2/2                       L_h is exact on the barrier (R^2 - (x - (a+b)/2)^2)/2
        max|u_h - u| <= (h^2/12) (R^2/2) max|u''''|                             whatever the horizon
        cond(A) <= min(4/h^2, (9/4) sigma) R^2/2,   sigma = int rho             top-hat: sigma = 6/delta^2

    so that u_h tends to the solution of the local problem when h and delta vanish along any path. For delta <= h
    it is the classical three-point scheme.

    Parameters
    ----------
    kernel : radial kernel with dim = 1 and a finite horizon delta.
    domain : (a, b), a < b.
    cells : number of grid cells in (a, b), >= 2.
    source, constraint : f and g, functions of an array of positions, or constants.
    quadrature : "compatible" or "riemann".
    extremes : also find the smallest and the largest eigenvalue of the matrix.

    Returns  `VolumeConstrainedSolution`.
    Raises   DtypeError / ShapeError / NonFiniteError: a parameter, or what f or g returned.
             DomainError: an infinite horizon, an empty interval, or a matrix that is not positive definite.
    Accuracy solution: backward stable, relative error of order n eps cond(A). Eigenvalues: n eps times the largest.
    Cost     Cholesky of a band: n b^2 operations and n b numbers, b = min(J, n); eigenvalues O(n^2 b).
    """
    a, b = _interval(domain)
    cells = check_count(cells, "cells", at_least=2)
    check_choice(quadrature, "quadrature", QUADRATURES)
    if not isinstance(extremes, bool):
        raise DtypeError("extremes must be True or False", got=repr(extremes))
    if isinstance(kernel, RadialKernel) and not math.isfinite(kernel.horizon):
        raise DomainError(
            "the kernel must have a finite horizon",
            got=repr(kernel),
            why="the collar on which u is given is one horizon wide",
            fix="truncate the kernel",
        )
    h = (b - a) / cells
    w = QUADRATURES[quadrature](kernel, h)
    J, n = len(w), cells - 1
    x = a + h * np.arange(1 - J, cells + J)
    if not np.all(np.diff(x) > 0):
        raise DomainError("the grid points must be distinct", got=f"spacing {h:g} at {a:g}", fix="move the domain to 0")
    u = np.zeros_like(x)
    for side in (slice(None, J), slice(J + n, None)):
        u[side] = _values(constraint, x[side], "constraint")
    stencil = np.concatenate([w[::-1], [0.0], w])
    right = _values(source, x[J : J + n], "source") + np.convolve(u, stencil, mode="valid")
    lower = _lower_band(w, n)
    try:
        u[J : J + n] = solveh_banded(lower, right, lower=True)
    except np.linalg.LinAlgError as error:
        raise DomainError(
            "the matrix must be positive definite",
            got=f"weights from {np.min(w):g} to {np.max(w):g} for {kernel!r} with spacing {h:g}",
            why="with no neighbour inside the horizon, or with negative weights, the problem has no unique solution",
            fix='use quadrature="compatible", more cells, or a kernel >= 0',
        ) from error
    return VolumeConstrainedSolution(x, u, w, h, _extremes(lower) if extremes else None)


def _interval(domain: object) -> tuple[float, float]:
    if not isinstance(domain, (tuple, list)) or len(domain) != 2:
        raise ShapeError("domain must be a pair (a, b)", got=repr(domain))
    a, b = (check_number(end, name) for end, name in zip(domain, ("a", "b"), strict=True))
    if not 0.0 < b - a < math.inf:
        raise DomainError("domain must be an interval (a, b) with a < b, of finite length", got=f"({a:g}, {b:g})")
    return a, b


def _values(data: Data, x: np.ndarray, name: str) -> np.ndarray:
    """The data at the positions x."""
    if not callable(data):
        return np.full_like(x, check_number(data, name))
    values = check_array(data(x.copy()), f"the values of {name}", ndim=1)
    check_alike(**{"positions": x, f"the values of {name}": values})
    if values.shape != x.shape:
        raise ShapeError(f"{name} must return one value a position", got=f"shape {values.shape} for {x.shape}")
    return values


def _lower_band(w: np.ndarray, n: int) -> np.ndarray:
    """The diagonal of A and the band below it, in LAPACK's storage: row j holds A_{i+j,i}."""
    column = np.concatenate([[2.0 * np.sum(w)], -w])[:n]
    return np.repeat(column[:, None], n, axis=1)


def _extremes(lower: np.ndarray) -> tuple[float, float]:
    values = eigvals_banded(lower, lower=True)  # all: bisection for one fails where many coincide
    return float(values[0]), float(values[-1])
