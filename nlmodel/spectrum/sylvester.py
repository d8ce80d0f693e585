"""Sylvester's law of inertia, and what a bottleneck W = W_Z W_g does to the signs of its symmetric part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import Array, check_alike, check_number
from nlmodel.errors import ShapeError
from nlmodel.spectrum._guards import matrix
from nlmodel.spectrum.symmetric import symmetric_part


@dataclass(frozen=True)
class Inertia:
    """Numbers of positive, negative and zero eigenvalues; `tolerance` is what counted as zero."""

    positive: int
    negative: int
    zero: int
    tolerance: float

    @property
    def signs(self) -> tuple[int, int, int]:
        """(n_+, n_-, n_0)."""
        return self.positive, self.negative, self.zero


def _count(values: np.ndarray, tolerance: float, *, zeros: int = 0) -> Inertia:
    positive, negative = int(np.sum(values > tolerance)), int(np.sum(values < -tolerance))
    return Inertia(positive, negative, len(values) - positive - negative + zeros, tolerance)


def inertia(W: Array, tol: float | None = None) -> Inertia:
    """Inertia (n_+, n_-, n_0) of the symmetric part of `W`.

    Parameters
    ----------
    W : (C, C) real or complex floating array.
    tol : eigenvalues of W~ in [-tol, tol] count as zero; default 4 C eps ||W~||_2.

    Returns  Inertia.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError: bad `W`, or `tol` negative.
    Accuracy exact for every W~ whose nonzero eigenvalues exceed 2 tol in magnitude.
    Cost     one symmetric eigenvalue problem, O(C^3).
    """
    values = np.linalg.eigvalsh(symmetric_part(matrix(W, "W")))
    default = 4 * len(values) * float(np.finfo(values.dtype).eps) * float(np.max(np.abs(values)))
    return _count(values, check_number(default if tol is None else tol, "tol", at_least=0.0))


def _factors(left: Array, right: Array) -> tuple[np.ndarray, np.ndarray]:
    left_np, right_np = matrix(left, "left", square=False), matrix(right, "right", square=False)
    check_alike(left=left, right=right)
    if left_np.shape != right_np.shape[::-1]:
        raise ShapeError(
            "left and right must be factors of a square matrix left @ right",
            got=f"shapes {left_np.shape} and {right_np.shape}",
            why="W = W_Z W_g with W_Z of shape (C, r) and W_g of shape (r, C)",
        )
    return left_np, right_np


def low_rank_inertia(left: Array, right: Array, tol: float | None = None) -> Inertia:
    """Inertia of the symmetric part of W = W_Z W_g, from the factors, by Sylvester's law.

        2 W~ = P J P^H,   P = [W_Z, W_g^H] in C x 2r,   J = [[0, I_r], [I_r, 0]]

    Theorem. Let k = rank P. Then k - r <= n_+(W~), n_-(W~) <= r and n_0(W~) >= C - k. In particular
    k = 2r, the generic case for 2r <= C, gives exactly (n_+, n_-, n_0) = (r, r, C - 2r).

    Proof. J^2 = I and trace J = 0: J has r eigenvalues +1 and r eigenvalues -1. Let P = U S V^H be the thin
    singular value decomposition, S invertible of size k. Then 2 W~ = (U S) B (U S)^H with B = V^H J V of size k
    and U S injective, so by Sylvester's law of inertia n_+- (W~) = n_+- (B), and C - k zeros are added. V has
    orthonormal columns: B is a compression of J, and Cauchy interlacing, eigenvalues falling,
        lambda_{j + 2r - k}(J) <= lambda_j(B) <= lambda_j(J),
    gives n_+(B) <= r from the right and lambda_j(B) = +1 for j <= k - r from the left. The same for -J. If
    k = 2r then V is unitary and B is similar to J. QED.

    The signs are read off B, whose entries are of order one however small the eigenvalues of W~ are.

    Parameters
    ----------
    left, right : (C, r) and (r, C) real or complex floating arrays, alike in dtype; taken as exact numbers.
    tol : relative threshold below which singular values of P are zero; default max(C, 2r) eps of float64.

    Returns  Inertia; its `tolerance` is the one for eigenvalues of B, 4 tol cond(P) and at most 1/2.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError.
    Accuracy exact unless P is within `tol` of a matrix of lower rank.
    Cost     a singular value decomposition of P, O(C r^2), instead of O(C^3).
    """
    W_Z, W_g = _factors(left, right)
    channels, inner = W_Z.shape
    wide = np.result_type(W_Z.dtype, np.float64)
    column, row = np.linalg.norm(W_Z.astype(wide), axis=0), np.linalg.norm(W_g.astype(wide), axis=1)
    alive = (column > 0) & (row > 0)
    balance = np.sqrt(row[alive] / column[alive])
    P = np.concatenate([W_Z[:, alive] * balance, W_g[alive].conj().T / balance], axis=1, dtype=wide)
    default = max(channels, 2 * inner) * float(np.finfo(np.float64).eps)
    cut = check_number(default if tol is None else tol, "tol", at_least=0.0)
    if not alive.any():
        return Inertia(0, 0, channels, cut)
    _, size, rows = np.linalg.svd(P, full_matrices=False)
    kept = size > cut * size[0]
    V = rows[kept].conj().T
    half = V.shape[0] // 2
    cross = V[:half].conj().T @ V[half:]
    uncertain = min(0.5, 4 * cut * float(size[0] / size[kept][-1]))
    return _count(np.linalg.eigvalsh(cross + cross.conj().T), uncertain, zeros=channels - V.shape[1])


def bottleneck_eigenvalues(left: Array, right: Array) -> np.ndarray:
    """The eigenvalues of W = W_Z W_g that can differ from zero: those of the small matrix W_g W_Z.

        W_g (W_Z W_g) = (W_g W_Z) W_g,   spec(W_Z W_g) \\ {0} = spec(W_g W_Z) \\ {0}, with multiplicity

    Such a W is of low rank, not sparse: the other C - r of its C eigenvalues are zero.

    Parameters
    ----------
    left, right : (C, r) and (r, C) real or complex floating arrays, r <= C, alike in dtype.

    Returns  (r,) complex array, by falling magnitude.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy backward stable for W_g W_Z.
    Cost     O(C r^2 + r^3).
    """
    W_Z, W_g = _factors(left, right)
    values = np.linalg.eigvals(W_g @ W_Z)
    values = values.astype(np.result_type(values.dtype, np.complex64))
    return values[np.lexsort((-np.imag(values), -np.real(values), -np.abs(values)))]
