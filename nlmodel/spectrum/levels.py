"""Where a level of sigma_min(zI - A) meets a line or a circle: eigenvalue problems of twice the size.

    sigma_min(zI - A) = e   only if   (zI - A) v = e u,  (zI - A)^H u = e v   has a solution

On a line through the plane, or a circle, this is linear in the one real parameter that is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import eigvals


LOOSE = 1e-6
"""How far from the line a crossing may seem to lie. Each is checked by evaluation, so loose costs time only."""


def two_by_two(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """[[a, b], [c, d]]; `numpy.block` takes longer than the small eigenvalue problems that follow."""
    n = len(a)
    whole = np.empty((2 * n, 2 * n), dtype=np.result_type(a, b, c, d))
    whole[:n, :n], whole[:n, n:], whole[n:, :n], whole[n:, n:] = a, b, c, d
    return whole


def unimodular_angles(S: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Angles in [0, 2 pi), rising, of the eigenvalues z of S v = z T v with |z| = 1."""
    pair: Any = eigvals(S, T, homogeneous_eigvals=True)
    alpha, beta = pair
    size, other = np.abs(alpha), np.abs(beta)
    on_circle = (np.abs(size - other) <= LOOSE * np.maximum(size, other)) & (np.maximum(size, other) > 0)
    return np.sort(np.angle(alpha[on_circle] * beta[on_circle].conj()) % (2 * np.pi))


class Disc:
    """The complement of the unit disc, where the resolvent of a stable iteration matrix lives."""

    @staticmethod
    def point(depth: float, s: float) -> complex:
        """z at distance `depth` outside the circle, at angle s."""
        return (1 + depth) * np.exp(1j * s)

    @staticmethod
    def depth(z: complex) -> float:
        """|z| - 1."""
        return abs(z) - 1

    @staticmethod
    def position(z: complex) -> float:
        """The angle of z."""
        return float(np.angle(z))

    @staticmethod
    def velocity(depth: float, s: float) -> tuple[complex, complex]:
        """(dz/d depth, dz/ds)."""
        return np.exp(1j * s), 1j * Disc.point(depth, s)

    @staticmethod
    def gaps(A: np.ndarray, depth: float, level: float) -> np.ndarray:
        """Middles of the arcs of |z| = 1 + depth between points with sigma_min(zI - A) = level."""
        r, identity, zero = 1 + depth, np.eye(len(A)), np.zeros(A.shape)
        angles = unimodular_angles(
            two_by_two(A, level * identity, zero, r * identity),
            two_by_two(r * identity, zero, level * identity, A.conj().T),
        )
        return 0.5 * (angles + np.append(angles[1:], angles[:1] + 2 * np.pi))

    @staticmethod
    def reach(A: np.ndarray, s: float, level: float) -> float:
        """Largest depth on the ray at angle s with sigma_min(zI - A) = level; -inf when there is none."""
        w = np.exp(1j * s)
        return _largest_real(w.conjugate() * A, level) - 1


class HalfPlane:
    """The right half-plane, where the resolvent of a stable generator lives."""

    @staticmethod
    def point(depth: float, s: float) -> complex:
        """z at distance `depth` right of the imaginary axis, at height s."""
        return complex(depth, s)

    @staticmethod
    def depth(z: complex) -> float:
        """Re z."""
        return z.real

    @staticmethod
    def position(z: complex) -> float:
        """Im z."""
        return z.imag

    @staticmethod
    def velocity(depth: float, s: float) -> tuple[complex, complex]:
        """(dz/d depth, dz/ds)."""
        return 1.0, 1j

    @staticmethod
    def gaps(A: np.ndarray, depth: float, level: float) -> np.ndarray:
        """Middles of the intervals of Re z = depth between points with sigma_min(zI - A) = level."""
        identity = np.eye(len(A))
        inner = A - depth * identity
        hamiltonian = two_by_two(inner, level * identity, -level * identity, -inner.conj().T)
        values = np.linalg.eigvals(hamiltonian)
        heights = np.sort(values.imag[np.abs(values.real) <= LOOSE * np.linalg.norm(hamiltonian, 1)])
        return 0.5 * (heights[1:] + heights[:-1])

    @staticmethod
    def reach(A: np.ndarray, s: float, level: float) -> float:
        """Largest Re z on the line Im z = s with sigma_min(zI - A) = level; -inf when there is none."""
        return _largest_real(A - 1j * s * np.eye(len(A)), level)


Region = type[Disc] | type[HalfPlane]


def _largest_real(B: np.ndarray, level: float) -> float:
    """Largest real t with sigma_min(tI - B) = level; -inf when there is none."""
    identity = np.eye(len(B))
    both = two_by_two(B, level * identity, level * identity, B.conj().T)
    values, scale = np.linalg.eigvals(both), float(np.linalg.norm(both, 1))
    for t in np.sort(values.real[np.abs(values.imag) <= LOOSE * scale])[::-1]:
        if np.linalg.svd(t * identity - B, compute_uv=False)[-1] <= level + 1e-13 * scale:
            return float(t)
    return -np.inf
