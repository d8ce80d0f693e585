"""The joint spectral radius: growth of products of matrices taken in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel._arrays import check_count
from nlmodel.errors import DomainError
from nlmodel.stability.weight import as_weights


MOST_ENTRIES = 2**24  # of all products of one length: 128 MB


@dataclass(frozen=True)
class JointRadius:
    """lower <= joint spectral radius <= upper, and the word (indices, last factor first) that attains `lower`."""

    lower: float
    upper: float
    word: tuple[int, ...]


def joint_spectral_radius_bounds(matrices: Sequence[Any], depth: int = 6) -> JointRadius:
    """Bounds of the largest growth rate of products of the given matrices, in any order.

        max_k max_{|w| = k} rho(A_w)^{1/k}  <=  JSR  <=  min_k max_{|w| = k} ||A_w||_2^{1/k},     k = 1..depth

    JSR = lim_k max ||A_w||^{1/k} < 1 exactly when all products decay, whatever the order, and then one norm contracts
    every factor.  Spectral radii below 1 of the factors do not suffice: [[.5, 3], [0, .5]] and its
    transpose have spectral radius .5, their product 9.49.  For a nonlocal stage pass I - s W^n at one mode s.

    Parameters
    ----------
    matrices : real or complex (C, C) arrays, or numbers.
    depth : longest product looked at.

    Returns  `JointRadius`.
    Raises   DomainError: more than 2^24 entries in the products of length `depth`; ShapeError, DtypeError,
             NonFiniteError.
    Accuracy eps times the condition of the eigenvalues for `lower`, C depth eps for `upper`.
    Cost     len(matrices)^depth products of C x C matrices and their eigenvalues.
    """
    factors = np.stack([w.matrix for w in as_weights(matrices, "matrices")])
    m, C = factors.shape[:2]
    check_count(depth, "depth", at_least=1)
    if m**depth * C**2 > MOST_ENTRIES:
        raise DomainError(
            f"all products of length {depth} must have at most {MOST_ENTRIES} entries",
            got=f"{m}^{depth} products of shape ({C}, {C})",
            fix="pass a smaller depth",
        )
    scale = float(np.max(np.linalg.norm(factors, 2, axis=(1, 2))))
    if scale == 0:
        return JointRadius(0.0, 0.0, (0,))
    factors = factors / scale
    products, lower, upper, best = np.eye(C)[None], -1.0, np.inf, (1, 0)
    for k in range(1, depth + 1):
        products = (factors[:, None] @ products[None]).reshape(-1, C, C)
        radius = np.max(np.abs(np.linalg.eigvals(products)), axis=1) ** (1 / k)
        if radius.max() > lower:
            lower, best = float(radius.max()), (k, int(np.argmax(radius)))
        upper = min(upper, float(np.max(np.linalg.norm(products, 2, axis=(1, 2)))) ** (1 / k))
    length, at = best
    word = tuple(int(i) for i in np.unravel_index(at, (m,) * length))
    return JointRadius(scale * lower, scale * max(upper, lower), word)
