"""Quadrature weights as a nonlocal operator on a uniform grid in one dimension."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nlmodel._arrays import Array, check_array, check_choice, check_count, check_number, to_numpy
from nlmodel.continuum.weights import compatible_weights
from nlmodel.kernels import RadialKernel
from nlmodel.operators import NonlocalOperator


BOUNDARIES = ("periodic", "free")


def compatible_operator(
    n: int, kernel: RadialKernel, spacing: float, *, boundary: str = "periodic"
) -> NonlocalOperator:
    """L of a kernel by its asymptotically compatible weights, `NonlocalOperator.on_grid` being the Riemann sum.

        (L_h u)_i = sum_j w_j (u_{i+j} - 2 u_i + u_{i-j})

    Parameters
    ----------
    n : number of grid points.
    kernel : radial kernel with dim = 1.
    spacing : h > 0.
    boundary : "periodic", or "free": pairs inside the grid only, the nonlocal Neumann problem.

    Returns  `NonlocalOperator`, sparse, unnormalised, self-adjoint in the measure h.
    Raises   as `compatible_weights` and `stencil_operator`.
    """
    return stencil_operator(compatible_weights(kernel, spacing), n, spacing, boundary=boundary)


def stencil_operator(weights: Array, n: int, spacing: float, *, boundary: str = "periodic") -> NonlocalOperator:
    """The operator with affinity omega_ij = w_|i-j| / h and quadrature weight h: its averaging matrix holds the w_j.

    Parameters
    ----------
    weights : (J,) array of a real floating dtype, w_1, ..., w_J.
    n : number of grid points, >= 1.
    spacing : h > 0, the measure of a point.
    boundary : "periodic": all images of a point are added, also when J >= n. "free": pairs inside the grid only.

    Returns  `NonlocalOperator`, sparse, in the dtype of `weights`.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError / ChoiceError.
    Cost     2 J n entries, at most n^2.
    """
    w = to_numpy(check_array(weights, "weights", ndim=1))
    n = check_count(n, "n", at_least=1)
    h = check_number(spacing, "spacing", above=0.0)
    periodic = check_choice(boundary, "boundary", BOUNDARIES) == "periodic"
    offsets = np.arange(-len(w), len(w) + 1)
    values = np.concatenate([w[::-1], [0.0], w]) / h
    if periodic:
        offsets, values = np.arange(n), np.bincount(offsets % n, values, n)
    seen = (values != 0) & (np.abs(offsets) < n)
    rows = np.arange(n)[:, None]
    columns = rows + offsets[seen]
    columns = columns % n if periodic else columns
    inside = (columns >= 0) & (columns < n)
    rows, data = (np.broadcast_to(part, inside.shape)[inside] for part in (rows, values[seen].astype(w.dtype)))
    omega = csr_array((data, (rows, columns[inside])), shape=(n, n))
    return NonlocalOperator.from_affinity(omega, "none", weights=h)
