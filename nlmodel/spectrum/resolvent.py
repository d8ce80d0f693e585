"""Pseudospectra: where the resolvent is large, which for a non-normal matrix is more than near the spectrum."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import Array, check_array, check_number, to_numpy
from nlmodel.errors import ConvergenceError
from nlmodel.spectrum._guards import complex_points, matrix
from nlmodel.spectrum.levels import Disc, HalfPlane, Region


CHUNK = 1 << 20


def smallest_singular_values(G: np.ndarray, z: np.ndarray) -> np.ndarray:
    """sigma_min(zI - G) at each of the complex numbers `z`, of any shape."""
    flat, identity = z.ravel(), np.eye(len(G), dtype=G.dtype)
    size = max(1, CHUNK // G.size)
    parts = [
        np.linalg.svd(flat[at : at + size, None, None] * identity - G, compute_uv=False)[:, -1]
        for at in range(0, len(flat), size)
    ]
    return np.concatenate(parts or [np.empty(0)]).reshape(z.shape)


def pseudospectrum(G: Array, grid: Array) -> np.ndarray:
    """The function whose level sets are the pseudospectra.

        sigma_min(zI - G) = 1 / ||(zI - G)^{-1}|| = min {||E||_2 : z is an eigenvalue of G + E}
                                                                        Trefethen and Embree 2005, ch. 2

    It is at most the distance from z to the spectrum, equal to it when G is normal, and changes by at most
    |z - z'| between two points.

    Parameters
    ----------
    G : (N, N) real or complex floating array.
    grid : complex or real floating array of any shape, the points z.

    Returns  real array of the shape of `grid`.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy absolute error O(N eps max(|z|, ||G||)).
    Cost     one singular value decomposition of size N per point, in batches of bounded memory.
    """
    return smallest_singular_values(matrix(G, "G"), complex_points(grid, "grid"))


def tensor_pseudospectrum(W: Array, s: Array, grid: Array) -> np.ndarray:
    """Pseudospectrum of W (x) (K - I) for a symmetric kernel K, without forming it.

        sigma_min(zI - W (x) (K - I)) = min over s of sigma_min(zI + s W),   s in spec(I - K)

    K - I = -Q diag(s) Q^T turns the big matrix into the blocks -s W. One step of a stage is I plus it: shift the
    grid by one.

    Parameters
    ----------
    W : (C, C) real or complex floating array.
    s : (M,) real floating array, eigenvalues of I - K.
    grid : complex or real floating array of any shape.

    Returns  real array of the shape of `grid`.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy as `pseudospectrum`.
    Cost     as `pseudospectrum` of a (C, C) matrix, once per distinct s.
    """
    W, z = matrix(W, "W"), complex_points(grid, "grid")
    distinct = np.unique(to_numpy(check_array(s, "s", ndim=1)))
    lowest = smallest_singular_values(-distinct[0] * W, z)
    for value in distinct[1:]:
        lowest = np.minimum(lowest, smallest_singular_values(-value * W, z))
    return lowest


def _criss_cross(A: np.ndarray, epsilon: float, region: Region) -> float:
    values = np.linalg.eigvals(A)
    start = values[np.argmax([region.depth(z) for z in values])]
    depth = max(region.depth(start), region.reach(A, region.position(start), epsilon))
    scale = float(np.linalg.norm(A, 2)) + epsilon
    for _ in range(100):
        middles = region.gaps(A, depth, epsilon)
        inside = (
            smallest_singular_values(A, np.array([region.point(depth, s) for s in middles], dtype=complex)) < epsilon
        )
        further = max((region.reach(A, s, epsilon) for s in middles[inside]), default=depth)
        if further <= depth + 1e-12 * scale:
            return float(max(depth, further))
        depth = further
    raise ConvergenceError("the criss-cross search did not settle", got=f"depth {depth}", fix="enlarge epsilon")


def pseudospectral_abscissa(A: Array, epsilon: float) -> float:
    """Largest real part of the eigenvalues of all A + E with ||E||_2 <= epsilon.

    Criss-cross (Burke, Lewis and Overton 2003): a vertical line finds the intervals where
    sigma_min(zI - A) < epsilon, horizontal lines through their middles the next vertical line.

    Parameters
    ----------
    A : (N, N) real or complex floating array.
    epsilon : > 0.

    Returns  float, at least the spectral abscissa + epsilon.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError / ConvergenceError.
    Accuracy 1e-12 (||A|| + epsilon) beyond the rounding of eigenvalue problems of size 2N.
    Cost     a few eigenvalue problems of size 2N.
    """
    A, epsilon = matrix(A, "A").astype(np.complex128), check_number(epsilon, "epsilon", above=0.0)
    return _criss_cross(A, epsilon, HalfPlane)


def pseudospectral_radius(A: Array, epsilon: float) -> float:
    """Largest magnitude of the eigenvalues of all A + E with ||E||_2 <= epsilon.

    Criss-cross with circles and rays (Mengi and Overton 2005).

    Parameters, Raises, Accuracy and Cost as for `pseudospectral_abscissa`.
    Returns  float, at least the spectral radius + epsilon.
    """
    A, epsilon = matrix(A, "A").astype(np.complex128), check_number(epsilon, "epsilon", above=0.0)
    return 1 + _criss_cross(A, epsilon, Disc)
