"""The numerical range W(A) = {x^H A x : |x| = 1}: what the symmetric part says in every direction."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from nlmodel._arrays import Array, check_count
from nlmodel.spectrum._guards import complex_points, matrix
from nlmodel.spectrum.levels import two_by_two, unimodular_angles
from nlmodel.spectrum.symmetric import symmetric_part


def numerical_abscissa(A: Array) -> float:
    """Largest eigenvalue of the Hermitian part: the growth rate of ||exp(t A)|| at t = 0.

        omega(A) = max Re W(A) = lambda_max((A + A^H) / 2),   ||exp(t A)|| <= exp(t omega(A))

    Parameters
    ----------
    A : (N, N) real or complex floating array.

    Returns  float, at least the spectral abscissa.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy absolute error O(N eps ||A||).
    Cost     O(N^3).
    """
    return float(np.linalg.eigvalsh(symmetric_part(matrix(A, "A")))[-1])


def _supports(A: np.ndarray, angles: np.ndarray) -> np.ndarray:
    return np.array([np.linalg.eigvalsh(symmetric_part(np.exp(-1j * s) * A))[-1] for s in angles.ravel()])


def support_function(A: Array, angles: Array) -> np.ndarray:
    """How far the numerical range reaches in each direction.

        h(s) = max Re(e^{-is} W(A)) = lambda_max of the Hermitian part of e^{-is} A

    W(A), convex by the Toeplitz-Hausdorff theorem, is the intersection of the half-planes Re(e^{-is} z) <= h(s).

    Parameters
    ----------
    A : (N, N) real or complex floating array.
    angles : real floating array of any shape, radians.

    Returns  real array of the shape of `angles`.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy absolute error O(N eps ||A||).
    Cost     one Hermitian eigenvalue problem per angle.
    """
    A, s = matrix(A, "A"), np.real(complex_points(angles, "angles"))
    return _supports(A, s).reshape(s.shape)


def numerical_range(A: Array, points: int = 180) -> np.ndarray:
    """Points on the boundary of the numerical range, by Johnson's algorithm.

        z(s) = x^H A x,   x the top eigenvector of the Hermitian part of e^{-is} A           Johnson 1978

    Parameters
    ----------
    A : (N, N) real or complex floating array.
    points : number of directions s = 0, 2 pi / points, ..., at least 3.

    Returns  (points,) complex array, counter-clockwise; their polygon lies inside W(A), and the half-planes of
        `support_function` in the same directions contain it. A segment of the boundary shows up by its ends.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError.
    Accuracy each point is in W(A) to O(N eps ||A||).
    Cost     one extreme eigenpair of an (N, N) Hermitian matrix per point.
    """
    A, top = matrix(A, "A"), len(A) - 1
    boundary = []
    for s in 2 * np.pi * np.arange(check_count(points, "points", at_least=3)) / points:
        x = eigh(symmetric_part(np.exp(-1j * s) * A), subset_by_index=[top, top])[1][:, 0]
        boundary.append(np.vdot(x, A @ x))
    return np.array(boundary, dtype=np.result_type(A.dtype, np.complex64))


def numerical_radius(A: Array) -> float:
    """Largest magnitude in the numerical range, w(A) = max_s h(s).

        ||A|| / 2 <= w(A) <= ||A||,   w(A^n) <= w(A)^n,   w(A) <= 1  <=>  Kreiss constant 1

    Level sets (Mengi and Overton 2005): h(s) crosses r where det(z^2 A^H - 2 r z I + A) = 0 with |z| = 1; the
    middle of each gap above r gives the next r, until r can no longer be crossed.

    Parameters
    ----------
    A : (N, N) real or complex floating array.

    Returns  float, attained by evaluation: a lower bound that no level above it disproves. 0 for ||A|| < 1e-307.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy relative error 1e-12 in double precision.
    Cost     a few generalised eigenvalue problems of size 2N.
    """
    A = matrix(A, "A").astype(np.complex128)
    scale = float(np.linalg.norm(A, 2))
    if scale < np.finfo(np.float64).tiny:
        return 0.0
    A, identity, zero = A / scale, np.eye(len(A)), np.zeros(A.shape)
    radius = float(np.max(_supports(A, np.linspace(0, 2 * np.pi, 8, endpoint=False))))
    while True:
        r = radius * (1 + 1e-12)
        crossings = unimodular_angles(
            two_by_two(zero, identity, -A, 2 * r * identity),
            two_by_two(identity, zero, zero, A.conj().T),
        )
        between = 0.5 * (crossings + np.append(crossings[1:], crossings[:1] + 2 * np.pi))
        best = float(np.max(_supports(A, between), initial=0.0))
        if best <= r:
            return max(radius, best) * scale
        radius = best
